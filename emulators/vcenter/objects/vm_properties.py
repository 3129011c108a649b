"""The properties of a virtual machine and of its snapshots, as vim25 shows them."""

from typing import Any

from emulators.vcenter import schema
from emulators.vcenter.disks import Disk
from emulators.vcenter.entity import ENTITY_PROPERTIES, Property, escaped
from emulators.vcenter.inventory import Inventory, ref
from emulators.vcenter.layers import Layer, chain
from emulators.vcenter.objects.virtual_machine import (
    Settings,
    VirtualMachine,
    VirtualMachineSnapshot,
    guest_family,
    guest_name,
)
from emulators.vcenter.objects.vm_devices import shown
from emulators.vcenter.paths import datastore_path
from emulators.vcenter.records import Record, Ref
from emulators.vcenter.serialise import timestamp

_MHZ = 2294


def _full_path(vm: VirtualMachine, file: str) -> str:
    return datastore_path(vm.datastore_name, f"{vm.directory}/{file}" if file else vm.directory)


def config_info(vm: VirtualMachine, settings: Settings, disks: Any, pin: str | None = None) -> Record:
    """VirtualMachineConfigInfo of the machine, or of one of its snapshots (`pin`)."""
    hardware = Record(
        "VirtualHardware",
        numCPU=settings.cpus,
        numCoresPerSocket=settings.cores,
        memoryMB=settings.memory_mb,
        device=shown(vm, settings, disks, pin),
        virtualICH7MPresent=False,
        virtualSMCPresent=False,
    )
    info = Record(
        "VirtualMachineConfigInfo",
        changeVersion=timestamp(vm.modified) + f".{vm.change_version}",
        modified=vm.modified,
        name=escaped(vm.name),
        guestFullName=guest_name(settings.guest_id),
        version=vm.version,
        uuid=vm.uuid,
        createDate=vm.created,
        instanceUuid=vm.instance_uuid,
        template=vm.template,
        guestId=settings.guest_id,
        alternateGuestName="",
        annotation=settings.annotation,
        files=Record(
            "VirtualMachineFileInfo",
            vmPathName=_full_path(vm, vm.vmx),
            snapshotDirectory=_full_path(vm, ""),
            suspendDirectory=_full_path(vm, ""),
            logDirectory=_full_path(vm, ""),
        ),
        tools=Record("ToolsConfigInfo", toolsVersion=int(vm.guest.tools_version), afterPowerOn=True, beforeGuestShutdown=True),
        flags=Record("VirtualMachineFlagInfo", disableAcceleration=False, enableLogging=True, runWithDebugInfo=False),
        defaultPowerOps=Record("VirtualMachineDefaultPowerOpInfo", powerOffType="soft", suspendType="hard", resetType="soft"),
        hardware=hardware,
        cpuAllocation=_allocation(1000 * settings.cpus),
        memoryAllocation=_allocation(10 * settings.memory_mb),
        extraConfig=[Record("OptionValue", key=key, value=value) for key, value in settings.extra.values()],
        bootOptions=Record("VirtualMachineBootOptions", bootDelay=0, enterBIOSSetup=False, efiSecureBootEnabled=False),
        firmware=settings.firmware,
        changeTrackingEnabled=settings.tracking,
        guestAutoLockEnabled=False,
        messageBusTunnelEnabled=False,
    )
    info.fields.update(settings.more)
    return info


def _allocation(shares: int) -> Record:
    return Record(
        "ResourceAllocationInfo",
        reservation=0,
        expandableReservation=False,
        limit=-1,
        shares=Record("SharesInfo", shares=shares, level="normal"),
    )


def _config(_inventory: Inventory, vm: VirtualMachine) -> Record:
    return config_info(vm, vm.settings, vm.disks)


def _runtime(inventory: Inventory, vm: VirtualMachine) -> Record:
    runtime = Record(
        "VirtualMachineRuntimeInfo",
        host=vm.host,
        connectionState="connected" if inventory.find(vm.host.moid).connection == "connected" else "disconnected",
        powerState=vm.power,
        faultToleranceState="notConfigured",
        toolsInstallerMounted=vm.tools_mounted,
        suspendInterval=0,
        numMksConnections=0,
        recordReplayState="inactive",
        onlineStandby=False,
        maxCpuUsage=_MHZ * vm.settings.cpus,
        maxMemoryUsage=vm.settings.memory_mb,
        consolidationNeeded=any(disk.merges for disk in vm.disks.values()),
    )
    if vm.boot_time is not None:
        runtime["bootTime"] = vm.boot_time
    if vm.question is not None:
        runtime["question"] = vm.question
    return runtime


def _summary(inventory: Inventory, vm: VirtualMachine) -> Record:
    settings = vm.settings
    kinds = [device.kind for device in settings.devices.values()]
    config = Record(
        "VirtualMachineConfigSummary",
        name=escaped(vm.name),
        template=vm.template,
        vmPathName=_full_path(vm, vm.vmx),
        memorySizeMB=settings.memory_mb,
        cpuReservation=0,
        memoryReservation=0,
        numCpu=settings.cpus,
        numEthernetCards=sum(schema.is_a(kind, "VirtualEthernetCard") for kind in kinds),
        numVirtualDisks=kinds.count("VirtualDisk"),
        uuid=vm.uuid,
        instanceUuid=vm.instance_uuid,
        guestId=settings.guest_id,
        guestFullName=guest_name(settings.guest_id),
        annotation=settings.annotation,
    )
    committed = sum(disk.used() for disk in vm.disks.values())
    provisioned = sum(disk.size for disk in vm.disks.values())
    return Record(
        "VirtualMachineSummary",
        vm=ref(vm),
        runtime=_runtime(inventory, vm),
        guest=_guest_summary(vm),
        config=config,
        storage=Record(
            "VirtualMachineStorageSummary",
            committed=committed,
            uncommitted=max(0, provisioned - committed),
            unshared=committed,
            timestamp=inventory.clock.now(),
        ),
        quickStats=Record(
            "VirtualMachineQuickStats",
            overallCpuUsage=0,
            guestMemoryUsage=0,
            hostMemoryUsage=0,
            guestHeartbeatStatus=_heartbeat(inventory, vm),
        ),
        overallStatus="green",
    )


def _tools(vm: VirtualMachine) -> dict[str, Any]:
    running = vm.guest.running
    return {
        "toolsStatus": "toolsOk" if running else "toolsNotRunning",
        "toolsVersionStatus2": "guestToolsCurrent",
        "toolsRunningStatus": "guestToolsRunning" if running else "guestToolsNotRunning",
    }


def _guest_summary(vm: VirtualMachine) -> Record:
    summary = Record(
        "VirtualMachineGuestSummary",
        guestId=vm.settings.guest_id,
        guestFullName=guest_name(vm.settings.guest_id),
        **_tools(vm),
    )
    if vm.guest.running:
        summary["hostName"] = vm.guest.hostname
        if vm.guest.addresses:
            summary["ipAddress"] = vm.guest.addresses[0]
    return summary


def _guest(_inventory: Inventory, vm: VirtualMachine) -> Record:
    guest = vm.guest
    info = Record(
        "GuestInfo",
        **_tools(vm),
        toolsVersionStatus="guestToolsCurrent",
        guestState="running" if guest.running else "notRunning",
        interactiveGuestOperationsReady=False,
        guestOperationsReady=guest.running,
        guestStateChangeSupported=guest.running,
    )
    if guest.running:
        info.fields.update(
            toolsVersion=guest.tools_version,
            guestId=vm.settings.guest_id,
            guestFamily=guest_family(vm.settings.guest_id),
            guestFullName=guest_name(vm.settings.guest_id),
            hostName=guest.hostname,
            net=_guest_nics(vm),
            screen=Record("GuestScreenInfo", width=vm.screen[0], height=vm.screen[1]),
        )
        if guest.addresses:
            info["ipAddress"] = guest.addresses[0]
    return info


def _guest_nics(vm: VirtualMachine) -> list[Record]:
    cards = [device for key, device in sorted(vm.settings.devices.items()) if device["macAddress"]]
    nics = []
    for number, card in enumerate(cards):
        addresses = vm.guest.addresses if number == 0 else []
        nics.append(
            Record(
                "GuestNicInfo",
                network=card["deviceInfo"]["summary"],
                ipAddress=list(addresses),
                macAddress=card["macAddress"],
                connected=True,
                deviceConfigId=card["key"],
            )
        )
    return nics


def _heartbeat(_inventory: Inventory, vm: VirtualMachine) -> str:
    return "green" if vm.guest.running else "gray"


# files ---------------------------------------------------------------------------------------------------------------


def _layout_ex(inventory: Inventory, vm: VirtualMachine) -> Record:
    files: list[Record] = []
    disks: list[Record] = []

    def add(name: str, kind: str, size: int) -> int:
        files.append(
            Record("VirtualMachineFileLayoutExFileInfo", key=len(files), name=name, type=kind, size=size, uniqueSize=size)
        )
        return len(files) - 1

    add(_full_path(vm, vm.vmx), "config", 2048)
    for key, disk in sorted(vm.disks.items()):
        units, order = [], _from_base(disk)
        for layer in [*order, *(one for one in disk.layers if one not in order)]:
            name = datastore_path(vm.datastore_name, disk.store.relative(layer.path))
            extent = datastore_path(vm.datastore_name, disk.store.relative(layer.extent))
            told = disk.store.path(disk.store.relative(layer.path)).stat().st_size
            keys = [add(name, "diskDescriptor", told), add(extent, "diskExtent", layer.allocated())]
            units.append(Record("VirtualMachineFileLayoutExDiskUnit", fileKey=keys))
        disks.append(Record("VirtualMachineFileLayoutExDiskLayout", key=key, chain=units[: len(order)]))
    return Record("VirtualMachineFileLayoutEx", file=files, disk=disks, timestamp=inventory.clock.now())


def _from_base(disk: Disk) -> list[Layer]:
    """The layers that make up what the machine sees, the base first. Other snapshots may have more."""
    return list(chain(disk.top))[::-1]


def _layout(_inventory: Inventory, vm: VirtualMachine) -> Record:
    disks = [
        Record(
            "VirtualMachineFileLayoutDiskLayout",
            key=key,
            diskFile=[datastore_path(vm.datastore_name, disk.store.relative(layer.path)) for layer in _from_base(disk)],
        )
        for key, disk in sorted(vm.disks.items())
    ]
    return Record("VirtualMachineFileLayout", configFile=[vm.vmx], disk=disks)


def _storage(inventory: Inventory, vm: VirtualMachine) -> Record:
    committed = sum(disk.used() for disk in vm.disks.values())
    provisioned = sum(disk.size for disk in vm.disks.values())
    usage = Record(
        "VirtualMachineUsageOnDatastore",
        datastore=vm.datastore,
        committed=committed,
        uncommitted=max(0, provisioned - committed),
        unshared=committed,
    )
    return Record("VirtualMachineStorageInfo", perDatastoreUsage=[usage], timestamp=inventory.clock.now())


# snapshots -----------------------------------------------------------------------------------------------------------


def _tree(vm: VirtualMachine, parent: str | None) -> list[Record]:
    return [
        Record(
            "VirtualMachineSnapshotTree",
            snapshot=ref(snapshot),
            vm=ref(vm),
            name=snapshot.name,
            description=snapshot.description,
            id=snapshot.number,
            createTime=snapshot.created,
            state=snapshot.power,
            quiesced=snapshot.quiesced,
            childSnapshotList=_tree(vm, snapshot.moid),
            replaySupported=False,
        )
        for snapshot in vm.snapshots.values()
        if snapshot.parent == parent
    ]


def _snapshot(_inventory: Inventory, vm: VirtualMachine) -> Record | None:
    if not vm.snapshots:
        return None
    info = Record("VirtualMachineSnapshotInfo", rootSnapshotList=_tree(vm, None))
    if vm.current:
        info["currentSnapshot"] = Ref("VirtualMachineSnapshot", vm.current)
    return info


def _children_of(inventory: Inventory, snapshot: VirtualMachineSnapshot) -> list[Ref]:
    vm = inventory.get(snapshot.owner, VirtualMachine)
    return [ref(other) for other in vm.snapshots.values() if other.parent == snapshot.moid]


def _snapshot_config(inventory: Inventory, snapshot: VirtualMachineSnapshot) -> Record:
    vm = inventory.get(snapshot.owner, VirtualMachine)
    return config_info(vm, snapshot.settings, snapshot.disks, snapshot.moid)


SNAPSHOT_PROPERTIES: dict[str, Property] = {
    "config": _snapshot_config,
    "childSnapshot": _children_of,
    "vm": lambda _inventory, snapshot: snapshot.owner,
    "value": lambda _inventory, _snapshot: [],
    "availableField": lambda _inventory, _snapshot: [],
}


def _capability(_inventory: Inventory, _vm: VirtualMachine) -> Record:
    yes = {
        "snapshotOperationsSupported",
        "multipleSnapshotsSupported",
        "poweredOffSnapshotsSupported",
        "memorySnapshotsSupported",
        "revertToSnapshotSupported",
        "quiescedSnapshotsSupported",
        "snapshotConfigSupported",
        "changeTrackingSupported",
        "multipleCoresPerSocketSupported",
        "diskSharesSupported",
        "bootOptionsSupported",
    }
    required = [field.name for field in schema.fields("VirtualMachineCapability") if not field.optional]
    return Record("VirtualMachineCapability", **{name: name in yes for name in required})


MACHINE_PROPERTIES: dict[str, Property] = {
    **ENTITY_PROPERTIES,
    "capability": _capability,
    "config": _config,
    "datastore": lambda _inventory, vm: [vm.datastore],
    "environmentBrowser": lambda _inventory, vm: vm.environment_browser,
    "guest": _guest,
    "guestHeartbeatStatus": _heartbeat,
    "layout": _layout,
    "layoutEx": _layout_ex,
    "network": lambda inventory, vm: _networks(inventory, vm),
    "resourcePool": lambda _inventory, vm: None if vm.template else vm.pool,
    "rootSnapshot": lambda _inventory, vm: [ref(s) for s in vm.snapshots.values() if s.parent is None],
    "runtime": _runtime,
    "snapshot": _snapshot,
    "storage": _storage,
    "summary": _summary,
}


def _networks(inventory: Inventory, vm: VirtualMachine) -> list[Ref]:
    return [one for one in inventory.find(vm.host.moid).networks if vm.is_on(inventory.find(one.moid))]
