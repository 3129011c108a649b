"""The replica workers of a vault: each is told of every machine, work goes to one of them, and what one leaves another does."""

from emulators.azure.site_recovery.records import Component, Item, Vault
from emulators.azure.site_recovery.service import Service
from emulators.azure.site_recovery.states import is_forward
from emulators.azure.site_recovery.wire import Json

ROLE = "replica-worker"


def workers(service: Service, vault: Vault) -> list[Component]:
    """All that have registered with the vault."""
    return [one for one in service.components.values() if one.role == ROLE and one.vault == vault.key]


def replicated(service: Service, vault: Vault, item: Item, worker: Component, wish: Json) -> None:
    """`worker` has laid out the replica of an item's generation: the others serve it too, and so will those yet to come."""
    item.settings["replicate"] = {**wish, "prepared": True}
    for other in workers(service, vault):
        if other is not worker:
            service.hand(other, "replicate", item.settings["replicate"])


def forgotten(service: Service, vault: Vault, item: Item) -> None:
    """The replica of an item has been deleted, or one worker was told to: nobody serves it any more."""
    if item.settings.pop("replicate", None) is not None:
        for worker in workers(service, vault):
            service.hand(worker, "forget", {"machineId": item.machine_id, "dataDeleted": True})


def brief(service: Service, vault: Vault, worker: Component) -> None:
    """Tell a worker that has registered of every machine that others replicate already."""
    for item in vault.items():
        wish = item.settings.get("replicate")
        if wish is not None and wish["generation"] == item.generation and is_forward(item):
            service.hand(worker, "replicate", wish)


def take_over(service: Service, worker: Component) -> None:
    """What workers that are not heard of any more had in hand is for the one that asks: all of it can be done twice."""
    for other in list(service.components.values()):
        if other is worker or other.role != ROLE or other.vault != worker.vault or service.connected(other):
            continue
        left = [work for work in other.work.values() if not work.done and work.kind != "replicate"]
        for work in left:
            del other.work[work.id]
            worker.work[work.id] = work
            work.state = "queued"
        other.queue = [work for work in other.queue if work not in left]
        worker.queue += left
