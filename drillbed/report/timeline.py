"""The drill on a line of emulated time: steps, recovery points of each machine, what happened, and the RPO below."""

from collections.abc import Callable

from markupsafe import Markup

from drillbed.report.result import DrillResult, Mark
from drillbed.report.svg import element, join, picture, text
from drillbed.report.units import span_text, time_text

WIDTH = 1120.0
LEFT, RIGHT = 92.0, 18.0
STEP_HEIGHT, LANE_HEIGHT, MARK_HEIGHT, RPO_HEIGHT, AXIS_HEIGHT = 26.0, 30.0, 17.0, 96.0, 24.0

#: Distances between marks of the axis, seconds.
TICKS = (60, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 604800)
MOST_TICKS = 12
CHARACTER = 6.3
#: Longer words of a mark are cut; its title has them all.
MOST_CHARACTERS = 34

#: Emulated time to a place from left to right.
Scale = Callable[[float], float]


def draw_timeline(result: DrillResult) -> Markup:
    """The whole drawing; an empty result gives an empty line."""
    start = result.started
    end = max([result.ended, start + 1, *(point.when for point in result.points), *(mark.when for mark in result.marks)])
    scale = (WIDTH - LEFT - RIGHT) / (end - start)

    def x(when: float) -> float:
        return LEFT + (min(max(when, start), end) - start) * scale

    machines = list(dict.fromkeys([*(point.machine for point in result.points), *(sample.machine for sample in result.rpo)]))
    marks, mark_rows = _place(result.marks, x)
    top = 4.0
    parts = [_steps(result, x, top)]
    top += STEP_HEIGHT + 6
    marks_top, lanes_top = top, top + mark_rows * MARK_HEIGHT + 6
    rpo_top = lanes_top + len(machines) * LANE_HEIGHT + 8
    bottom = rpo_top + (RPO_HEIGHT if result.rpo else 0.0)
    parts.append(_axis(start, end, x, lanes_top, bottom))
    parts.append(_marks(marks, x, marks_top, bottom))
    parts.append(_points(result, machines, x, lanes_top))
    if result.rpo:
        parts.append(_rpo(result, machines, x, rpo_top))
    described = (
        f"{len(result.points)} recovery points of {len(machines)} machines between {time_text(start)} and {time_text(end)} UTC"
    )
    return picture(WIDTH, bottom + AXIS_HEIGHT, "Timeline of the drill in emulated time", described, join(parts), "timeline")


def _steps(result: DrillResult, x: Scale, top: float) -> Markup:
    parts = [text("steps", LEFT - 8, top + 17, class_="label", text_anchor="end")]
    for number, step in enumerate(result.steps, 1):
        left, right = x(step.started), x(step.started + step.emulated_s)
        title = element("title", f"{number}. {step.name}: {span_text(step.emulated_s)}")
        width = max(right - left, 1.5)
        kind = "step" if step.ok else "step failed"
        parts.append(element("rect", title, x=left, y=top, width=width, height=STEP_HEIGHT, class_=f"{kind} s{number % 2}"))
        if width > 7 * len(str(number)) + 4:
            parts.append(text(str(number), left + width / 2, top + 17, class_="number", text_anchor="middle"))
    return join(parts)


def _place(marks: list[Mark], x: Scale) -> tuple[list[tuple[Mark, int, bool]], int]:
    """Give each mark a row in which its words do not run into others, and the side on which they stand."""
    ends: list[float] = []
    placed = []
    for mark in sorted(marks, key=lambda mark: mark.when):
        width = len(_short(mark.text)) * CHARACTER + 10
        to_left = x(mark.when) + width > WIDTH
        left = x(mark.when) - width if to_left else x(mark.when)
        row = next((number for number, end in enumerate(ends) if end <= left), len(ends))
        if row == len(ends):
            ends.append(0.0)
        ends[row] = left + width
        placed.append((mark, row, to_left))
    return placed, len(ends)


def _short(words: str) -> str:
    return words if len(words) <= MOST_CHARACTERS else words[: MOST_CHARACTERS - 1].rstrip() + "…"


def _marks(marks: list[tuple[Mark, int, bool]], x: Scale, top: float, bottom: float) -> Markup:
    parts = []
    for mark, row, to_left in marks:
        at, y = x(mark.when), top + row * MARK_HEIGHT
        title = element("title", f"{time_text(mark.when)}: {mark.text}{f' ({mark.machine})' if mark.machine else ''}")
        parts.append(element("line", title, x1=at, x2=at, y1=y + 2, y2=bottom, class_=f"mark {mark.kind}"))
        anchor = "end" if to_left else "start"
        parts.append(
            text(_short(mark.text), at + (-4 if to_left else 4), y + 12, class_=f"marktext {mark.kind}", text_anchor=anchor)
        )
    return join(parts)


def _points(result: DrillResult, machines: list[str], x: Scale, top: float) -> Markup:
    parts = []
    for row, machine in enumerate(machines):
        middle = top + row * LANE_HEIGHT + LANE_HEIGHT / 2
        parts.append(element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=middle, y2=middle, class_="lane"))
        parts.append(text(machine, LEFT - 8, middle + 4, class_=f"label m{row % 6}", text_anchor="end"))
        for point in (point for point in result.points if point.machine == machine):
            words = f"{machine}, {time_text(point.when)}, {point.kind}{', shared by the group' if point.shared else ''}"
            at, size = x(point.when), 6.0 if point.kind.startswith("App") else 4.0
            shape = f"M{at:.1f} {middle - size}l{size} {size}l-{size} {size}l-{size} -{size}z"
            shared = " shared" if point.shared else ""
            parts.append(element("path", element("title", words), d=shape, class_=f"point m{row % 6}{shared}"))
    return join(parts)


def _rpo(result: DrillResult, machines: list[str], x: Scale, top: float) -> Markup:
    most = max(max(sample.seconds for sample in result.rpo), 60.0)
    height = RPO_HEIGHT - 18

    def y(seconds: float) -> float:
        return top + height - seconds / most * (height - 8) + 8

    parts = [text("RPO", LEFT - 8, top + 20, class_="label", text_anchor="end")]
    for value in (0.0, most / 2, most):
        parts.append(element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y(value), y2=y(value), class_="grid"))
        parts.append(text(span_text(value) if value else "0", LEFT - 8, y(value) + 4, class_="small", text_anchor="end"))
    parts[0] = text("RPO", LEFT + 6, y(most) + 13, class_="label")
    for row, machine in enumerate(machines):
        samples = sorted((sample for sample in result.rpo if sample.machine == machine), key=lambda sample: sample.when)
        path = "".join(f"{'L' if number else 'M'}{x(s.when):.1f} {y(s.seconds):.1f}" for number, s in enumerate(samples))
        if path:
            parts.append(element("path", element("title", f"RPO of {machine}"), d=path, class_=f"rpo m{row % 6}"))
        for sample in samples:
            words = element("title", f"{machine}, {time_text(sample.when)}: RPO {span_text(sample.seconds)}")
            parts.append(element("circle", words, cx=x(sample.when), cy=y(sample.seconds), r=2.4, class_=f"dot m{row % 6}"))
    return join(parts)


def _axis(start: float, end: float, x: Scale, top: float, bottom: float) -> Markup:
    spacing = next((spacing for spacing in TICKS if (end - start) / spacing <= MOST_TICKS), TICKS[-1])
    pattern = "%H:%M" if end - start < 86400 else "%d %b %H:%M"
    parts = []
    when = start - start % spacing + spacing
    while when <= end:
        parts.append(element("line", x1=x(when), x2=x(when), y1=top, y2=bottom, class_="grid"))
        parts.append(text(time_text(when, pattern), x(when), bottom + 16, class_="small", text_anchor="middle"))
        when += spacing
    return join(parts)
