"""What Grafana reads of a dashboard, as far as the boards use it: by the TypeScript types that it publishes
(@grafana/schema 13.2), which a test without network cannot evaluate: `make grafana-types` does. A property that is not listed is an error."""

NUMBER, TEXT = (int, float), str
SOURCE = {"type": TEXT, "uid": TEXT}
OPTION = {"text": TEXT, "value": TEXT, "selected?": bool}
VARIABLE = {"name": TEXT, "label": TEXT, "description?": TEXT, "type": {"datasource", "query", "custom", "textbox"},
            "query": (str, dict), "definition?": TEXT, "datasource?": SOURCE, "refresh?": {0, 1, 2}, "includeAll?": bool,
            "allValue?": TEXT, "multi?": bool, "sort?": int, "hide": {0, 1, 2}, "current?": OPTION, "options?": [OPTION]}
BOARD_LINK = {"type": {"link", "dashboards"}, "title": TEXT, "tags": [TEXT], "asDropdown": bool, "keepTime": bool,
              "includeVars": bool, "icon": TEXT, "url?": TEXT, "tooltip": TEXT, "targetBlank": bool}
PANEL_LINK = {"title": TEXT, "url": TEXT, "targetBlank": bool}
TARGET = {"datasource": SOURCE, "editorMode": {"code"}, "expr": TEXT, "legendFormat": TEXT, "refId": TEXT, "range": bool,
          "instant?": bool, "exemplar?": bool, "format?": {"table", "time_series", "heatmap"}}
STEPS = {"mode": {"absolute"}, "steps": [{"color": TEXT, "value": (int, float, type(None))}]}
MAPPING = {"type": {"value"}, "options": {"*": {"text": TEXT, "color?": TEXT, "index": int}}}
COLOR = {"mode": {"thresholds", "palette-classic", "fixed"}, "fixedColor?": TEXT}
CELL = {"type": {"auto", "color-text", "color-background"}}
PLACEMENT = {"auto", "left", "right", "hidden"}
CUSTOM = {
    "timeseries": {"lineWidth": int, "fillOpacity": int, "showPoints": {"auto", "never", "always"}, "spanNulls": bool,
                   "stacking": {"mode": {"none", "normal", "percent"}, "group?": TEXT},
                   "thresholdsStyle": {"mode": {"off", "line", "dashed", "area"}}, "axisPlacement?": PLACEMENT},
    "table": {"align?": {"auto", "left", "right", "center"}, "filterable?": bool, "cellOptions?": CELL, "width?": NUMBER},
}
PROPERTY = {"unit": TEXT, "min": NUMBER, "max": NUMBER, "decimals": int, "thresholds": STEPS, "mappings": [MAPPING], "color": COLOR,
            "custom.cellOptions": CELL, "custom.width": NUMBER, "custom.axisPlacement": PLACEMENT, "custom.lineStyle": dict,
            "custom.fillOpacity": int, "custom.lineWidth": int, "links": [PANEL_LINK]}
CALCULATIONS = [{"lastNotNull", "max", "min", "mean", "sum"}]
OPTIONS = {
    "timeseries": {"legend": {"displayMode": {"list", "table", "hidden"}, "placement": {"bottom", "right"}, "showLegend": bool,
                              "calcs": CALCULATIONS},
                   "tooltip": {"mode": {"single", "multi", "none"}, "sort": {"asc", "desc", "none"}}},
    "stat": {"reduceOptions": {"calcs": CALCULATIONS}, "colorMode": {"value", "background", "none"}, "graphMode": {"area", "none"},
             "textMode": {"auto", "value", "name", "none", "value_and_name"}},
    "table": {"sortBy": [{"desc": bool, "displayName": TEXT}], "showHeader?": bool, "cellHeight?": {"sm", "md", "lg"}},
}
TRANSFORMATIONS = {"merge": {}, "organize": {"excludeByName": {"*": bool}, "indexByName?": {"*": int}, "renameByName?": {"*": TEXT}}}
BOARD = {"uid": TEXT, "title": TEXT, "description": TEXT, "tags": [TEXT], "schemaVersion": int, "version": int, "editable": bool,
         "graphTooltip": {0, 1, 2}, "timezone": TEXT, "refresh": TEXT, "time": {"from": TEXT, "to": TEXT},
         "annotations": {"list": list}, "links": [BOARD_LINK], "templating": {"list": [VARIABLE]}, "panels": list}
PLACE = {"x": int, "y": int, "w": int, "h": int}
ROW = {"type": {"row"}, "title": TEXT, "collapsed": bool, "gridPos": PLACE, "id": int, "panels": list}


def panel_shape(kind):
    """Of panels that have no own options here all is allowed there."""
    defaults = {"unit": TEXT, "min?": NUMBER, "max?": NUMBER, "decimals?": int, "thresholds?": STEPS, "color?": COLOR, "mappings?": [MAPPING],
                "links?": [PANEL_LINK], "noValue?": TEXT, "custom?": CUSTOM.get(kind, dict)}
    override = {"matcher": {"id": {"byName", "byRegexp"}, "options": TEXT}, "properties": [{"id": set(PROPERTY), "value": object}]}
    return {"type": {"stat", "timeseries", "heatmap", "table", "bargauge", "gauge"}, "title": TEXT, "description": TEXT,
            "datasource": SOURCE, "id": int, "gridPos": PLACE, "targets": [TARGET], "links?": [PANEL_LINK], "interval?": TEXT,
            "maxDataPoints?": NUMBER, "fieldConfig": {"defaults": defaults, "overrides": [override]},
            "options": OPTIONS.get(kind, dict), "transformations?": [{"id": set(TRANSFORMATIONS), "options": dict}]}


def differences(value, shape, where):
    """`shape`: a type, a set of values, [of each], or {key: shape}, where "key?" may be missing and "*" is any."""
    if isinstance(shape, set):
        if isinstance(value, (dict, list)) or value not in shape:
            yield f"{where}: {value!r} is none of {sorted(shape, key=str)}"
    elif isinstance(shape, (type, tuple)):
        if not isinstance(value, shape) or (isinstance(value, bool) and shape not in (bool, object)):
            yield f"{where}: {value!r} is no {shape}"
    elif isinstance(shape, list):
        if not isinstance(value, list):
            yield f"{where}: {value!r} is no list"
        else:
            for number, part in enumerate(value):
                yield from differences(part, shape[0], f"{where}[{number}]")
    elif not isinstance(value, dict):
        yield f"{where}: {value!r} is no object"
    else:
        known = {key.rstrip("?"): part for key, part in shape.items()}
        for key in shape:
            if not key.endswith("?") and key != "*" and key not in value:
                yield f"{where}: {key} is missing"
        for key, part in value.items():
            inner = known.get(key, known.get("*"))
            if inner is None:
                yield f"{where}: {key} is unknown"
            else:
                yield from differences(part, inner, f"{where}.{key}")


def panel_differences(panel, where):
    if panel.get("type") == "row":
        yield from differences(panel, ROW, where)
        return
    yield from differences(panel, panel_shape(panel.get("type")), where)
    thresholds = [panel["fieldConfig"]["defaults"].get("thresholds")]
    for override in panel["fieldConfig"]["overrides"]:
        for each in override["properties"]:
            yield from differences(each["value"], PROPERTY.get(each["id"], object), f"{where} {override['matcher']['options']} {each['id']}")
            thresholds += [each["value"]] if each["id"] == "thresholds" else []
    for steps in (found["steps"] for found in thresholds if found):
        values = [step["value"] for step in steps]
        if not values or values[0] is not None or None in values[1:] or values[1:] != sorted(values[1:]):
            yield f"{where}: thresholds {values} do not begin with null and rise"
    for each in panel.get("transformations", []):
        yield from differences(each["options"], TRANSFORMATIONS.get(each["id"], object), f"{where} {each['id']}")


def board_differences(board):
    """What of it Grafana would not understand, one line each."""
    found = list(differences(board, BOARD, board.get("title", "?")))
    for panel in board["panels"]:
        found += panel_differences(panel, panel.get("title", "?"))
    return found
