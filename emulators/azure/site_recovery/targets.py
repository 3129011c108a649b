"""What a failover makes in Azure out of replica disks:

network interface, managed disks, virtual machine; and taking it away again.
"""

from dataclasses import dataclass

from emulators.azure.compute.kinds import SIZES
from emulators.azure.site_recovery import target_nics
from emulators.azure.site_recovery.jobs import Job, Work
from emulators.azure.site_recovery.records import Item, Placement
from emulators.azure.site_recovery.refusals import Failure
from emulators.azure.site_recovery.service import Service
from emulators.azure.site_recovery.wire import Json, last_segment

#: Where the promoted disks of Azure virtual machines are, in the target account.
VHDS = "vhds"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The virtual machine to make."""

    vm_name: str
    network_id: str
    subnet: str
    test: bool


def promote(service: Service, item: Item, wanted: Wanted, point_id: str, *, job: Job) -> Work:
    """Have the replica worker copy a recovery point to disks of their own. Returns a `Placement` without NICs."""
    account_id = item.settings["targetAccountId"]
    store = {**service.azure.store(account_id), "container": VHDS}
    group = item.settings["resourceGroupId"]
    vm_id = f"{group}/providers/Microsoft.Compute/virtualMachines/{wanted.vm_name}"
    placement = Placement(vm_id, wanted.vm_name, account_id=account_id)
    mark, lun = service.clock.uuid()[:8], 0
    for disk in item.disks:
        part = "osdisk" if disk["isOsDisk"] else f"datadisk-{lun}"
        name = f"{wanted.vm_name}-{part}-{mark}"
        placement.disks.append(
            {
                "diskId": disk["diskId"],
                "lun": None if disk["isOsDisk"] else lun,
                "name": name,
                "blob": f"{name}.vhd",
                "id": f"{group}/providers/Microsoft.Compute/disks/{name}",
                "uri": f"{store['blobEndpoint']}/{VHDS}/{name}.vhd",
            }
        )
        lun += 0 if disk["isOsDisk"] else 1
    targets = [{"diskId": disk["diskId"], "account": store, "container": VHDS, "blob": disk["blob"]} for disk in placement.disks]
    worker = service.replica_worker(service.vaults[item.vault.lower()])
    wish = {"machineId": item.machine_id, "pointId": point_id, "targets": targets}
    yield from service.ask(worker, "promote", wish, job=job)
    return placement


def create(service: Service, item: Item, wanted: Wanted, placement: Placement) -> Work:
    """Make NIC, disks and virtual machine and wait until it runs. What was made stays in `placement`, also after a failure."""
    azure = service.azure
    location = service.vaults[item.vault.lower()].location
    service.observe(
        "azure-vm",
        placement.vm_id,
        machine=item.machine_id,
        name=item.friendly,
        test=wanted.test,
        os_type=item.os_type,
        disks=[{"diskId": disk["diskId"], "lun": disk["lun"], "blob": disk["blob"]} for disk in placement.disks],
    )
    wishes = target_nics.wished(item, limit=nic_limit(item), subnet=wanted.subnet, test=wanted.test)
    for wish in wishes:
        yield from _make_nic(service, item, wanted, placement, wish)
    for disk in placement.disks:
        source = {"createOption": "Import", "sourceUri": disk["uri"], "storageAccountId": placement.account_id}
        properties: Json = {"creationData": source}
        if disk["lun"] is None:
            properties["osType"] = "Windows" if item.os_type == "WINDOWS" else "Linux"
            properties["hyperVGeneration"] = "V2" if item.protectable.get("firmware") == "EFI" else "V1"  # AVM-007
        body: Json = {"location": location, "sku": {"name": "Standard_LRS"}, "properties": properties}
        yield from azure.run("PUT", disk["id"], body, "azure-vm-not-created")
    yield from azure.run("PUT", placement.vm_id, _machine(item, location, placement), "azure-vm-not-created")
    service.observe("azure-vm-running", placement.vm_id, machine=item.machine_id, test=wanted.test)


def _make_nic(service: Service, item: Item, wanted: Wanted, placement: Placement, wish: target_nics.NicWish) -> Work:
    """One interface, without a public address (AVM-005). A test takes another address where its own is taken (TFO-008); a
    failover fails then (AVM-004)."""
    group = item.settings["resourceGroupId"]
    nic = f"{group}/providers/Microsoft.Network/networkInterfaces/{wanted.vm_name}-nic-{service.clock.uuid()[:8]}"
    placement.nics.append(nic)
    for address in (wish.address, "") if wanted.test and wish.address else (wish.address,):
        method: Json = {"privateIPAllocationMethod": "Dynamic"}
        if address:
            method = {"privateIPAllocationMethod": "Static", "privateIPAddress": address}
        subnet = {"id": f"{wanted.network_id}/subnets/{wish.subnet}"}
        configuration = {"name": "ipconfig1", "properties": {"subnet": subnet, "primary": True, **method}}
        location = service.vaults[item.vault.lower()].location
        body: Json = {"location": location, "properties": {"ipConfigurations": [configuration]}}
        try:
            yield from service.azure.run("PUT", nic, body, "azure-nic-not-created")
            return
        except Failure:
            if not (wanted.test and address):
                raise


def nic_limit(item: Item) -> int:
    """How many interfaces the item's size takes (AVM-003); a size that does not exist fails when the machine is made."""
    size = SIZES.get(str(item.settings["vmSize"]).lower())
    return size.interfaces if size is not None else 1


def remove(service: Service, item: Item, placement: Placement) -> Work:
    """Delete exactly what a failover made (TFO-005): machine, interfaces, disks, their blobs."""
    azure = service.azure
    yield from azure.delete(placement.vm_id, "azure-vm-not-created")
    for nic in placement.nics:
        yield from azure.delete(nic, "azure-nic-not-created")
    for disk in placement.disks:
        yield from azure.delete(disk["id"], "azure-vm-not-created")
    store = {**service.azure.store(placement.account_id), "container": VHDS}
    worker = service.replica_worker(service.vaults[item.vault.lower()])
    blobs = [disk["blob"] for disk in placement.disks]
    yield from service.ask(worker, "discard", {"account": store, "container": VHDS, "blobs": blobs})
    service.observe("azure-vm-removed", placement.vm_id, machine=item.machine_id)


def subnets(service: Service, network_id: str) -> list[str]:
    """Names of the subnets of a virtual network. Raises `Failure` when there is no such network."""
    if service.azure.find(network_id) is None:
        raise Failure("network-missing", f"The virtual network '{last_segment(network_id)}' does not exist.")
    network = service.azure.call("GET", network_id).body
    return [str(subnet["name"]) for subnet in network["properties"].get("subnets", [])]


def stop(service: Service, vm_id: str) -> Work:
    """Shut an Azure virtual machine down in an orderly way, if it runs."""
    if service.azure.power_state(vm_id) == "running":
        yield from service.azure.run("POST", f"{vm_id}/powerOff", None, "azure-vm-not-running")


def _machine(item: Item, location: str, placement: Placement) -> Json:
    storage: Json = {"dataDisks": []}
    for disk in placement.disks:
        entry: Json = {"name": disk["name"], "createOption": "Attach", "managedDisk": {"id": disk["id"]}}
        if disk["lun"] is None:
            storage["osDisk"] = {**entry, "osType": "Windows" if item.os_type == "WINDOWS" else "Linux"}
        else:
            storage["dataDisks"].append({**entry, "lun": disk["lun"]})
    interfaces = [{"id": nic, "properties": {"primary": index == 0}} for index, nic in enumerate(placement.nics)]
    return {
        "location": location,
        "properties": {
            "hardwareProfile": {"vmSize": item.settings["vmSize"]},
            "storageProfile": storage,
            "networkProfile": {"networkInterfaces": interfaces},
            **({"availabilitySet": {"id": item.settings["availabilitySet"]}} if item.settings.get("availabilitySet") else {}),
        },
    }
