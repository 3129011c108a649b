"""Pictures of a case, as SVG inside the report: what happened when, and who talked to whom."""

from collections.abc import Iterator
from html import escape
from typing import Any

from harness.verdict import PASS

WIDTH = 860
_LEFT, _ROW = 330, 17
_TEXT = "font-size='11' fill='currentColor'"
_COLOURS = {"given": "#8888", "but": "#bf8700", "when": "#0969da", "then": "#1a7f37"}
#: Longest texts that fit, in characters.
_STEP_MAX, _HOST_MAX = 52, 26
_FLOWS_MAX = 40


def timeline(case: dict[str, Any]) -> str:
    """The steps as bars over emulated time, the events as ticks below. Empty where nothing was done."""
    steps, events = case["steps"], case.get("events", [])
    end = max([*(step["ended"] for step in steps), *(event["time"] for event in events), 1.0])
    if not steps:
        return ""
    failed = case["place"] if case["verdict"] != PASS else None
    rows = [*(_bar(step, end, step["place"] == failed) for step in steps), *(_tick(event, end) for event in events)]
    body = "".join(f"<g transform='translate(0 {row * _ROW})'>{content}</g>" for row, content in enumerate(rows))
    return _svg(len(rows) * _ROW + 20, body + _axis(len(rows) * _ROW, end), "what happened when")


def _bar(step: dict[str, Any], end: float, failed: bool) -> str:
    begin, width = _x(step["began"], end), max(2.0, _x(step["ended"], end) - _x(step["began"], end))
    colour = "#cf222e" if failed else _COLOURS[step["part"]]
    return (
        f"<text x='0' y='12' {_TEXT}>{escape(_short(step['part'] + ' ' + step['step'], _STEP_MAX))}</text>"
        f"<rect x='{begin:.1f}' y='3' width='{width:.1f}' height='11' fill='{colour}'>"
        f"<title>{step['began']:.0f} to {step['ended']:.0f} s: {escape(step['step'])}</title></rect>"
    )


def _tick(event: dict[str, Any], end: float) -> str:
    text = f"{event['vm']}: {event['kind']} {event['side']}"
    return (
        f"<text x='12' y='12' {_TEXT} opacity='.7'>{escape(_short(text, _STEP_MAX))}</text>"
        f"<path d='M{_x(event['time'], end):.1f} 3v11' stroke='currentColor' stroke-width='2'>"
        f"<title>{event['time']:.0f} s</title></path>"
    )


def _axis(y: float, end: float) -> str:
    marks = "".join(
        f"<text x='{_x(end * part, end):.1f}' y='{y + 16}' text-anchor='middle' {_TEXT} opacity='.7'>{_time(end * part)}</text>"
        for part in (0, 0.25, 0.5, 0.75, 1)
    )
    return f"<path d='M{_LEFT} {y + 2}H{WIDTH - 30}' stroke='currentColor' opacity='.4'/>{marks}"


def _x(time: float, end: float) -> float:
    return _LEFT + (WIDTH - 30 - _LEFT) * min(1.0, max(0.0, time / end))


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min" if seconds < 36000 else f"{seconds / 3600:.1f} h"


def traffic(case: dict[str, Any]) -> str:
    """Clients on the left, servers on the right, a line for each flow since the set-up ended. Empty where nothing was seen."""
    flows = sorted(case.get("flows", []), key=lambda flow: (flow["source"], flow["destination"], flow["port"]))[:_FLOWS_MAX]
    if not flows:
        return ""
    left = {name: row for row, name in enumerate(dict.fromkeys(flow["source"] for flow in flows))}
    right = {name: row for row, name in enumerate(sorted({flow["destination"] for flow in flows}))}
    height = max(len(left), len(right), len(flows)) * _ROW + 6
    places = [(name, 0, "start", _y(row, len(left), height)) for name, row in left.items()]
    places += [(name, WIDTH, "end", _y(row, len(right), height)) for name, row in right.items()]
    names = "".join(
        f"<text x='{x}' y='{y + 4:.1f}' text-anchor='{anchor}' {_TEXT}>{escape(_short(name, _HOST_MAX))}</text>"
        for name, x, anchor, y in places
    )
    return _svg(height, names + "".join(_lines(flows, left, right, height)), "who talked to whom")


def _lines(flows: list[dict[str, Any]], left: dict[str, int], right: dict[str, int], height: float) -> Iterator[str]:
    for row, flow in enumerate(flows):
        start, end = _y(left[flow["source"]], len(left), height), _y(right[flow["destination"]], len(right), height)
        middle = _y(row, len(flows), height)
        colour = "#0969da" if flow["tls"] else "#cf222e"
        said = f":{flow['port']}  {_bytes(flow['bytes'])}" + ("" if flow["tls"] else "  not TLS")
        curve = f"M190 {start:.1f}C280 {start:.1f} 280 {middle:.1f} 340 {middle:.1f}"
        curve += f"M500 {middle:.1f}C570 {middle:.1f} 570 {end:.1f} 670 {end:.1f}"
        yield f"<path d='{curve}' fill='none' stroke='{colour}' opacity='.6'/>"
        yield f"<text x='420' y='{middle + 4:.1f}' text-anchor='middle' {_TEXT}>{escape(said)}</text>"


def _y(row: int, rows: int, height: float) -> float:
    return height * (row + 0.5) / rows


def _bytes(count: int) -> str:
    return f"{count} B" if count < 1024 else f"{count / 1024:.1f} KiB" if count < 1 << 20 else f"{count / (1 << 20):.1f} MiB"


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _svg(height: float, body: str, title: str) -> str:
    size = f"viewBox='0 0 {WIDTH} {height:.0f}' width='{WIDTH}' height='{height:.0f}'"
    return f"<svg {size} role='img'><title>{title}</title>{body}</svg>"
