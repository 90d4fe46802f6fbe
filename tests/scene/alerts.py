"""When the alert rules fire on recorded metrics: promtool evaluates them, as Prometheus does."""
import pathlib
import re
import shutil
import subprocess
import tempfile

RULES = pathlib.Path(__file__).resolve().parent.parent.parent / "conf/prometheus/ghatrace-rules.yml"
MISS = re.compile(r"alertname: (\w+), time: (\S+),(.*?)(?=alertname: |\Z)", re.S)
LABELS = re.compile(r"Labels:\{(.*?)\}\s*\n")


def is_available():
    return shutil.which("promtool") is not None


def names(rules=RULES):
    """Of the alerts on runners."""
    group = rules.read_text().split("- name: ghatrace-runners")[1].split("\n  - name: ")[0]
    return [name for name in re.findall(r"- alert: (\w+)", group) if "Arc" not in name]


def text_of(name, labels):
    inner = ",".join(f'{key}="{value}"' for key, value in sorted(labels) if key != "__name__")
    return f"{name}{{{inner}}}"


def firing(recorded, rules=RULES):
    """[(minute, {(name, labels): value})] → {(alert, labels): [the minutes in which it fires]}. promtool's clock begins at 0
    with the first minute. It expects that nothing fires, and what it finds instead is read from its report."""
    series = {key for _, found in recorded for key in found}
    lines = ["rule_files:", f"  - {rules}", "evaluation_interval: 1m", "tests:", "  - interval: 1m", "    input_series:"]
    for key in sorted(series, key=str):
        values = " ".join(f"{found[key]:.10g}" if key in found else "_" for _, found in recorded)
        lines += [f"      - series: '{text_of(*key)}'", f"        values: '{values}'"]
    lines.append("    alert_rule_test:")
    for name in names(rules):
        for minute in range(len(recorded)):
            lines += [f"      - eval_time: {minute}m", f"        alertname: {name}", "        exp_alerts: []"]
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        done = subprocess.run(["promtool", "test", "rules", file.name], capture_output=True, text=True, check=False)
    report = done.stdout + done.stderr
    if "FAILED" not in report and "SUCCESS" not in report:
        raise AssertionError(f"promtool: {report[-2000:]}")
    found = {}
    for alert, at, rest in MISS.findall(report):
        got = rest.split("got:", 1)[1]
        for labels in LABELS.findall(got):
            shown = tuple(sorted(part for part in re.findall(r'(\w+="(?:[^"\\]|\\.)*")', labels)
                                 if not part.startswith(("alertname=", "severity="))))
            found.setdefault((alert, shown), []).append(minutes_of(at))
    return {key: sorted(minutes) for key, minutes in found.items()}


def minutes_of(text):
    hours = re.search(r"(\d+)h", text)
    minutes = re.search(r"(\d+)m", text)
    return (int(hours[1]) * 60 if hours else 0) + (int(minutes[1]) if minutes else 0)


def spans(minutes):
    """[(first, last)] of the minutes without a gap."""
    found = []
    for minute in minutes:
        if found and found[-1][1] == minute - 1:
            found[-1][1] = minute
        else:
            found.append([minute, minute])
    return [tuple(span) for span in found]
