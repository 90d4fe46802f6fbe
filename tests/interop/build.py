#!/usr/bin/env python3
"""Builds the programs of others that these tests talk to, and keeps them in build/interop.

    build.py [collector] [jaeger] [arc] [registry] [newest]     what is there already is left alone; without names: all

`versions` says what is built. The folder of a program is named after what it was built from, so another version is another
folder. Go's own caches keep what was fetched and compiled.
"""
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile

HERE = pathlib.Path(__file__).resolve().parent
CACHE = HERE.parent.parent / "build/interop"
COMPONENTS = ("extension", "receiver", "processor", "exporter")
FLAGS = ("-trimpath", "-ldflags=-s -w")


class Missing(Exception):
    """What this machine lacks, in a sentence."""


def versions():
    """[(kind, module, version)]"""
    lines = (HERE / "versions").read_text().splitlines()
    return [tuple(line.split()) for line in lines if line.strip() and not line.startswith("#")]


def of_kinds(*kinds):
    return [entry for entry in versions() if entry[0] in kinds]


def folder_of(name, entries):
    return CACHE / f"{name}-{hashlib.sha256(repr(entries).encode()).hexdigest()[:12]}"


def collector_folder():
    return folder_of("collector", of_kinds("builder", *COMPONENTS))


def jaeger_folder():
    return folder_of("jaeger", of_kinds("jaeger"))


def arc_sources():
    return sorted((HERE / "arc").glob("*.go"))


def arc_folder():
    return folder_of("arc", of_kinds("sdk") + [path.read_text() for path in arc_sources()])


def collector():
    """The path of the Collector, built or not."""
    return collector_folder() / "collector"


def jaeger():
    return jaeger_folder() / "jaeger"


def arc():
    """The path of the programs that send with the SDK: `arc arc`, `arc job`."""
    return arc_folder() / "arc"


def registry_folder():
    return folder_of("registry", of_kinds("sdk"))


def registry():
    """The Go source that has the attributes of the semantic conventions, with their types."""
    return registry_folder() / "registry"


def newest_folder():
    return folder_of("newest", of_kinds("npm"))


def newest():
    """The declarations of the newest release of the conventions, from npm; there is no such file where npm is not."""
    return newest_folder() / "newest"


def need_go():
    oldest = tuple(map(int, of_kinds("go")[0][2].split(".")))
    if shutil.which("go") is None:
        raise Missing(f"go is not here: Go {'.'.join(map(str, oldest))} or newer builds the programs that these tests "
                      "talk to")
    text = subprocess.run(["go", "version"], capture_output=True, text=True, check=True).stdout
    found = tuple(map(int, re.search(r"go(\d+)\.(\d+)", text).groups()))
    if found < oldest:
        raise Missing(f"{text.strip()}: Go {'.'.join(map(str, oldest))} or newer is needed")


def run(*command, folder, **environment):
    print("  " + " ".join(map(str, command)), flush=True)
    jobs = os.environ.get("GO_JOBS", "2")
    flags = f"-mod=mod -p={jobs} -buildvcs=false"
    subprocess.run(["nice", *map(str, command)], cwd=folder, check=True,
                   env={**os.environ, "GOFLAGS": flags, **environment})


def manifest():
    """What the Collector's builder reads."""
    lines = ["dist:", "  name: collector", "  description: the parts that the tests of ghatrace need",
             "  output_path: ./source", f"  version: {of_kinds('builder')[0][2].lstrip('v')}"]
    for kind in COMPONENTS:
        lines += [f"{kind}s:", *(f"  - gomod: {module} {version}" for _, module, version in of_kinds(kind))]
    return "\n".join(lines) + "\n"


def build_collector(folder):
    (folder / "manifest.yaml").write_text(manifest())
    _, module, version = of_kinds("builder")[0]
    run("go", "install", f"{module}@{version}", folder=folder, GOBIN=str(folder))
    run("./builder", "--config", "manifest.yaml", "--skip-compilation", folder=folder)
    run("go", "build", *FLAGS, "-o", folder / "collector", ".", folder=folder / "source")


def build_jaeger(folder):
    _, package, version = of_kinds("jaeger")[0]
    source = folder / "source"
    source.mkdir()
    (source / "go.mod").write_text("module ghatrace.test/jaeger\n")
    run("go", "get", "-tool", f"{package}@{version}", folder=source)
    run("go", "build", *FLAGS, "-o", folder / "jaeger", package, folder=source)


def build_arc(folder):
    source = folder / "source"
    source.mkdir()
    (source / "go.mod").write_text("module ghatrace.test/arc\n")
    for path in arc_sources():
        shutil.copy(path, source)
    run("go", "get", *(f"{module}@{version}" for _, module, version in of_kinds("sdk")), folder=source)
    run("go", "build", *FLAGS, "-o", folder / "arc", ".", folder=source)


def build_registry(folder):
    """The SDK's module has each release of the conventions up to its own: the newest of them."""
    source = folder / "source"
    source.mkdir()
    (source / "go.mod").write_text("module ghatrace.test/registry\n")
    _, module, version = of_kinds("sdk")[0]
    run("go", "get", f"{module}@{version}", folder=source)
    found = subprocess.run(["go", "list", "-m", "-f", "{{.Dir}}", module], cwd=source, capture_output=True, text=True,
                           check=True).stdout.strip()
    releases = sorted(pathlib.Path(found, "semconv").glob("v*/attribute_group.go"),
                      key=lambda path: [int(number) for number in path.parent.name[1:].split(".")])
    shutil.copyfile(releases[-1], folder / "registry")


def build_newest(folder):
    _, package, version = of_kinds("npm")[0]
    run("npm", "pack", f"{package}@{version}", "--silent", folder=folder)
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        texts = [archive.extractfile(f"package/dist/{kind}_attributes.d.mts").read() for kind in ("stable", "experimental")]
    (folder / "newest").write_bytes(b"".join(texts))


def build(name, folder, make):
    if (folder / name).exists():
        return
    need_go()
    print(f"building {name}, which takes minutes the first time", flush=True)
    shutil.rmtree(folder, True)
    unfinished = folder.with_suffix(".unfinished")
    shutil.rmtree(unfinished, True)
    unfinished.mkdir(parents=True)
    make(unfinished)
    unfinished.rename(folder)


PROGRAMS = {"collector": (collector_folder, build_collector), "jaeger": (jaeger_folder, build_jaeger),
            "arc": (arc_folder, build_arc), "registry": (registry_folder, build_registry),
            "newest": (newest_folder, build_newest)}


def main(names):
    try:
        for name in names or PROGRAMS:
            if name not in PROGRAMS:
                raise Missing(f"{name}: only {', '.join(PROGRAMS)} are built here")
            if name == "newest" and shutil.which("npm") is None:
                continue
            folder, make = PROGRAMS[name]
            build(name, folder(), make)
    except Missing as lack:
        print(f"interop: {lack}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as failed:
        print(f"interop: {' '.join(map(str, failed.cmd[1:]))}: exit status {failed.returncode}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
