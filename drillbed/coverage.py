"""`drillbed coverage vcenter`: what is answered, next to what the registry knows; counted from the code."""

from emulators.vcenter.automation.registry import operations
from emulators.vcenter.automation.table import OPERATIONS
from emulators.vcenter.kinds import coverage


def vcenter_text() -> str:
    """A line for each managed type with its counts, the sum, and the known operations that are not built."""
    found = coverage()
    lines = [f"{'type':<40} {'built':>5} {'known':>5}\n"]
    for name, (built, missing) in found.items():
        if built:
            lines.append(f"{name:<40} {len(built):>5} {len(built) + len(missing):>5}\n")
    works, known = pairs()
    share = 100 * works / known
    lines.append(f"{'sum of (type, method) pairs':<40} {works:>5} {known:>5}  {share:.0f} %\n\nKnown, not built:\n")
    lines += [f"  {name}: {', '.join(missing)}\n" for name, (_, missing) in found.items() if missing]
    every, answered = set(operations()), set(OPERATIONS)
    lines.append(
        f"\nAutomation API: {len(every & answered)} of {len(every)} operations of its sessions, machines, tags and libraries.\n"
    )
    return "".join(lines)


def pairs() -> tuple[int, int]:
    """How many (type, method) pairs are built, and how many the registry knows."""
    found = coverage().values()
    built = sum(len(works) for works, _ in found)
    return built, built + sum(len(missing) for _, missing in found)
