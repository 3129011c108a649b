"""`vcsim -state`: an inventory that comes back, also after a kill, with its ids, its bytes and nothing half done."""

import re
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from pyVim.connect import SmartConnect
from pyVim.task import WaitForTask
from pyVmomi import VmomiSupport, vim, vmodl

LINE = re.compile(r"export GOVC_URL=https://(\S+):(\S+)@127\.0\.0\.1:(\d+)/sdk GOVC_SIM_PID=(\d+)\n")


class Running:
    def __init__(self, folder, *arguments):
        command = [sys.executable, "-m", "drillbed.vcsim", "-l", "127.0.0.1:0", "-state", str(folder), *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        self.si = SmartConnect(
            host="127.0.0.1", port=int(LINE.fullmatch(line)[3]), user="u", pwd="p", disableSslCertValidation=True
        )
        self.content = self.si.content

    def vm(self, name):
        return self.content.searchIndex.FindByInventoryPath(f"DC0/vm/{name}")

    def end(self, number=signal.SIGTERM):
        self.si._stub.DropConnections()
        self.process.send_signal(number)
        self.process.wait(timeout=30)
        self.process.stdout.close()


@pytest.fixture
def launch(tmp_path):
    started = []

    def launched(*arguments):
        started.append(Running(tmp_path / "state", *arguments))
        return started[-1]

    yield launched
    for one in started:
        if one.process.poll() is None:
            one.end(signal.SIGKILL)


def picture(running):
    """Every property of every entity, as text, but for what goes on with time."""
    view = running.content.viewManager.CreateContainerView(running.content.rootFolder, [vim.ManagedEntity], True)
    found = {}
    for one in [running.content.rootFolder, *view.view]:
        for prop in type(one)._GetPropertyList():
            if VmomiSupport.IsChildVersion(running.si._stub.version, prop.version) and prop.name != "recentTask":
                text = str(getattr(one, prop.name))
                found[one._moId, prop.name] = re.sub(r"(timestamp|uptimeSeconds|overallCpuUsage) = [^,\n]*", r"\1", text)
    return found


def reconfigured(vm, **fields):
    WaitForTask(vm.ReconfigVM_Task(vim.vm.ConfigSpec(**fields)))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_everything_comes_back_as_it_was(launch, number):
    first = launch("-app", "1", "-pool", "1")
    content = first.content
    vm = first.vm("DC0_H0_VM0")
    reconfigured(vm, annotation="kept", extraConfig=[vim.option.OptionValue(key="a.b", value="c")])
    WaitForTask(vm.CreateSnapshot_Task("one", "first", memory=False, quiesce=False))
    WaitForTask(vm.CreateSnapshot_Task("two", "", memory=False, quiesce=False))
    WaitForTask(vm.snapshot.rootSnapshotList[0].snapshot.RevertToSnapshot_Task())
    WaitForTask(vm.CreateSnapshot_Task("three", "a branch", memory=False, quiesce=False))
    WaitForTask(first.vm("DC0_C0_RP0_VM1").PowerOff())
    WaitForTask(first.vm("DC0_C0_RP0_VM1").Destroy_Task())
    field = content.customFieldsManager.AddCustomFieldDef("owner", vim.VirtualMachine)
    content.customFieldsManager.SetField(vm, field.key, "me")
    content.rootFolder.CreateFolder("projects")
    role = content.authorizationManager.AddAuthorizationRole("watchers", ["System.Read"])
    before, roles = picture(first), {one.roleId: one.name for one in content.authorizationManager.roleList}
    uuids = {vm.config.instanceUuid, content.about.instanceUuid}
    first.end(number)

    again = launch("-vm", "0", "-esx")  # what is told of the model does not matter any more
    assert picture(again) == before
    content, vm = again.content, again.vm("DC0_H0_VM0")
    assert {vm.config.instanceUuid, content.about.instanceUuid} == uuids
    assert {one.roleId: one.name for one in content.authorizationManager.roleList} == roles
    assert role in roles
    assert again.vm("DC0_C0_RP0_VM1") is None
    assert isinstance(content.eventManager.latestEvent, vim.event.Event)
    WaitForTask(vm.snapshot.rootSnapshotList[0].childSnapshotList[0].snapshot.RevertToSnapshot_Task())
    fresh = content.rootFolder.CreateFolder("more")
    assert fresh._moId not in {moid for moid, _ in before}
    again.end()


def test_the_bytes_come_back_and_change_ids_of_before_a_kill_name_nothing(launch, tmp_path):
    first = launch("-vm", "1")
    vm = first.vm("DC0_H0_VM0")
    reconfigured(vm, changeTrackingEnabled=True)
    WaitForTask(vm.CreateSnapshot_Task("one", "", memory=False, quiesce=False))
    disk = next(one for one in vm.config.hardware.device if isinstance(one, vim.vm.device.VirtualDisk))
    told = disk.backing.changeId
    extents = list((tmp_path / "state").rglob("*VM0*-delta.vmdk"))
    assert told
    assert extents
    first.end(signal.SIGKILL)
    again = launch()
    vm = again.vm("DC0_H0_VM0")
    disk = next(one for one in vm.config.hardware.device if isinstance(one, vim.vm.device.VirtualDisk))
    assert disk.backing.changeId.partition("/")[0] != told.partition("/")[0]
    with pytest.raises(vmodl.fault.InvalidArgument, match="changeId"):
        vm.QueryChangedDiskAreas(deviceKey=disk.key, startOffset=0, changeId=told)
    WaitForTask(vm.RemoveAllSnapshots_Task())
    again.end()


def test_an_operation_that_was_cut_off_is_whole_or_not_there(launch, tmp_path):
    first = launch("-vm", "4")
    for number in range(4):
        vm = first.vm(f"DC0_H0_VM{number}")
        vm.PowerOff()
        vm.Destroy_Task()
    first.end(signal.SIGKILL)
    again = launch()
    for number in range(4):
        vm = again.vm(f"DC0_H0_VM{number}")
        if vm is not None:
            assert vm.config.hardware.device
            assert vm.layoutEx is not None
            WaitForTask(vm.Destroy_Task() if vm.runtime.powerState == "poweredOff" else vm.PowerOff())
    picture(again)
    again.end()


def test_one_state_serves_one_vcsim_and_damage_is_told_in_one_line(launch, tmp_path):
    first = launch("-vm", "0")
    command = [sys.executable, "-m", "drillbed.vcsim", "-l", "127.0.0.1:0", "-state", str(tmp_path / "state")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert "another vcsim may have it" in done.stderr
    first.end()
    with sqlite3.connect(tmp_path / "state" / "inventory.sqlite") as database:
        database.execute("""UPDATE object SET content = '{"of": ["os:system", {}]}' WHERE moid = 'group-d1'""")
    database.close()
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert "is damaged" in done.stderr
    (tmp_path / "state" / "inventory.sqlite").write_bytes(b"no database" * 100)
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)


def test_files_are_for_the_owner_alone(launch, tmp_path):
    launch("-vm", "0").end()
    state = Path(tmp_path / "state")
    assert state.stat().st_mode & 0o077 == 0
    assert (state / "inventory.sqlite").stat().st_mode & 0o077 == 0


def test_an_import_that_was_not_complete_when_it_was_killed_leaves_nothing(launch, tmp_path):
    first = launch("-vm", "1")
    dc, name = first.content.rootFolder.childEntity[0], "DC0_C0_RP0_VM0"
    ovf, pool = first.content.ovfManager, first.vm(name).resourcePool
    descriptor = ovf.CreateDescriptor(first.vm(name), vim.OvfManager.CreateDescriptorParams(name=name)).ovfDescriptor
    spec = vim.OvfManager.CreateImportSpecParams(locale="", deploymentOption="", entityName="half", diskProvisioning="thin")
    found = ovf.CreateImportSpec(descriptor, pool, dc.datastore[0], spec)
    before = picture(first)
    lease = pool.ImportVApp(found.importSpec, dc.vmFolder)
    assert lease.info is None or first.vm("half") is not None
    first.end(signal.SIGKILL)
    again = launch()
    assert again.vm("half") is None
    assert {key[0] for key in picture(again)} == {key[0] for key in before}
    assert not list((tmp_path / "state").rglob("half*"))
