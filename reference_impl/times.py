"""Times on the wire: ISO 8601 UTC as the component protocol writes them, epoch seconds inside."""

from datetime import UTC, datetime


def iso(when: float) -> str:
    """Epoch seconds as `2018-06-04T08:00:00.5Z`, trailing zeros cut."""
    moment = datetime.fromtimestamp(when, UTC)
    fraction = f"{moment.microsecond:06d}".rstrip("0")
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + (f".{fraction}" if fraction else "") + "Z"


def epoch(text: str) -> float:
    """The reverse of `iso`; takes any ISO 8601 time, one without a zone is UTC. Raises `ValueError`."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
