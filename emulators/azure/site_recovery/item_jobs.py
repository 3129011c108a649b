"""Starting a job on a protected item."""

from collections.abc import Callable

from emulators.azure.arm import Answer, Call
from emulators.azure.site_recovery.jobs import Job, Work
from emulators.azure.site_recovery.records import Item
from emulators.azure.site_recovery.service import Service
from emulators.azure.site_recovery.views import affected_details, item_json
from emulators.azure.site_recovery.wire import Json


def start_on_item(
    service: Service,
    call: Call,
    item: Item,
    scenario: str,
    work: Callable[[Job], Work],
    *,
    operation: str = "",
    details: Json | None = None,
    gone: bool = False,
) -> Answer:
    """202 for a job that has the item to itself. `operation` is asked of the state table again before a restart; `gone`: the
    item does not outlive the job."""
    return service.start(
        call,
        service.vault(call),
        scenario,
        (item.machine_id, item.friendly),
        work,
        details={**(details or {}), "affectedObjectDetails": affected_details(service, item)},
        resource=item.id,
        occupies=[item],
        recheck=(lambda: _recheck(service, item, operation)) if operation else None,
        result=None if gone else lambda: Answer(200, item_json(service, item)),
    )


def _recheck(service: Service, item: Item, name: str) -> None:
    service.check(item, name)
