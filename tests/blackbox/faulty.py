"""A daemon on a disk and with a clock that obey the test (fault_shim.c)."""
import errno
import os
import pathlib
import random
import shutil
import struct
import subprocess
import tempfile
import unittest

import harness

HERE = pathlib.Path(__file__).resolve().parent
_built = []


def shim():
    """The path of the preloaded library, built once."""
    if not _built:
        compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        if compiler is None:
            raise unittest.SkipTest("no compiler for the preloaded library")
        path = pathlib.Path(harness.EMPTY_FOLDER.name) / "fault_shim.so"
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-D_GNU_SOURCE", "-o", str(path),
                        str(HERE / "fault_shim.c"), "-ldl"], check=True)
        _built.append(str(path))
    return _built[0]


class Faults:
    """The controls of the preloaded library."""

    def __init__(self, folder, with_log=False):
        self.path = pathlib.Path(folder) / "faults"
        self.log = pathlib.Path(folder) / "writes"
        self.path.write_bytes(bytes(4096))
        self.environment = {"LD_PRELOAD": shim(), "FAULT_CONTROL": str(self.path),
                            "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}
        if with_log:
            self.environment["FAULT_LOG"] = str(self.log)

    def set(self, write=0, sync=0, meta=0, map=0, after=0, clock=0, hang=0, stuck=0, slow=0):
        with open(self.path, "r+b") as file:
            file.write(struct.pack("=6iq2i", write, sync, meta, map, after, hang, clock, stuck, slow))

    def clear(self):
        self.set()


class FaultTest(harness.BlackBoxTest):
    def new_faulty(self, collector=None, start=True, with_log=False, **settings):
        """(daemon, faults)"""
        daemon = self.new_daemon(collector, start=False, **settings)
        faults = Faults(daemon.folder, with_log)
        daemon.env = faults.environment
        return (daemon.start() if start else daemon), faults

    def small_disk(self, size):
        """A folder on a file system of its own."""
        folder = tempfile.mkdtemp(prefix="ghatrace-disk-")
        mounted = os.geteuid() == 0 and subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "ghatrace-test", folder], capture_output=True,
            check=False).returncode == 0
        if not mounted:
            os.rmdir(folder)
            raise unittest.SkipTest("no file system of our own can be mounted here")

        def end():
            subprocess.run(["umount", folder], check=True)
            os.rmdir(folder)
        self.addCleanup(end)
        return pathlib.Path(folder)


# --- what a power cut leaves --------------------------------------------------------------------------

def read_log(data):
    """[(type, offset, bytes, position behind it)]: W page write, M synced meta write, S sync."""
    events, at = [], 0
    while at + 24 <= len(data):
        kind, offset, size = struct.unpack_from("=c7xqq", data, at)
        at += 24
        if at + size > len(data):
            break
        events.append((kind.decode(), offset, data[at:at + size], at + size))
        at += size
    return events


def after_power_cut(events, cut, generator):
    """The file when the power fails after `cut` events: what was synced, and any part of the rest."""
    image = bytearray()

    def write(offset, data):
        if len(image) < offset + len(data):
            image.extend(bytes(offset + len(data) - len(image)))
        image[offset:offset + len(data)] = data
    last_sync = max((i for i in range(cut) if events[i][0] == "S"), default=-1)
    loose = []
    for i, (kind, offset, data, _) in enumerate(events[:cut]):
        if kind == "S":
            continue
        if kind == "M" or i < last_sync:
            write(offset, data)
        else:  # pages may reach the disk one by one
            loose += [(offset + at, data[at:at + 4096]) for at in range(0, len(data), 4096)]
    generator.shuffle(loose)
    for offset, data in loose[:generator.randint(0, len(loose))]:
        write(offset, data)
    return bytes(image)


ENOSPC, EIO, ENOMEM = errno.ENOSPC, errno.EIO, errno.ENOMEM
RANDOM = random.Random(int(os.environ.get("FAULT_SEED", "7")))
