#!/usr/bin/env python3
"""Plants each bug of tests/simulate/planted/ in a copy of the sources, builds it under build/planted/, and runs it in worlds
until there is a finding of the kind that its first line expects: after how many days.

    planted.py [--days MOST] [NAME…]          exits 1 if one was not noticed within so many days"""
import argparse
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import simulate  # noqa: E402

ROOT = HERE.parent.parent
VARIANT = "dev-gcc"


def build(patch):
    """The binary with the bug. Files that have not changed since the last time keep their times, so that little is built."""
    folder = ROOT / "build/planted" / patch.stem
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    wanted = {line[6:] for line in patch.read_text().splitlines() if line.startswith("+++ b/")}
    for name in names:
        source, target = ROOT / name, folder / name
        if source.is_file() and name.split("/")[0] != "conf" and (name in wanted or not target.exists() or
                                                                  target.read_bytes() != source.read_bytes()):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    subprocess.run(["patch", "-s", "-p1", "-i", str(patch)], cwd=folder, check=True)
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    subprocess.run(["make", "-s", f"-j{os.cpu_count()}", f"build/{VARIANT}/ghatrace", f"build/{VARIANT}/tests/simulate/virtual.so"],
                   cwd=folder, check=True, env=environment, stdout=subprocess.DEVNULL)
    return folder / "build" / VARIANT / "ghatrace"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--days", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("names", nargs="*")
    chosen = parser.parse_args()
    patches = {patch.stem: patch for patch in sorted((HERE / "planted").glob("*.patch"))}
    if set(chosen.names) - patches.keys():
        parser.error(f"no such bug: {' '.join(set(chosen.names) - patches.keys())}")
    missed = 0
    for patch in (patches[name] for name in chosen.names or patches):
        expected = patch.read_text().splitlines()[0].removeprefix("expect: ")
        binary, days, seed, found = build(patch), 0, chosen.seed, None
        while days < chosen.days and not found:
            story = simulate.live(seed, binary=str(binary))
            findings = story.live()
            found = findings if any(kind.startswith(expected) for kind in findings.kinds) else None
            days += story.plan.days
            seed += 1
        missed += not found
        print(f"{patch.stem}: " + (f"found after {days} days ({seed - chosen.seed} worlds): {found.lines[0]}" if found
                                   else f"not found in {days} days"), flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
