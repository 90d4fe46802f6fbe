#!/usr/bin/env python3
"""Runs the tests of the live page in a real browser (Debian's chromium and chromium-driver).

    browse.py [NAME…]     all tests, or those whose module, class or sentence contains a NAME
"""
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "blackbox")]
sys.dont_write_bytecode = True

import run as blackbox  # noqa: E402

if __name__ == "__main__":
    sys.exit(blackbox.main(sys.argv[1:], HERE))
