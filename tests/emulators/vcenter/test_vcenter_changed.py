"""Changed-block tracking over the wire, and disks that are open only while they are used."""

import os
from pathlib import Path

import pytest
from pyVmomi import vim, vmodl

from emulators.clock import Clock
from emulators.vcenter.disk_store import DiskStore
from emulators.vcenter.layers import MOST_OPEN
from emulators.vcenter.vmdk import BLOCK


def track(site, vm, wanted):
    site.wait(vm.Reconfigure(vim.vm.ConfigSpec(changeTrackingEnabled=wanted)))


def change_id(vm):
    return next(device for device in vm.config.hardware.device if isinstance(device, vim.vm.device.VirtualDisk)).backing.changeId


def areas(vm, since):
    found = vm.QueryChangedDiskAreas(snapshot=None, deviceKey=2000, startOffset=0, changeId=since)
    return [(area.start, area.length) for area in found.changedArea]


def test_tracking_that_is_turned_off_starts_anew(site, si):
    vm, disk = site.vm(si, "web"), site.vcenter.disks_of(site.web)[0]
    disk.write(0, b"before")
    assert change_id(vm) is None
    track(site, vm, True)
    first = change_id(vm)
    disk.write(5 * BLOCK, b"after")
    assert areas(vm, first) == [(5 * BLOCK, BLOCK)]
    assert areas(vm, "*") == [(0, BLOCK), (5 * BLOCK, BLOCK)]
    track(site, vm, False)
    assert change_id(vm) is None
    track(site, vm, True)
    second = change_id(vm)
    assert second.partition("/")[0] != first.partition("/")[0]
    with pytest.raises(vmodl.fault.InvalidArgument) as refused:
        areas(vm, first)
    assert refused.value.invalidProperty == "changeId"
    assert areas(vm, second) == []


def test_many_disks_hold_few_files_open_and_all_their_bytes(tmp_path):
    def opened():
        held = [Path(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")]
        return sum(one.is_symlink() and str(tmp_path) in os.readlink(one) for one in held)

    store = DiskStore(tmp_path, 1 << 40, Clock(seed=1).uuid)
    disks = [store.create(f"vm{number}/vm{number}.vmdk", 2 * BLOCK) for number in range(MOST_OPEN + 60)]
    assert opened() == 0
    for number, disk in enumerate(disks):
        disk.write(number, str(number).encode())
    assert 0 < opened() <= MOST_OPEN
    assert [disk.read(number, 3) for number, disk in enumerate(disks)] == [
        str(number).encode().ljust(3, b"\0") for number in range(len(disks))
    ]
    assert opened() <= MOST_OPEN
    store.close()
    assert opened() == 0
