#!/usr/bin/env python3
"""Runs fuzz targets one after the other, and prints what became of each in a table, with sums.

    run.py --seconds N TARGET=SEEDS[,OPTION…]…     run by the Makefile: `make fuzz`

For each target: inputs tried, edges of the code reached (libFuzzer's `cov`), files in its corpus in build/fuzz/TARGET, those
among them that this run has added, and findings: inputs that crash, hang or take too much memory. The output of each
is kept in build/fuzz/TARGET.log. Exits 1 if there was a finding.
"""
import argparse
import pathlib
import re
import subprocess
import sys

FOLDER = pathlib.Path("build/fuzz")
PROGRAMS = "build/fuzz-clang/tests/fuzz"
# libFuzzer names files of findings by what went wrong.
FINDINGS = ("crash-", "leak-", "oom-", "timeout-")
COLUMNS = "{:18} {:>12} {:>9} {:>8} {:>6} {:>9}"


def found_files():
    return {path.name for path in FOLDER.iterdir() if path.name.startswith(FINDINGS)}


def run_target(target, seeds, options, seconds):
    """(inputs, edges, files in the corpus, new files, findings)"""
    corpus = FOLDER / target
    corpus.mkdir(parents=True, exist_ok=True)
    files, findings = len(list(corpus.iterdir())), found_files()
    command = [f"{PROGRAMS}/fuzz_{target}", f"-max_total_time={seconds}", "-rss_limit_mb=2048", "-timeout=10",
               f"-artifact_prefix={FOLDER}/", "-print_final_stats=1", *options, str(corpus), seeds]
    # A target that hangs beyond its own time limit is ended.
    with open(FOLDER / f"{target}.log", "w", encoding="utf-8", errors="replace") as log:
        try:
            status = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                    timeout=seconds + 300, check=False).returncode
        except subprocess.TimeoutExpired:
            status = 1
    text = (FOLDER / f"{target}.log").read_text(encoding="utf-8", errors="replace")
    inputs = re.findall(r"number_of_executed_units:\s*(\d+)", text) or re.findall(r"^#(\d+)", text, re.M)
    edges = re.findall(r"\bcov: (\d+)", text)
    after = len(list(corpus.iterdir()))
    found = len(found_files() - findings)
    return [int(inputs[-1]) if inputs else 0, int(edges[-1]) if edges else 0, after, after - files,
            found if status == 0 and inputs else max(1, found)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("targets", nargs="+")
    arguments = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    sums = [0] * 5
    print(COLUMNS.format("target", "inputs", "edges", "corpus", "new", "findings"), flush=True)
    for text in arguments.targets:
        target, rest = text.split("=", 1)
        seeds, *options = re.split(r"[,\s]+", rest)
        figures = run_target(target, seeds, options, arguments.seconds)
        sums = [a + b for a, b in zip(sums, figures)]
        print(COLUMNS.format(target, *figures) + (f"   {FOLDER}/{target}.log" if figures[-1] else ""), flush=True)
    print(COLUMNS.format("all", *sums))
    return 1 if sums[-1] else 0


if __name__ == "__main__":
    sys.exit(main())
