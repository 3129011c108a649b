"""What an operation of the Automation API has done by vim25: the same checks, events and faults hold for both."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from emulators.vcenter.authorization import may_read
from emulators.vcenter.automation.errors import Refusal
from emulators.vcenter.inventory import Call


@dataclass(frozen=True, slots=True)
class Act:
    """A method of vim25 to carry out on an object."""

    managed: Any
    method: str
    args: dict[str, Any]


#: An operation that changes something yields its acts and gets what each results in; its return value is the answer.
Acting = Generator[Act, Any, Any]
Operation = Callable[[Call, dict[str, Any]], Any]


def visible(call: Call, kinds: tuple[str, ...], moid: str) -> Any:
    """The object of an id that the caller sees. Raises `Refusal("not_found")`."""
    found = call.inventory.find(moid)
    if found is None or found.kind not in kinds or not may_read(call.inventory, call.user, found):
        raise Refusal("not_found", f"There is no {' or '.join(kinds)} with the id {moid!r}.")
    return found


def one(found: dict[str, dict[str, Any]], what: str, identifier: str) -> dict[str, Any]:
    """An entry of a table by its id. Raises `Refusal("not_found")`."""
    if identifier not in found:
        raise Refusal("not_found", f"There is no {what} {identifier}.")
    return found[identifier]
