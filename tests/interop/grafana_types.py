#!/usr/bin/env python3
"""The dashboards against the TypeScript types that Grafana publishes: grafana_types.py

Fetches @grafana/schema and the TypeScript compiler from the npm registry that `npm` is set up for; nothing of them is kept.
Checked: boards, variables, panels, options and fields of each kind of panel, down to names of properties that do not exist
and words that are none of an enumeration. Not checked, as the package has no types of them: queries, links of fields, the
values of overrides, and options of transformations. Grafana publishes no JSON schema. What differs by intention:
Grafana itself writes a panel's links without what links of boards have, and the `definition` of variables.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

BOARDS = sorted((pathlib.Path(__file__).resolve().parent.parent.parent / "conf/grafana").glob("*.json"))
PACKAGES = ["@grafana/schema@13", "typescript@5"]
RAW = "./node_modules/@grafana/schema/dist/types/raw"
KINDS = ("timeseries", "stat", "heatmap", "table")
# Words instead of members of enumerations, as JSON has them.
LOOSE = """
type Loose<T> = T extends string ? (string extends T ? string : `${T}`) : T extends number ? number : T extends boolean ? boolean
    : T extends null ? null : T extends (infer U)[] ? Loose<U>[] : T extends object ? {[K in keyof T]: Loose<T[K]>} : T;
type OurPanel = Omit<Loose<Panel>, "links"> & {links?: Partial<Loose<DashboardLink>>[]};
type OurVariable = Loose<VariableModel> & {definition?: string};
type OurBoard = Omit<Loose<Dashboard>, "panels" | "templating"> & {panels: unknown[], templating: {list: unknown[]}};
"""
OPTIONS = ["--noEmit", "--strict", "--skipLibCheck", "--moduleResolution", "bundler", "--module", "esnext", "--target", "es2022", "--pretty", "false"]


def parts_of(board):
    """(what, its type, its value) of all that has a type."""
    yield "board", "OurBoard", board
    for variable in board["templating"]["list"]:
        yield f"variable {variable['name']}", "OurVariable", variable
    for panel in board["panels"]:
        kind, title = panel["type"], panel["title"]
        if kind == "row":
            yield title, "Loose<RowPanel>", panel
            continue
        yield title, "OurPanel", panel
        yield f"{title}: options", f"Loose<Partial<{kind}.Options>>", panel["options"]
        if kind != "stat" and "custom" in panel["fieldConfig"]["defaults"]:
            yield f"{title}: fields", f"Loose<Partial<{kind}.FieldConfig>>", panel["fieldConfig"]["defaults"]["custom"]


def main():
    lines = [f'import type {{Dashboard, DashboardLink, Panel, RowPanel, VariableModel}} from "{RAW}/dashboard/x/types.gen";',
             *(f'import type * as {kind} from "{RAW}/composable/{kind}/panelcfg/x/types.gen";' for kind in KINDS), *LOOSE.strip().splitlines()]
    places = {}
    for path in BOARDS:
        for what, kind, value in parts_of(json.loads(path.read_text())):
            lines.append(f"export const part{len(lines)}: {kind} = {json.dumps(value)};")
            places[len(lines)] = f"{path.name}: {what}"
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "package.json").write_text('{"private": true}')
        (pathlib.Path(folder) / "boards.ts").write_text("\n".join(lines) + "\n")
        fetched = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent", *PACKAGES], cwd=folder, capture_output=True, text=True, check=False)
        if fetched.returncode != 0:
            sys.exit(f"npm install: {fetched.stderr.strip() or fetched.stdout.strip()}")
        result = subprocess.run(["node_modules/.bin/tsc", *OPTIONS, "boards.ts"], cwd=folder, capture_output=True, text=True, check=False)
    for line in result.stdout.splitlines():
        number = line.partition("(")[2].partition(",")[0]
        print(f"{places.get(int(number), '?') if number.isdigit() else ''} {line[:600]}")
    print(f"{len(places)} parts of {len(BOARDS)} boards: {'all right' if result.returncode == 0 else 'not all right'}")
    sys.exit(result.returncode)


if __name__ == "__main__":
    main()
