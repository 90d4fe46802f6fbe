"""OTLP trace requests, read from their bytes: the fields of opentelemetry-proto 1, strictly."""


class Span:
    __slots__ = ("trace", "span", "parent", "name", "kind", "start", "end", "attributes", "links", "status", "flags", "extra", "resource")


def fields(data, place, end):
    """(number, value) of a message; nested ones as (begin, end)."""
    while place < end:
        tag = data[place]
        place += 1
        if tag >= 0x80:
            tag, place = varint(data, place - 1)
        kind = tag & 7
        if kind == 2:
            size = data[place]
            place += 1
            if size >= 0x80:
                size, place = varint(data, place - 1)
            place += size
            if place > end:
                raise ValueError("a field is longer than its message")
            yield tag >> 3, (place - size, place)
        elif kind == 0:
            value, place = varint(data, place)
            yield tag >> 3, value
        elif kind == 1:
            yield tag >> 3, int.from_bytes(data[place:place + 8], "little")
            place += 8
        elif kind == 5:
            yield tag >> 3, int.from_bytes(data[place:place + 4], "little")
            place += 4
        else:
            raise ValueError(f"wire type {kind}")
    if place != end:
        raise ValueError("a message is longer than what it is in")


def varint(data, place):
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place


def string(data, where):
    return data[where[0]:where[1]].decode()


def any_value(data, where):
    for number, value in fields(data, *where):
        if number == 1:
            return string(data, value)
        if number == 2:
            return bool(value)
        if number == 3:
            return value - (1 << 64) if value >> 63 else value
        if number == 5:
            return [any_value(data, one) for _, one in fields(data, *value)]
        raise ValueError(f"a value of kind {number}")
    return None


def attribute(data, where, into):
    key = value = None
    for number, inner in fields(data, *where):
        if number == 1:
            key = string(data, inner)
        elif number == 2:
            value = any_value(data, inner)
    if key in into:
        raise ValueError(f"{key} twice")
    into[key] = value


def span_of(data, where, resource):
    made = Span()
    made.parent, made.name, made.kind, made.attributes, made.links, made.status = "", "", 0, {}, [], (0, "")
    made.flags, made.extra, made.resource = 0, [], resource
    for number, value in fields(data, *where):
        if number == 9:
            attribute(data, value, made.attributes)
        elif number == 1:
            made.trace = data[value[0]:value[1]].hex()
        elif number == 2:
            made.span = data[value[0]:value[1]].hex()
        elif number == 4:
            made.parent = data[value[0]:value[1]].hex()
        elif number == 5:
            made.name = string(data, value)
        elif number == 6:
            made.kind = value
        elif number == 7:
            made.start = value
        elif number == 8:
            made.end = value
        elif number == 13:
            link = dict(fields(data, *value))
            made.links.append((data[link[1][0]:link[1][1]].hex(), data[link[2][0]:link[2][1]].hex(), link.get(6, 0)))
        elif number == 15:
            status = dict(fields(data, *value))
            made.status = status.get(3, 0), string(data, status[2]) if 2 in status else ""
        elif number == 16:
            made.flags = value
        else:
            made.extra.append(number)
    return made


def resource_of(data, where):
    found = {}
    for number, value in fields(data, *where):
        if number == 1:
            attribute(data, value, found)
    return found


def places(body):
    """((server, trace, span), where, resource) of each span of a request: what is needed to keep the last version of each,
    which span_of() reads later. The resource is shared."""
    for number, group in fields(body, 0, len(body)):
        if number != 1:
            raise ValueError(f"field {number} of a request")
        resource = {}
        for inner, value in fields(body, *group):
            if inner == 1:
                resource = resource_of(body, value)
            elif inner == 2:
                for deeper, span in fields(body, *value):
                    if deeper == 2:
                        yield resource, span


def identity(data, where):
    """The bytes of trace and span, which come first."""
    begin = where[0]
    if data[begin:begin + 2] != b"\x0a\x10" or data[begin + 18:begin + 20] != b"\x12\x08":
        raise ValueError("a span does not begin with its ids")
    return data[begin + 2:begin + 18], data[begin + 20:begin + 28]
