"""Sizes, durations and times as people read them."""

from datetime import UTC, datetime

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def size_text(count: float) -> str:
    """`1536` -> `1.5 KiB`."""
    for unit in _UNITS:
        if abs(count) < 1024 or unit == _UNITS[-1]:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError("the last unit ends the loop")


def span_text(seconds: float) -> str:
    """`0.42` -> `0.42 s`, `75` -> `1 min 15 s`, `7500` -> `2 h 05 min`, `90000` -> `1 d 01 h`."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for big, large, small, little in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= big:
            return f"{whole // big} {large} {whole % big // small:02d} {little}"
    return f"{whole} s"


def time_text(when: float, pattern: str = "%Y-%m-%d %H:%M:%S") -> str:
    """Emulated time, seconds since 1970, in UTC."""
    return datetime.fromtimestamp(when, UTC).strftime(pattern)
