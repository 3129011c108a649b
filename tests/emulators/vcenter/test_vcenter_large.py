"""A large model: its machines' files are written when somebody looks at them, and what machines share stays as it is."""

from dataclasses import replace
from pathlib import Path

import pytest
from pyVmomi import vim
from vcenter_lab import MIB, Site

from emulators.vcenter import Model

BROWSED = vim.host.DatastoreBrowser.SearchSpec(matchPattern=["*.vmdk", "*.vmx"])


@pytest.fixture
def large(tmp_path):
    made = Site(tmp_path, model=replace(Model.vcsim(), machines=60), kept=False)  # to read everything would write all files
    yield made
    made.vcenter.close()


def folders(si):
    """The datastore's folder as it is on the machine that serves it, and the names in it."""
    datastore = si.content.rootFolder.childEntity[0].datastore[0]
    return datastore, sorted(path.name for path in datastore_folder(datastore).iterdir())


def datastore_folder(datastore):
    return Path(datastore.info.url)


def test_files_are_written_when_a_folder_is_looked_at(large):
    si = large.login()
    datastore, before = folders(si)
    assert before == ["db", "web"]
    vm = large.vm(si, "DC0_H0_VM7")
    found = large.wait(datastore.browser.SearchDatastore_Task("[LocalDS_0] DC0_H0_VM7", BROWSED))
    assert sorted(file.path for file in found.file) == ["DC0_H0_VM7.vmdk", "DC0_H0_VM7.vmx"]
    assert folders(si)[1] == ["DC0_H0_VM7", "db", "web"]
    assert vm.config.uuid in (datastore_folder(datastore) / "DC0_H0_VM7" / "DC0_H0_VM7.vmx").read_text()


def test_who_looks_at_the_whole_datastore_finds_every_machine(large):
    si = large.login()
    datastore, _ = folders(si)
    found = large.wait(datastore.browser.SearchDatastoreSubFolders_Task("[LocalDS_0]", BROWSED))
    assert sum(len(one.file) for one in found) == 120 * 2 + 2 + 3  # db has two disks
    assert len(folders(si)[1]) == 122


def test_what_changes_a_machine_writes_its_files_first(large):
    si = large.login()
    disk = large.vcenter.open_disk(large.vcenter.find_vm("DC0_H0_VM1"), 2000)
    disk.write(5 * MIB, b"bytes")
    assert disk.read(5 * MIB, 5) == b"bytes"
    large.wait(large.vm(si, "DC0_H0_VM2").CreateSnapshot("one", "", memory=False, quiesce=False))
    large.wait(large.vm(si, "DC0_H0_VM3").PowerOff())
    large.wait(large.vm(si, "DC0_H0_VM3").Destroy())
    assert folders(si)[1] == ["DC0_H0_VM1", "DC0_H0_VM2", "db", "web"]
    assert len(large.vm(si, "DC0_H0_VM4").layoutEx.file) == 3


def test_changing_what_machines_share_changes_one_of_them(large):
    si = large.login()
    one, other = large.vm(si, "DC0_H0_VM0"), large.vm(si, "DC0_H0_VM1")
    before = str(other.config.hardware.device)
    large.wait(one.PowerOff())
    card = next(device for device in one.config.hardware.device if isinstance(device, vim.vm.device.VirtualVideoCard))
    card.videoRamSizeInKB = 8192
    spec = vim.vm.ConfigSpec(
        deviceChange=[
            vim.vm.device.VirtualDeviceSpec(operation="edit", device=card),
            vim.vm.device.VirtualDeviceSpec(
                operation="add", device=vim.vm.device.VirtualLsiLogicController(key=-1, busNumber=1, sharedBus="noSharing")
            ),
        ]
    )
    large.wait(one.Reconfigure(spec))
    pci = next(device for device in one.config.hardware.device if device.key == 100)
    assert any(
        isinstance(device, vim.vm.device.VirtualLsiLogicController) and device.key in pci.device
        for device in one.config.hardware.device
    )
    assert str(other.config.hardware.device) == before
