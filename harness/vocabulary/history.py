"""Judgements on what happened: traffic, order, and what must come to hold or never hold."""

from typing import Any

from harness.product import Event, Flow
from harness.run import Judgement, Run, Step
from harness.terms import Steps
from harness.vocabulary.word import THEN, Word

Wanted = tuple[str, str, int]


def flows(
    run: Run,
    from_: str | None = None,
    to: str | None = None,
    port: int | None = None,
    exactly: list[Wanted] | None = None,
    includes: list[Wanted] | None = None,
    at_most_bytes: int | None = None,
    at_least_bytes: int | None = None,
    tls: bool | None = None,
) -> Judgement:
    """The traffic since the set-up ended, from client to server, limited to a client, a server or a port: exactly these flows, at
    least these, so many bytes in all, all of it (or none) TLS."""
    seen = [flow for flow in run.flows() if _matches(flow, from_, to, port)]
    found = {(flow.source, flow.destination, flow.port) for flow in seen}
    total = sum(flow.bytes for flow in seen)
    holds = (
        (exactly is None or found == set(exactly))
        and (includes is None or set(includes) <= found)
        and (at_most_bytes is None or total <= at_most_bytes)
        and (at_least_bytes is None or total >= at_least_bytes)
        and (tls is None or all(flow.tls == tls for flow in seen))
    )
    return Judgement(holds, _first(run, seen, exactly, tls) + _traffic(seen))


def _first(run: Run, seen: list[Flow], exactly: list[Wanted] | None, tls: bool | None) -> str:
    """The first flow that should not be, and when it began."""
    wrong = [flow for flow in seen if exactly is not None and (flow.source, flow.destination, flow.port) not in exactly]
    wrong += [flow for flow in seen if tls is not None and flow.tls != tls]
    if not wrong:
        return ""
    one = min(wrong, key=lambda flow: flow.first)
    return f"first {one.source} to {one.destination}:{one.port} at {run.since(one.first)}; in all: "


def _matches(flow: Flow, source: str | None, destination: str | None, port: int | None) -> bool:
    return source in (None, flow.source) and destination in (None, flow.destination) and port in (None, flow.port)


def _traffic(seen: list[Flow]) -> str:
    shown = [f"{f.source} to {f.destination}:{f.port} {f.bytes} bytes{'' if f.tls else ' not TLS'}" for f in seen]
    return "; ".join(sorted(shown)) or "no such traffic"


def flow_order(run: Run, flows: list[Wanted]) -> Judgement:
    """These flows began in this order, counted from the opening of the world."""
    first: dict[Wanted, float] = {}
    for flow in run.world.flows():
        key = (flow.source, flow.destination, flow.port)
        first[key] = min(flow.first, first.get(key, flow.first))
    missing = [wanted for wanted in flows if wanted not in first]
    if missing:
        return Judgement(False, "never seen: " + "; ".join(f"{a} to {b}:{port}" for a, b, port in missing))
    times = [first[wanted] for wanted in flows]
    return Judgement(times == sorted(times), "; ".join(f"{a} to {b}:{p} at {run.since(first[a, b, p])}" for a, b, p in flows))


def _starts(run: Run, vms: list[str], side: str) -> tuple[dict[str, tuple[float, float]], list[str]]:
    """Machine to (starting, started), of the last start of each; and the machines that never started."""
    begun: dict[str, float] = {}
    found: dict[str, tuple[float, float]] = {}
    for event in sorted(run.session.events(), key=_when):
        if event.side == side and event.vm in vms:
            if event.kind == "starting":
                begun[event.vm] = event.time
            elif event.kind == "started" and event.vm in begun:
                found[event.vm] = (begun[event.vm], event.time)
    return found, [vm for vm in vms if vm not in found]


def _when(event: Event) -> float:
    return event.time


def start_order(run: Run, groups: list[list[str]], side: str = "azure") -> Judgement:
    """No machine began to start before every machine of the earlier groups had started. A partial order: slow is right too."""
    found, missing = _starts(run, [vm for group in groups for vm in group], side)
    if missing:
        return Judgement(False, f"never started: {', '.join(missing)}")
    ready = float("-inf")
    for group in groups:
        early = [vm for vm in group if found[vm][0] < ready]
        if early:
            return Judgement(
                False,
                f"{early[0]} began to start at {run.since(found[early[0]][0])}, the group before was up at {run.since(ready)}",
            )
        ready = max([ready, *(found[vm][1] for vm in group)])
    return Judgement(True, "in order")


def started_together(run: Run, vms: list[str], side: str = "azure") -> Judgement:
    """The machines started in parallel: each began before any other had started."""
    found, missing = _starts(run, vms, side)
    if missing:
        return Judgement(False, f"never started: {', '.join(missing)}")
    last_begin = max(begin for begin, _ in found.values())
    first_end = min(end for _, end in found.values())
    at_once = len({begin for begin, _ in found.values()}) == 1
    seen = f"the last began at {run.since(last_begin)}, the first was up at {run.since(first_end)}"
    return Judgement(at_once or last_begin < first_end, seen)


def event_order(run: Run, vm: str, events: list[tuple[str, str]]) -> Judgement:
    """These events of the machine, each as [kind, side], happened in this order (others may lie between)."""
    left = list(events)
    history = [event for event in sorted(run.session.events(), key=_when) if event.vm == vm]
    for event in history:
        if left and (event.kind, event.side) == left[0]:
            left.pop(0)
    missed = f"{left[0][0]} {left[0][1]} did not come in its place; " if left else ""
    told = "; ".join(f"{event.kind} {event.side} at {run.since(event.time)}" for event in history)
    return Judgement(not left, missed + (told or f"no events of {vm}"))


# judgements on judgements --------------------------------------------------------------------------------------------------


def judge(run: Run, steps: tuple[Step, ...]) -> tuple[Step, Judgement] | None:
    """The first judgement that does not hold."""
    for step in steps:
        judgement: Judgement = step.function(run, **step.arguments)
        if not judgement.holds:
            return step, judgement
    return None


def any_of(run: Run, readings: list[Steps]) -> Judgement:
    """At least one of the readings holds, whole. Each reading is a list of judgements."""
    seen = []
    for number, reading in enumerate(readings, start=1):
        failed = judge(run, reading)
        if failed is None:
            return Judgement(True, f"reading {number} holds")
        seen.append(f"reading {number}: {failed[0].text}: {failed[1].seen}")
    return Judgement(False, "; ".join(seen))


def eventually(run: Run, within_minutes: float, *, judgements: Any) -> Judgement:
    """The judgements come to hold, all at one moment, while so many minutes pass. It moves the clock, it does not sleep."""
    run.wait_until(lambda: judge(run, judgements) is None, within_minutes * 60)
    failed = judge(run, judgements)
    if failed is None:
        return Judgement(True, "holds")
    return Judgement(False, f"after {within_minutes:g} minutes: {failed[0].text}: {failed[1].seen}")


def never(run: Run, for_minutes: float, *, judgements: Any) -> Judgement:
    """The judgements do not all hold at any moment while so many minutes pass."""
    held = run.wait_until(lambda: judge(run, judgements) is None, for_minutes * 60)
    texts = " and ".join(step.text for step in judgements)
    return Judgement(not held, f"{texts} {'held at ' + run.since(run.world.now()) if held else 'never held'}")


def still(run: Run, for_minutes: float, *, judgements: Any) -> Judgement:
    """The judgements hold at every moment while so many minutes pass."""
    broke = run.wait_until(lambda: judge(run, judgements) is not None, for_minutes * 60)
    failed = judge(run, judgements)
    when = run.since(run.world.now())
    return Judgement(not broke, f"at {when}: {failed[0].text}: {failed[1].seen}" if failed else "held")


WORDS = (
    Word("flows", THEN, flows, "{from: web, port: 9443, exactly: [[web, process-server, 9443]]}"),
    Word("flow_order", THEN, flow_order, "{flows: [[configuration-server, web, 135], [web, process-server, 9443]]}"),
    Word("start_order", THEN, start_order, "{groups: [[db], [app1, app2], [web]]}"),
    Word("started_together", THEN, started_together, "{vms: [a, b]}"),
    Word("event_order", THEN, event_order, "{vm: web, events: [[shut-down, onprem], [created, azure]]}"),
    Word("any_of", THEN, any_of, "[[{refused: {because: snapshot-present}}], [accepted]]"),
    Word("eventually", THEN, eventually, "{within_minutes: 15, state: {vm: web, is: protected}}"),
    Word("never", THEN, never, "{for_minutes: 60, state: {vm: web, is: failed-over}}"),
    Word("still", THEN, still, "{for_minutes: 60, state: {vm: web, is: protected}}"),
)
