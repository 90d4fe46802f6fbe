#!/usr/bin/env python3
"""Changes the sources, one place at a time, and counts which changes the tests notice.

    mutate.py [--rooms ROOM,…] [--each N] [--seed SEED] [--minutes M] [--again] [--reach quick|units|all] [--report]

From each room N mutants (25) are drawn by the seed. Each is compiled in a copy of the tree, in build/mutate, and judged by
the unit tests and the fuzz targets' seeds that contain the changed file: those of its room first, then those of the rooms
above; if all pass, by the black-box modules of the room (BLACKBOX below). What fails is run again, and once without
the change, so that a failure by chance does not count. A mutant that does not compile is not counted, nor is
one that is listed in equivalent.txt.

Results are kept in build/mutate/results.jsonl: what has been judged is not judged again, until its line changes. After
the time a later run goes on. VARIANT and CC choose the build: with VARIANT=asan, reads beyond an array are noticed.
`--again` judges the survivors again, after a test was added; `--report` only prints.
"""
import argparse
import concurrent.futures
import fcntl
import hashlib
import json
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import mutants  # noqa: E402

TOP = HERE.parent.parent
WORK = TOP / "build" / "mutate"
TREE = WORK / "tree"
RESULTS = WORK / "results.jsonl"
PRISTINE = WORK / "pristine"
VARIANT, COMPILER = os.environ.get("VARIANT", "dev"), os.environ.get("CC", "gcc")
PROGRAMS = f"build/{VARIANT}-{COMPILER}"
BLACKBOX_SECONDS = 900
PROGRAM_SECONDS = 120    # a program that takes longer hangs
FAST_ROOMS, FAST_SECONDS = ("base", "json", "github", "trace", "otlp"), 30
# In memory, where there is such a folder: the tests of the engine sync much.
TEMPORARY = pathlib.Path("/dev/shm" if os.access("/dev/shm", os.W_OK) else WORK) / f"ghatrace-mutate-{os.getpid()}"
REACHES = ("quick", "units", "all")
KINDS = ("boundary", "constant", "negated", "operator", "removed", "return")

# What of tests/blackbox concerns a room, by the names of modules.
BLACKBOX = {
    "base": "headers export files stderr", "json": "headers odd_fields hostile", "net": "hostile framing files tls",
    "http": "headers framing hostile answers", "client": "export grpc http2 tls", "github": "odd_fields spans headers",
    "trace": "spans lifecycle order gates", "otlp": "spans receiver grpc metrics_push",
    "store": "restart old_store faults inspect set_aside", "stats": "series pools pool_states latency whatif",
    "engine": "lifecycle order gates receiver faults restart", "webhook": "headers hostile setup framing",
    "receiver": "receiver", "export": "export export_refusals grpc metrics_push set_aside",
    "view": "one_pool pool_states commits finished_runs trouble", "notify": "notify trouble",
    "admin": "admin answers scrapes files", "term": "term_lists term_screens hostile_text inspect",
    "app": "commands files systemd setup remote",
}


def limit_process():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if VARIANT not in ("asan", "tsan"):    # these reserve terabytes of addresses
        resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    os.nice(5)


def run(command, seconds, **options):
    """(exit status, or None after `seconds`, output); nothing that it started goes on."""
    with subprocess.Popen(command, cwd=TREE, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          start_new_session=True, preexec_fn=limit_process, **options) as process:
        try:
            output, _ = process.communicate(timeout=seconds)
            status = process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, status = process.communicate()[0], None
    return status, output.decode("utf-8", "replace")


def make(*targets, flags=()):
    jobs = f"-j{os.cpu_count() or 1}"
    return run(["make", "-s", jobs, f"VARIANT={VARIANT}", f"CC={COMPILER}", *flags, *targets], 3600, env={**os.environ, "MAKEFLAGS": ""})


def read_rooms():
    return re.search(r"^ROOMS := (.*)$", (TOP / "Makefile").read_text(), re.M).group(1).split()


def copy_tree():
    """The tree as it is now; what has not changed keeps its time, so that it is not compiled again."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=TOP,
                            check=True, stdout=subprocess.PIPE).stdout.decode().split("\0")
    wanted = {name for name in listed if name and (TOP / name).is_file()}
    for name in wanted:
        target = TREE / name
        if not target.exists() or target.read_bytes() != (TOP / name).read_bytes():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(TOP / name, target)
    for folder in ("src", "include", "tests"):
        for path in (TREE / folder).rglob("*"):
            if path.is_file() and str(path.relative_to(TREE)) not in wanted and path.suffix in (".c", ".h"):
                path.unlink()


class Program:
    """A unit test, or a fuzz target's seeds."""

    def __init__(self, path):
        self.path = path
        self.name = os.path.basename(path)
        self.room = "" if self.name.startswith("seeds_") else path.split("/")[-2]
        self.symbols = set()
        self.limit = FAST_SECONDS if self.room in FAST_ROOMS else PROGRAM_SECONDS
        self.is_known_to_pass = False
        self.is_left_out = False

    def status(self, folder=TREE):
        """None if it does not end."""
        return run([str(folder / self.path)], self.limit, env={**os.environ, "TMPDIR": str(TEMPORARY)})[0]

    def notices(self):
        """True if it fails now, twice, and without the change does not."""
        first = self.status() if not self.is_left_out else 0
        if first == 0:
            return False
        if not self.is_known_to_pass:
            start = time.monotonic()
            self.is_known_to_pass = self.status(PRISTINE) == 0
            self.is_left_out = not self.is_known_to_pass
            self.limit = min(self.limit, 10 + 10 * (time.monotonic() - start))
            if self.is_left_out:
                print(f"mutate: {self.name} fails without a change, and is left out", flush=True)
                return False
        return first is None or self.status() != 0


def symbols_of(path):
    listed = subprocess.run(["nm", "--defined-only", "-P", path], cwd=TREE, stdout=subprocess.PIPE, text=True, check=True).stdout
    return {line.split()[0] for line in listed.splitlines() if line.split()[1] in "TDBRW"}


def read_programs():
    """All programs, built without a change; a copy of each is kept in PRISTINE."""
    targets = [str(path.relative_to(TOP).with_suffix("")) for path in sorted(TOP.glob("tests/unit/*/test_*.c"))]
    targets += ["tests/fuzz/seeds_" + path.stem.removeprefix("fuzz_") for path in sorted(TOP.glob("tests/fuzz/fuzz_*.c"))]
    programs = [Program(f"{PROGRAMS}/{target}") for target in targets]
    status, output = make(f"{PROGRAMS}/ghatrace", *[one.path for one in programs])
    if status != 0:
        sys.exit(f"mutate: the sources do not compile:\n{output}")
    shutil.rmtree(PRISTINE, ignore_errors=True)
    for program in programs:
        (PRISTINE / program.path).parent.mkdir(parents=True, exist_ok=True)
        os.link(TREE / program.path, PRISTINE / program.path)    # the linker makes a new file
        program.symbols = symbols_of(program.path)
    os.link(TREE / PROGRAMS / "ghatrace", PRISTINE / PROGRAMS / "ghatrace")
    return programs


def draw(room, seed):
    """The mutants of a room in the order in which they are drawn: the kinds in turn, each place once."""
    by_kind = {kind: [] for kind in KINDS}
    for path in sorted((TOP / "src" / room).glob("*.c")):
        text = path.read_text()
        for mutant in mutants.find(text):
            by_kind[mutant.kind].append((path, text, mutant))
    chance = random.Random(f"{seed} {room}")
    for found in by_kind.values():
        found.sort(key=lambda one: (one[0].name, one[2].start))
        chance.shuffle(found)
    lines = set()
    while any(by_kind.values()):
        for kind in KINDS:
            if by_kind[kind]:
                path, text, mutant = by_kind[kind].pop()
                line = (path, text.count("\n", 0, mutant.start))
                if line not in lines:
                    lines.add(line)
                    yield path, text, mutant


def describe(path, text, mutant):
    """What is stored of a mutant: found again where its lines are the same, even if they have moved."""
    begin = text.rfind("\n", 0, mutant.start) + 1
    end = text.find("\n", mutant.end)
    before, after = text[begin:end], text[begin:mutant.start] + mutant.after + text[mutant.end:end]
    name = str(path.relative_to(TOP))
    occurrence = text.count(before, 0, begin)
    identity = hashlib.sha256(f"{name}\0{before}\0{after}\0{occurrence}".encode()).hexdigest()[:16]
    return {"id": identity, "file": name, "line": text.count("\n", 0, begin) + 1, "kind": mutant.kind,
            "before": before, "after": after, "room": path.parent.name}


def squeeze(text):
    return " ".join(text.split())


def read_equivalents():
    """{(file, before, after): why} of equivalent.txt: blocks of `@ file`, `- before`, `+ after`, `  why`."""
    found, file, before, after = {}, None, None, None
    for line in (HERE / "equivalent.txt").read_text().splitlines():
        if line.startswith("@ "):
            file = line[2:].strip()
        elif line.startswith("- "):
            before = squeeze(line[2:])
        elif line.startswith("+ "):
            after = squeeze(line[1:])
        elif line.startswith("  ") and after is not None:
            found[file, before, after] = line.strip()
            file = before = after = None
    return found


class Judge:
    """`reach`: quick (the room's own tests, and seeds), units (and those of the rooms above), all (and black-box tests)."""

    def __init__(self, programs, reach):
        self.programs, self.reach = programs, reach

    def stages(self, room, touched):
        """The programs that contain what has changed: of the room, seeds, of the rooms above."""
        concerned = [one for one in self.programs if one.symbols & touched or one.room == room]
        yield [one for one in concerned if one.room == room]
        yield [one for one in concerned if not one.room]
        above = [one for one in concerned if one.room and one.room != room]
        for at in range(0, len(above) if self.reach != "quick" else 0, 12):
            yield above[at:at + 12]

    def by_units(self, room, touched, changed):
        """The name of a program that notices it, or None; "" if it does not compile."""
        if make(changed, flags=["CFLAGS=-w -Wno-error"])[0] != 0:
            return ""
        for stage in filter(None, self.stages(room, touched)):
            if make(*[one.path for one in stage])[0] != 0:
                return ""
            with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
                running = {pool.submit(one.notices): one for one in stage}
                for ended in concurrent.futures.as_completed(running):
                    if not ended.cancelled() and ended.result():
                        for other in running:
                            other.cancel()
                        return running[ended].name
        return None

    def failure(self, names, limit, folder=TREE):
        """The first black-box test that fails, by its sentence; None if all pass."""
        process = subprocess.Popen([sys.executable, "tests/blackbox/run.py", *names], cwd=TREE, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors="replace",
                                   env={**os.environ, "GHATRACE": str(folder / PROGRAMS / "ghatrace"),
                                        "TMPDIR": str(TEMPORARY)})
        watch = threading.Timer(limit, process.terminate)
        watch.start()
        found = None
        try:
            for line in process.stdout:
                match = re.match(r"FAIL (\w+): (.*?) \([\d.]+ s\)", line)
                if match:
                    found = f"{match[1]}: {match[2]}"
                    break
        finally:
            if found:
                process.terminate()    # which ends its daemons
            try:
                status = process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                status = process.wait()
            watch.cancel()
        return found or (None if status == 0 else "the tests do not run to their end")

    def by_blackbox(self, room):
        """The sentence of a test that notices it, or None."""
        if make(f"{PROGRAMS}/ghatrace")[0] != 0:
            return None
        names = [f"test_{name}." for name in BLACKBOX.get(room, "").split()]
        found = self.failure(names, BLACKBOX_SECONDS)
        if found is None or ": " not in found:
            return found
        sentence = [found.split(": ", 1)[1]]
        is_noticed = self.failure(sentence, 300) and not self.failure(sentence, 300, PRISTINE)
        return found if is_noticed else None

    def judge(self, path, text, mutant, record):
        target = TREE / path.relative_to(TOP)
        target_object = PROGRAMS + "/" + str(path.relative_to(TOP).with_suffix(".o"))
        touched = symbols_of(target_object) if (TREE / target_object).exists() else set()
        try:
            target.write_text(text[:mutant.start] + mutant.after + text[mutant.end:])
            noticed = self.by_units(record["room"], touched, target_object)
            if noticed == "":
                return "does not compile", None
            if noticed:
                return "units", noticed
            if self.reach == "all":
                noticed = self.by_blackbox(record["room"])
                if noticed:
                    return "blackbox", noticed
            return "survived", None
        finally:
            target.write_text(text)
            shutil.rmtree(TEMPORARY, ignore_errors=True)
            TEMPORARY.mkdir(parents=True)


def read_results():
    results = {}
    if RESULTS.exists():
        for line in RESULTS.read_text().splitlines():
            record = json.loads(line)
            results[record["id"]] = record
    return results


def report(rooms, sample, results, equivalents):
    columns = "{:10} {:>8} {:>8} {:>10} {:>11} {:>9} {:>8}"
    print(columns.format("room", "mutants", "by units", "by black-b.", "equivalent", "survived", "noticed"))
    survivors, totals = [], [0, 0, 0, 0, 0]
    for room in rooms:
        judged = [results[one["id"]] | {"line": one["line"]} for one in sample.get(room, []) if one["id"] in results]
        counted = [one for one in judged if one["verdict"] != "does not compile"]
        same = [one for one in counted if one["verdict"] == "survived" and key(one) in equivalents]
        survived = [one for one in counted if one["verdict"] == "survived" and key(one) not in equivalents]
        figures = [len(counted) - len(same), sum(one["verdict"] == "units" for one in counted),
                   sum(one["verdict"] == "blackbox" for one in counted), len(same), len(survived)]
        survivors += survived
        totals = [a + b for a, b in zip(totals, figures)]
        if counted:
            print(columns.format(room, *figures, percent(figures)))
    print(columns.format("all", *totals, percent(totals)))
    for one in survivors:
        print(f"\n{one['file']}:{one['line']}  {one['kind']}")
        print("".join(f"    -{line}\n" for line in one["before"].splitlines()) +
              "".join(f"    +{line}\n" for line in one["after"].splitlines()), end="")


def key(record):
    return record["file"], squeeze(record["before"]), squeeze(record["after"])


def percent(figures):
    return f"{100 * (figures[1] + figures[2]) // figures[0]} %" if figures[0] else "-"


def read_arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rooms", default="")
    parser.add_argument("--each", type=int, default=25)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--reach", choices=REACHES, default="all")
    parser.add_argument("--report", action="store_true")
    return parser.parse_args()


def is_judged(old, arguments, equivalents):
    """A survivor is judged again by more tests than before, unless it is equivalent."""
    if old is None:
        return False
    if old["verdict"] != "survived" or key(old) in equivalents:
        return True
    return not arguments.again and REACHES.index(old["reach"]) >= REACHES.index(arguments.reach)


def judge_all(arguments, rooms, results, sample):
    """Judges what is not judged yet, a mutant of each room in turn, until the time is over."""
    deadline = time.monotonic() + 60 * arguments.minutes
    print("mutate: builds the tests without a change", flush=True)
    copy_tree()
    TEMPORARY.mkdir(parents=True)
    judge = Judge(read_programs(), arguments.reach)
    equivalents = read_equivalents()
    drawn = {room: draw(room, arguments.seed) for room in rooms}
    with RESULTS.open("a") as stored:
        while drawn and time.monotonic() < deadline:
            for room in list(drawn):
                one = next(drawn[room], None)
                counted = sum(results.get(each["id"], {}).get("verdict") != "does not compile" for each in sample[room])
                if one is None or counted >= arguments.each:
                    del drawn[room]
                    continue
                record = describe(*one)
                sample[room].append(record)
                if time.monotonic() >= deadline or is_judged(results.get(record["id"]), arguments, equivalents):
                    continue
                start = time.monotonic()
                record["verdict"], record["by"] = judge.judge(*one, record)
                record["reach"] = arguments.reach
                results[record["id"]] = record
                stored.write(json.dumps(record) + "\n")
                stored.flush()
                print(f"{record['verdict']:16} {record['file']}:{record['line']} {record['kind']} "
                      f"{record['by'] or ''} ({time.monotonic() - start:.0f} s)", flush=True)


def main():
    arguments = read_arguments()
    rooms = [room for room in read_rooms() if not arguments.rooms or room in arguments.rooms.split(",")]
    WORK.mkdir(parents=True, exist_ok=True)
    lock = open(WORK / "lock", "w", encoding="utf-8")
    try:
        if not arguments.report:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.exit("mutate: another one runs in this tree")
    results = read_results()
    sample = {room: [] for room in rooms}
    print(f"mutate: seed {arguments.seed}, {arguments.each} mutants of each room", flush=True)
    if arguments.report:
        for room in rooms:
            sample[room] = [describe(*one) for one in draw(room, arguments.seed)]
    else:
        try:
            judge_all(arguments, rooms, results, sample)
        finally:
            shutil.rmtree(TEMPORARY, ignore_errors=True)
    report(rooms, sample, results, read_equivalents())


if __name__ == "__main__":
    main()
