"""StorageResourceManager: storage DRS of pods, where disks go, and I/O control of datastores."""

from typing import Any

from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call, Inventory, ref
from emulators.vcenter.objects.datastore import Datastore
from emulators.vcenter.objects.folder import Folder
from emulators.vcenter.plainest import plainest
from emulators.vcenter.records import Record
from emulators.vcenter.tasks import Work

SECONDS = 1.0
_KINDS = ("create", "clone", "relocate", "reconfigure")


def _pod(inventory: Inventory, told: Any) -> Folder:
    pod = inventory.get(told, Folder)
    if pod.storage_drs is None:
        raise invalid_argument("pod", "It is no storage pod.")
    return pod


def configure(call: Call, _service: Any, args: Any) -> Work:
    """ConfigureStorageDrsForPod_Task: the plain fields; rules of single machines are refused."""
    spec = args["spec"]
    told = spec["podConfigSpec"]
    unknown = (
        "vmConfigSpec" if spec["vmConfigSpec"] else next((n for n in ("rule", "option") if told is not None and told[n]), None)
    )
    if unknown:
        raise Fault("NotSupported", f"Configuring {unknown} is not supported by this emulator.")
    pod = _pod(call.inventory, args["pod"])
    yield SECONDS
    changes = {name: value for name, value in told.copy().fields.items() if value is not None} if told is not None else {}
    if changes.get("defaultVmBehavior", "manual") not in ("manual", "automated"):
        raise invalid_argument("spec.podConfigSpec.defaultVmBehavior", "manual or automated.")
    assert pod.storage_drs is not None, "it is a pod"
    kept = (
        pod.storage_drs.fields
        if args["modify"]
        else {"enabled": False, "ioLoadBalanceEnabled": False, "defaultVmBehavior": "manual"}
    )
    pod.storage_drs = Record("StorageDrsPodConfigInfo", **{**kept, **changes})
    call.inventory.change(pod, "podStorageDrsEntry")


def recommend(call: Call, _service: Any, args: Any) -> Record:
    """RecommendDatastores: the datastores of a pod with room, the one with most of it first."""
    inventory, spec = call.inventory, args["storageSpec"]
    if spec["type"] not in _KINDS:
        raise invalid_argument("storageSpec.type", f"It is one of {', '.join(_KINDS)}.")
    told = spec["podSelectionSpec"]["storagePod"]
    if told is None:
        raise invalid_argument("storageSpec.podSelectionSpec.storagePod", "A pod is required.")
    pod = _pod(inventory, told)
    found = [inventory.get(one, Datastore) for one in pod.children]
    usable = [one for one in found if one.maintenance == "normal" and one.hosts]
    ranked = sorted(usable, key=lambda one: -inventory.stores[one.moid].free)
    made = []
    for number, store in enumerate(ranked, 1):
        space = inventory.stores[store.moid]
        location = Record("VirtualMachineRelocateSpec", datastore=ref(store))
        used = 100.0 * (space.capacity - space.free) / space.capacity
        action = Record("StoragePlacementAction", type="StoragePlacementV1", relocateSpec=location, destination=ref(store))
        action["spaceUtilBefore"] = used
        made.append(
            Record(
                "ClusterRecommendation",
                key=str(number),
                type="V1",
                time=inventory.clock.now(),
                rating=max(1, 5 - int(used / 20)),
                reason="storagePlacement",
                reasonText="Satisfy storage initial placement requests",
                action=[action],
                target=ref(pod),
            )
        )
    if not made:
        raise Fault("InvalidState", f"No datastore of {pod.name} can take the files.")
    return Record("StoragePlacementResult", recommendations=made)


def configure_io(call: Call, _service: Any, args: Any) -> Work:
    """ConfigureDatastoreIORM_Task."""
    store, spec = call.inventory.get(args["datastore"], Datastore), args["spec"]
    threshold = spec["congestionThreshold"]
    if threshold is not None and not 5 <= threshold <= 100:
        raise invalid_argument("spec.congestionThreshold", "5 to 100 milliseconds.")
    yield SECONDS
    store.io_control = Record(
        "StorageIORMInfo",
        **{
            **io_control(call.inventory, store).fields,
            **{name: value for name, value in spec.fields.items() if value is not None},
        },
    )
    call.inventory.change(store, "iormConfiguration")


def io_control(_inventory: Inventory, store: Datastore) -> Record:
    """`Datastore.iormConfiguration`."""
    if store.io_control is not None:
        return store.io_control
    return Record(
        "StorageIORMInfo",
        enabled=False,
        congestionThresholdMode="automatic",
        congestionThreshold=30,
        statsCollectionEnabled=False,
        reservationEnabled=False,
    )


def io_options(_call: Call, _service: Any, _args: Any) -> Record:
    """QueryIORMConfigOption."""
    threshold = Record("IntOption", min=5, max=100, defaultValue=30)
    return plainest("StorageIORMConfigOption", congestionThresholdOption=threshold)


PLACEMENT_OPERATIONS = {
    "ConfigureStorageDrsForPod_Task": configure,
    "RecommendDatastores": recommend,
    "ConfigureDatastoreIORM_Task": configure_io,
    "QueryIORMConfigOption": io_options,
}
