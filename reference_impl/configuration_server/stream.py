"""Where a machine's stream is: how far the source has written, how far the process server has brought it."""

from typing import Any

from reference_impl.configuration_server.fields import number, tag
from reference_impl.configuration_server.site import (
    FRESH_SECONDS,
    ONPREM,
    PROCESS_SERVER,
    SIDE,
    Document,
    Report,
    Site,
)
from reference_impl.outside import Process


def emptied(site: Site, protection: Document, seconds: float) -> Process:
    """Rest until the process server has passed on all that the source had written by now; returns whether that is all there is.

    A source that speaks says how far it has written. One that does not is done when the last thing it sent was the tag of an
    orderly shutdown; otherwise nobody knows what it still held, and the answer is False.
    """
    asked = site.clock.now()
    agent, side = site.agent_of(protection["machineId"]), SIDE[protection["direction"]]
    yield from site.until(lambda: _since(site.report(agent, side), asked) or _ended(site, protection, asked), FRESH_SECONDS)
    wanted = agent_says(site.report(agent, side), protection).get("sequence") if _since(site.report(agent, side), asked) else None
    asked_server = site.clock.now()
    position = [wanted if isinstance(wanted, int) else -1]

    def passed_on() -> bool:
        heard = _server_report(site, protection)
        if not _since(heard, asked_server):
            return False
        said = server_says(site, protection)
        if position[0] < 0:
            position[0] = number(said, "receivedSequence")
        return number(said, "uploadedSequence") >= position[0]

    done = yield from site.until(passed_on, seconds)
    return bool(done and (isinstance(wanted, int) or _ended(site, protection, asked)))


def drained(site: Site, protection: Document, seconds: float) -> Process:
    """Rest until the process server has passed on all that it has received by now; returns whether it has."""
    asked = site.clock.now()

    def passed_on() -> bool:
        said = server_says(site, protection)
        done = number(said, "uploadedSequence") >= number(said, "receivedSequence")
        return _since(_server_report(site, protection), asked) and done

    return (yield from site.until(passed_on, seconds))


def _since(heard: Report | None, asked: float) -> bool:
    return heard is not None and heard.at > asked


def _ended(site: Site, protection: Document, asked: float) -> bool:
    """Whether the stream ends with the tag of an orderly shutdown, said after `asked`."""
    said = server_says(site, protection)
    last = tag(said, "lastTag")
    if last is None or not _since(_server_report(site, protection), asked):
        return False
    return last.get("kind") == "shutdown" and number(last, "sequence") == number(said, "receivedSequence")


def _server(site: Site, protection: Document) -> tuple[Document | None, str]:
    server = site.component(PROCESS_SERVER, protection["processServerId"])
    return server, str(server["zone"]) if server else ONPREM


def _server_report(site: Site, protection: Document) -> Report | None:
    return site.report(*_server(site, protection))


def server_says(site: Site, protection: Document) -> Document:
    """The process server's report on the machine's current generation, or nothing."""
    return site.machine_report(*_server(site, protection), protection["machineId"], protection["generation"]) or {}


def agent_says(heard: Report | None, protection: Document | None) -> Document:
    """The agent's report on the current generation, or nothing."""
    said = heard.body.get("protection") if heard else None
    same = isinstance(said, dict) and protection is not None and said.get("generation") == protection["generation"]
    return dict(said) if same and isinstance(said, dict) else {}


def point_of(received: Any) -> Document | None:
    """A tag as the service wants it."""
    return {"pointId": received["pointId"], "time": received["time"]} if isinstance(received, dict) else None
