"""Changed-block tracking over the wire, and disks that are open only while they are used."""

import os
from pathlib import Path

import pytest
from pyVmomi import vim, vmodl
from vcenter_lab import Site

from emulators.clock import Clock
from emulators.vcenter import DiskSpec
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


def taken(site, vm):
    return site.wait(vm.CreateSnapshot("s", "", memory=False, quiesce=False))


def test_tracking_begins_at_the_next_stun_and_starts_anew_after_it_was_off(site, si):
    vm, disk = site.vm(si, "web"), site.vcenter.disks_of(site.web)[0]
    disk.write(0, b"before")
    track(site, vm, True)
    assert (change_id(vm), vm.config.changeTrackingEnabled) == (None, True)
    with pytest.raises(vim.fault.FileFault):
        areas(vm, "*")
    site.wait(vm.PowerOn())
    first = change_id(vm)
    disk.write(5 * BLOCK, b"after")
    assert areas(vm, first) == [(5 * BLOCK, BLOCK)]
    assert areas(vm, "*") == [(0, BLOCK), (5 * BLOCK, BLOCK)]
    site.wait(vm.PowerOff())
    assert areas(vm, first) == [(5 * BLOCK, BLOCK)], "an orderly end of power keeps it"
    track(site, vm, False)
    assert change_id(vm) is None
    track(site, vm, True)
    site.wait(taken(site, vm).Remove(True))
    second = change_id(vm)
    assert second.partition("/")[0] != first.partition("/")[0]
    with pytest.raises(vmodl.fault.InvalidArgument) as refused:
        areas(vm, first)
    assert refused.value.invalidProperty == "changeId"
    assert areas(vm, second) == []


def test_a_snapshot_answers_what_changed_until_it_was_taken(site, si):
    vm, disk = site.vm(si, "web"), site.vcenter.disks_of(site.web)[0]
    track(site, vm, True)
    first = taken(site, vm)
    since = change_id(first)
    disk.write(0, b"one")
    disk.write(3 * BLOCK, b"two")
    second = taken(site, vm)
    disk.write(0, b"three")
    disk.write(9 * BLOCK, b"four")

    def told(snapshot, change_id):
        found = vm.QueryChangedDiskAreas(snapshot, 2000, 0, change_id)
        return [area.start // BLOCK for area in found.changedArea]

    assert told(second, since) == [0, 3]
    assert told(None, since) == [0, 3, 9]
    assert told(None, change_id(second)) == [0, 9]
    assert told(first, "*") == []
    assert told(second, "*") == [0, 3]
    for wrong in (change_id(second), "52 00/1", since.replace("/", "/x")):
        with pytest.raises(vmodl.fault.InvalidArgument):
            told(first, wrong)


def test_many_areas_come_in_several_answers(tmp_path):
    site = Site(tmp_path)
    vm = site.vcenter.add_vm("large", disks=[DiskSpec(5000 * BLOCK)])
    si = site.login()
    shown = site.vm(si, "large")
    track(site, shown, True)
    taken(site, shown)
    since, disk = change_id(shown), site.vcenter.disks_of(vm)[0]
    for block in range(0, 5000, 2):
        disk.write(block * BLOCK, b"x")
    found, start = [], 0
    while start < disk.size:
        info = shown.QueryChangedDiskAreas(None, 2000, start, since)
        assert (info.startOffset, len(info.changedArea) <= 2000) == (start, True)
        found += [area.start for area in info.changedArea]
        start = info.startOffset + info.length
    assert found == [block * BLOCK for block in range(0, 5000, 2)]
    site.vcenter.close()


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
