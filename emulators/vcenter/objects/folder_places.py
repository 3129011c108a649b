"""What a folder makes beside folders and machines: datacenters, clusters, switches."""

from typing import Any

from emulators.vcenter.entity import must_be_free, plain
from emulators.vcenter.faults import Fault
from emulators.vcenter.inventory import Call, ref
from emulators.vcenter.model import add_compute, add_datacenter
from emulators.vcenter.objects import switch
from emulators.vcenter.objects.folder import Folder
from emulators.vcenter.records import Record, Ref
from emulators.vcenter.tasks import Work


def _holds(folder: Folder, kind: str) -> None:
    if kind not in folder.child_types:
        raise Fault("NotSupported", f"The folder {folder.name} does not hold a {kind}.")


def create_datacenter(call: Call, folder: Folder, args: Any) -> Ref:
    """CreateDatacenter, with its four folders."""
    _holds(folder, "Datacenter")
    name = plain(args["name"])
    must_be_free(call.inventory, folder, name)
    made = add_datacenter(call.inventory, folder, name)
    argument = Record("DatacenterEventArgument", name=name, datacenter=ref(made))
    parent = Record("FolderEventArgument", name=folder.name, folder=ref(folder))
    text = f"Created datacenter {name} in folder {folder.name}"
    call.inventory.events.post("DatacenterCreatedEvent", text, user=call.user, datacenter=argument, parent=parent)
    return ref(made)


def create_cluster(call: Call, folder: Folder, args: Any) -> Ref:
    """CreateCluster, CreateClusterEx: no hosts yet."""
    _holds(folder, "ComputeResource")
    name, spec = plain(args["name"]), args["spec"]
    must_be_free(call.inventory, folder, name)
    cluster = add_compute(call.inventory, folder, name)
    for attribute, told in (("das", "dasConfig"), ("drs", "drsConfig")):
        if spec[told] is not None:
            getattr(cluster, attribute).fields.update(spec[told].fields)
    call.inventory.change(cluster, "configuration", "configurationEx")
    parent = Record("FolderEventArgument", name=folder.name, folder=ref(folder))
    argument = Record("ComputeResourceEventArgument", name=name, computeResource=ref(cluster))
    text = f"Created cluster {name} in {folder.name}"
    call.inventory.events.post("ClusterCreatedEvent", text, user=call.user, parent=parent, computeResource=argument)
    return ref(cluster)


def create_switch(call: Call, folder: Folder, args: Any) -> Work:
    """CreateDVS_Task."""
    _holds(folder, "DistributedVirtualSwitch")
    return (yield from switch.create(call, folder, args))


PLACE_OPERATIONS = {
    "CreateDatacenter": create_datacenter,
    "CreateCluster": create_cluster,
    "CreateClusterEx": create_cluster,
    "CreateDVS_Task": create_switch,
}
