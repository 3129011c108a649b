"""DatastoreNamespaceManager: top folders of datastores that keep objects (vSAN, virtual volumes). Those here keep files: each
operation says so, as a vCenter does of VMFS, where `FileManager.MakeDirectory` makes folders."""

from typing import Any

from emulators.vcenter.faults import Fault
from emulators.vcenter.inventory import Call, ref
from emulators.vcenter.objects import files
from emulators.vcenter.objects.datastore import Datastore


def create(call: Call, _manager: Any, args: Any) -> None:
    """CreateDirectory."""
    raise _refusal(call.inventory.get(args["datastore"], Datastore))


def of_path(name: str) -> Any:
    """An operation on a folder that its argument `name` names."""

    def refuse(call: Call, _manager: Any, args: Any) -> None:
        where = files.place(call, args[name], args.get("datacenter"), "System.View")
        raise _refusal(where.datastore)

    return refuse


def _refusal(datastore: Datastore) -> Fault:
    text = f"{datastore.name} keeps files: FileManager makes and deletes its folders."
    return Fault("InvalidDatastore", text, datastore=ref(datastore), name=datastore.name)


NAMESPACE_OPERATIONS = {
    "ConvertNamespacePathToUuidPath": of_path("namespaceUrl"),
    "CreateDirectory": create,
    "DeleteDirectory": of_path("datastorePath"),
    "IncreaseDirectorySize": of_path("stableName"),
    "QueryDirectoryInfo": of_path("stableName"),
}
