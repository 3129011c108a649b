"""`report.html`: one page with everything in it, for people."""

from jinja2 import Environment, PackageLoader, StrictUndefined

from drillbed.report.result import DrillResult
from drillbed.report.timeline import draw_timeline
from drillbed.report.topology import draw_topology
from drillbed.report.units import size_text, span_text, time_text


def render_page(result: DrillResult) -> str:
    """The page as text. Everything that came from outside is escaped."""
    environment = Environment(
        loader=PackageLoader("drillbed.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(size=size_text, span=span_text, time=time_text)
    template = environment.get_template("report.html.j2")
    return template.render(
        result=result,
        failed=[step for step in result.steps if not step.ok],
        tiles=_tiles(result),
        timeline=draw_timeline(result),
        topology=draw_topology(result),
    )


def _tiles(result: DrillResult) -> list[tuple[str, str, str]]:
    """The figures on top: name, value, what it means."""
    equal = sum(check.equal for check in result.disks)
    plain = sum(not flow.tls for flow in result.flows)
    held = sum(step.ok for step in result.steps)
    tiles: list[tuple[str, str, str]] = [
        ("Steps held", f"{held} of {len(result.steps)}", "the drill ends at the first that does not hold"),
        ("Disks equal", f"{equal} of {len(result.disks)}", "SHA-256 of whole disks, each side"),
        ("Recovery points", str(len(result.points)), f"{sum(point.shared for point in result.points)} shared by the group"),
        (
            "Bytes moved",
            size_text(sum(flow.bytes for flow in result.flows)),
            f"{len(result.flows)} flows, {plain} without TLS",
        ),
        ("Emulated time", span_text(max(result.ended - result.started, 0.0)), f"in {span_text(result.real_s)} of real time"),
    ]
    if result.rpo:
        worst = max(result.rpo, key=lambda sample: sample.seconds)
        tiles.insert(3, ("Highest RPO", span_text(worst.seconds), f"{worst.machine}, {time_text(worst.when, '%H:%M:%S')}"))
    return tiles
