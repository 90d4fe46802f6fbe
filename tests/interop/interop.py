#!/usr/bin/env python3
"""Runs ghatrace beside the real programs that it has to get on with.

    interop.py [NAME…]     all tests, or those whose module, class or sentence contains a NAME

What has to be built is built first (build.py). GHATRACE names the binary, by default build/dev-gcc/ghatrace.
"""
import pathlib
import shutil
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "blackbox"), str(HERE.parent / "support")]
sys.dont_write_bytecode = True

import build  # noqa: E402
import run  # noqa: E402

PROGRAMS = {"nginx": "nginx-light", "tinyproxy": "tinyproxy-bin", "openssl": "openssl", "protoc": "protobuf-compiler"}


def missing_programs():
    return [f"{name} (Debian's {package})" for name, package in PROGRAMS.items()
            if shutil.which(name) is None and not pathlib.Path("/usr/sbin", name).exists()]


def main(names):
    begin = time.monotonic()
    missing = missing_programs()
    if missing:
        print(f"interop: not here: {', '.join(missing)}", file=sys.stderr)
        return 1
    if build.main([]) != 0:
        return 1
    built = time.monotonic()
    status = run.main(names, HERE)
    print(f"{built - begin:.0f} s for building, {time.monotonic() - built:.0f} s for the tests")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
