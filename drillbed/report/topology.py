"""The hosts of the estate in their zones, and everything that flowed between them."""

import math
from collections.abc import Iterable

from markupsafe import Markup

from drillbed.report.result import DrillResult, FlowRow, HostPlace
from drillbed.report.svg import element, join, picture, text
from drillbed.report.units import size_text

#: Zones from left to right, with what they are called on the page.
ZONES = (("onprem", "On premises"), ("azure-public", "Azure, public endpoints"), ("azure-vnet", "Azure, virtual network"))
OPERATOR = "operator"

BOX_WIDTH, BOX_HEIGHT, BOX_GAP = 168.0, 34.0, 24.0
COLUMN_GAP = 236.0
MARGIN, HEAD = 6.0, 34.0
OPERATOR_BAND = 78.0
#: Room beside the boxes of a zone: where its own lines go round, and on the other side.
ARC_ROOM, SIDE_ROOM = 124.0, 20.0
MOST_BEND, LEAST_BEND = 96.0, 26.0
SWEEPS = 6


def draw_topology(result: DrillResult) -> Markup:
    """The whole drawing."""
    hosts = _hosts(result)
    columns = _columns(hosts, result.flows)
    places, height = _places(columns, [host for host in hosts if host.zone == OPERATOR])
    width = _left(max(len(columns) - 1, 0)) + BOX_WIDTH + ARC_ROOM + MARGIN
    top = OPERATOR_BAND if any(host.zone == OPERATOR for host in hosts) else 4.0
    most = max((flow.bytes for flow in result.flows), default=1)
    parts = [_defs(), *(_zone(index, title, top, height) for index, (title, _) in enumerate(columns))]
    drawn = [flow for flow in result.flows if flow.source in places and flow.destination in places]
    labels: list[Markup] = []
    taken = [(x + part * BOX_WIDTH, y + BOX_HEIGHT / 2) for x, y in places.values() for part in (0.0, 0.25, 0.5, 0.75, 1.0)]
    for flow in drawn:
        line, label = _flow(flow, places[flow.source], places[flow.destination], most, taken)
        parts.append(line)
        labels.append(label)
    parts += labels
    parts += [_box(host, places[host.name]) for host in hosts if host.name in places]
    described = "; ".join(f"{flow.source} to {flow.destination} port {flow.port}" for flow in drawn)
    return picture(width, height + MARGIN, "Topology and flows", described or "no flows", join(parts), "topology")


def _hosts(result: DrillResult) -> list[HostPlace]:
    """All hosts. One that only a flow names is gone by now, like the Azure machines after a failback."""
    known = {host.name: host for host in result.hosts}
    for flow in result.flows:
        for name in (flow.source, flow.destination):
            if name not in known:
                known[name] = HostPlace(name, _zone_of(name))
    talking = {name for flow in result.flows for name in (flow.source, flow.destination)}
    return [host for host in known.values() if host.name in talking or host.zone != OPERATOR]


def _zone_of(name: str) -> str:
    """Where a host stood that is not there any more, by the names that an estate gives."""
    if name == OPERATOR:
        return OPERATOR
    return "azure-vnet" if name.endswith(".azure") else "azure-public"


def _columns(hosts: list[HostPlace], flows: Iterable[FlowRow]) -> list[tuple[str, list[HostPlace]]]:
    """Hosts by zone, each zone in an order that keeps lines short."""
    columns = [(title, [host for host in hosts if host.zone == zone]) for zone, title in ZONES]
    columns = [(title, column) for title, column in columns if column]
    near: dict[str, set[str]] = {}
    for flow in flows:
        near.setdefault(flow.source, set()).add(flow.destination)
        near.setdefault(flow.destination, set()).add(flow.source)
    rank = {host.name: number / len(column) for _, column in columns for number, host in enumerate(column)}
    for _ in range(SWEEPS):
        for _, column in columns:
            column.sort(
                key=lambda host: _middle([rank[name] for name in near.get(host.name, ()) if name in rank], rank[host.name])
            )
            rank.update({host.name: number / len(column) for number, host in enumerate(column)})
    return columns


def _middle(values: list[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _places(
    columns: list[tuple[str, list[HostPlace]]], operators: list[HostPlace]
) -> tuple[dict[str, tuple[float, float]], float]:
    """The upper left corner of each host's box, and the height of the drawing."""
    top = OPERATOR_BAND if operators else 0.0
    tallest = max((len(column) for _, column in columns), default=0)
    inner = tallest * (BOX_HEIGHT + BOX_GAP)
    places = {}
    for index, (_, column) in enumerate(columns):
        spacing = inner / max(len(column), 1)
        for number, host in enumerate(column):
            y = top + HEAD + spacing * number + (spacing - BOX_HEIGHT) / 2
            places[host.name] = (_left(index), y)
    whole = _left(max(len(columns) - 1, 0)) + BOX_WIDTH
    for number, host in enumerate(operators):
        x = MARGIN + (whole - MARGIN) * (number + 1) / (len(operators) + 1) - BOX_WIDTH / 2
        places[host.name] = (x, 12.0)
    return places, top + HEAD + inner + 14


def _left(column: int) -> float:
    return MARGIN + ARC_ROOM + column * (BOX_WIDTH + COLUMN_GAP)


def _arc_side(left: float) -> float:
    """Lines inside the first zone go round its left, those inside the others round their right."""
    return -1.0 if left == _left(0) else 1.0


def _zone(index: int, title: str, top: float, bottom: float) -> Markup:
    box = _left(index)
    before, after = (ARC_ROOM, SIDE_ROOM) if _arc_side(box) < 0 else (SIDE_ROOM, ARC_ROOM - 14)
    width = before + BOX_WIDTH + after
    frame = element("rect", x=box - before, y=top, width=width, height=bottom - top, rx=10, class_="zone")
    return frame + text(title, box - before + 12, top + 19, class_="zonename")


def _box(host: HostPlace, place: tuple[float, float]) -> Markup:
    x, y = place
    title = element("title", f"{host.name} {host.address}".strip())
    box = element("rect", title, x=x, y=y, width=BOX_WIDTH, height=BOX_HEIGHT, rx=6, class_="host")
    if not host.address:
        return box + text(host.name, x + BOX_WIDTH / 2, y + 21, class_="hostname", text_anchor="middle")
    name = text(host.name, x + BOX_WIDTH / 2, y + 15, class_="hostname", text_anchor="middle")
    return box + name + text(host.address, x + BOX_WIDTH / 2, y + 28, class_="small", text_anchor="middle")


def _flow(
    flow: FlowRow, source: tuple[float, float], target: tuple[float, float], most: int, taken: list[tuple[float, float]]
) -> tuple[Markup, Markup]:
    """The line of a flow and the label with its port, which keeps clear of what is there already."""
    curve = _curve(source, target)
    width = 1.0 + 5.0 * math.sqrt(flow.bytes / most) if most else 1.0
    words = f"{flow.source} to {flow.destination}, port {flow.port}, {size_text(flow.bytes)}, {'TLS' if flow.tls else 'not TLS'}"
    d = "M{:.1f} {:.1f}C{:.1f} {:.1f} {:.1f} {:.1f} {:.1f} {:.1f}".format(*(value for point in curve for value in point))
    kind = "flow tls" if flow.tls else "flow plain"
    line = element("path", element("title", words), d=d, class_=kind, stroke_width=width, marker_end="url(#arrow)")
    candidates = [_along(curve, part / 20) for part in (10, 9, 11, 8, 12, 7, 13, 6, 14, 5, 15, 4, 16, 3, 17)]
    x, y = max(candidates, key=lambda place: min((_apart(place, other) for other in taken), default=math.inf) >= 1)
    taken.append((x, y))
    half = 3.6 * len(str(flow.port)) + 5
    pill = element("rect", element("title", words), x=x - half, y=y - 8, width=2 * half, height=16, rx=8, class_="pill")
    return line, pill + text(str(flow.port), x, y + 4, class_="port", text_anchor="middle")


def _apart(one: tuple[float, float], other: tuple[float, float]) -> float:
    """At least 1 when two labels do not touch."""
    return max(abs(one[0] - other[0]) / 44, abs(one[1] - other[1]) / 20)


def _curve(source: tuple[float, float], target: tuple[float, float]) -> list[tuple[float, float]]:
    """Four points of a Bezier curve from box to box."""
    (x1, y1), (x2, y2) = source, target
    middle = BOX_HEIGHT / 2
    if abs(y1 - y2) > OPERATOR_BAND / 2 and min(y1, y2) < OPERATOR_BAND / 2:  # from or to the operator's band
        down = y1 < y2
        start = (x1 + BOX_WIDTH / 2, y1 + (BOX_HEIGHT if down else 0))
        end = (x2 + BOX_WIDTH / 2 + (18 if x1 > x2 else -18 if x1 < x2 else 0), y2 + (-6 if down else BOX_HEIGHT + 6))
        lift = 40.0 if down else -40.0
        return [start, (start[0], start[1] + lift), (end[0], end[1] - lift), end]
    if x1 == x2:  # inside one zone: round the boxes between
        way = _arc_side(x1)
        side = x1 if way < 0 else x1 + BOX_WIDTH
        out = side + way * min(MOST_BEND * 4 / 3, LEAST_BEND + abs(y1 - y2) * 0.26)
        return [(side, y1 + middle), (out, y1 + middle), (out, y2 + middle), (side + way * 6, y2 + middle)]
    forth = x1 < x2
    start = (x1 + (BOX_WIDTH if forth else 0), y1 + middle)
    end = (x2 + (-6 if forth else BOX_WIDTH + 6), y2 + middle)
    pull = (end[0] - start[0]) * 0.45
    return [start, (start[0] + pull, start[1]), (end[0] - pull, end[1]), end]


def _along(curve: list[tuple[float, float]], part: float) -> tuple[float, float]:
    rest = 1 - part
    weights = (rest**3, 3 * rest * rest * part, 3 * rest * part * part, part**3)
    return (
        sum(weight * point[0] for weight, point in zip(weights, curve, strict=True)),
        sum(weight * point[1] for weight, point in zip(weights, curve, strict=True)),
    )


def _defs() -> Markup:
    head = element("path", d="M0 0L8 4L0 8z", class_="arrowhead")
    size = {"markerWidth": 8, "markerHeight": 8, "refX": 6, "refY": 4}
    return element("defs", element("marker", head, id="arrow", markerUnits="userSpaceOnUse", orient="auto", **size))
