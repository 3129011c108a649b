"""A machine comes from its files, answers a question, and has a console and tools; each asked by pyVmomi."""

import pytest
from pyVmomi import vim, vmodl
from vcenter_lab import bytes_of, events, macs, root_pool


@pytest.fixture
def si(newest_si):
    return newest_si


# registration --------------------------------------------------------------------------------------------------------


def test_an_unregistered_machine_is_registered_again_as_it_was(site, si, dc):
    web, pool = site.vm(si, "web"), root_pool(si)
    site.vcenter.disks_of(site.web)[0].write(0, b"kept")
    option = vim.option.OptionValue(key="Shop.Zone", value='with "quotes" | and\nlines')
    site.wait(web.Reconfigure(vim.vm.ConfigSpec(numCPUs=4, memoryMB=512, annotation="a\nb", extraConfig=[option])))
    before, kinds = web.config, sorted(type(one).__name__ for one in web.config.hardware.device)
    was, mac = bytes_of(site, web), macs(web)
    web.Unregister()
    path = before.files.vmPathName
    with pytest.raises(vim.fault.NotFound):
        site.wait(dc.vmFolder.RegisterVm("[LocalDS_0] web/none.vmx", None, False, pool, None))
    with pytest.raises(vim.fault.InvalidDatastorePath):
        site.wait(dc.vmFolder.RegisterVm("[LocalDS_0] ../web.vmx", None, False, pool, None))
    again = site.wait(dc.vmFolder.RegisterVm(path, None, False, pool, None))
    now = again.config
    for name in ("name", "uuid", "instanceUuid", "guestId", "annotation", "firmware", "version"):
        assert getattr(now, name) == getattr(before, name), name
    assert (now.hardware.numCPU, now.hardware.memoryMB, now.files.vmPathName) == (4, 512, path)
    assert [(one.key, one.value) for one in now.extraConfig] == [("Shop.Zone", option.value)]
    assert sorted(type(one).__name__ for one in now.hardware.device) == kinds
    assert (bytes_of(site, again), macs(again), list(again.network)) == (was, mac, list(dc.network))
    with pytest.raises(vim.fault.AlreadyExists):
        site.wait(dc.vmFolder.RegisterVm(path, "other", False, pool, None))
    assert "VmRegisteredEvent" in events(si, again)
    site.wait(again.PowerOn())


def test_registering_as_a_template_needs_a_host_and_a_machine_a_pool(site, si, dc):
    web = site.vm(si, "web")
    host, path = web.runtime.host, web.config.files.vmPathName
    web.Unregister()
    with pytest.raises(vmodl.fault.InvalidArgument):
        site.wait(dc.vmFolder.RegisterVm(path, None, False, None, host))
    with pytest.raises(vmodl.fault.InvalidArgument):
        site.wait(dc.vmFolder.RegisterVm(path, None, True, None, None))
    made = site.wait(dc.vmFolder.RegisterVm(path, "gold", True, None, host))
    assert (made.name, made.config.template, made.runtime.host) == ("gold", True, host)


@pytest.mark.parametrize(
    "text",
    [
        b"\x00\x01\x02",
        b"no settings",
        b'displayName = "x"\nmemSize = "lots"\n',
        b'displayName = "x"\nscsi0.present = "TRUE"\nscsi0:0.present = "TRUE"\nscsi0:0.fileName = "../../../etc/passwd.vmdk"\n',
        b'displayName = "x"\nscsi0.present = "TRUE"\nscsi0:0.present = "TRUE"\nscsi0:0.fileName = "gone.vmdk"\n',
        b'displayName = "' + b"x" * 2_000_000 + b'"\n',
    ],
)
def test_a_file_that_is_no_machine_is_refused(site, si, dc, text):
    folder = site.vcenter.inventory.stores[dc.datastore[0]._moId].folder
    (folder / "bad").mkdir()
    (folder / "bad/bad.vmx").write_bytes(text)
    with pytest.raises(vim.fault.InvalidVmConfig):
        site.wait(dc.vmFolder.RegisterVm("[LocalDS_0] bad/bad.vmx", "bad", False, root_pool(si), None))
    assert len(dc.vmFolder.childEntity) == 2


def copied_elsewhere(site, si, dc, name="moved"):
    """A copy of web's files in another folder of the datastore, registered."""
    web = site.vm(si, "web")
    site.wait(si.content.fileManager.CopyFile("[LocalDS_0] web", dc, f"[LocalDS_0] {name}", dc, False))
    return web, site.wait(dc.vmFolder.RegisterVm(f"[LocalDS_0] {name}/web.vmx", name, False, root_pool(si), None))


@pytest.mark.parametrize(("choice", "state"), [("1", "moved"), ("2", "copied"), ("0", "cancel")])
def test_a_machine_whose_files_lie_elsewhere_asks_before_it_powers_on(site, si, dc, choice, state):
    _web, copy = copied_elsewhere(site, si, dc)
    uuid, mac = copy.config.uuid, macs(copy)
    task = copy.PowerOn()
    site.clock.wait(30)
    question = copy.runtime.question
    assert task.info.state == "running"
    assert "moved or copied" in question.text
    with pytest.raises(vmodl.fault.InvalidArgument):
        copy.Answer(question.id, "9")
    with pytest.raises(vmodl.fault.InvalidArgument):
        copy.Answer("nothing", choice)
    copy.Answer(question.id, choice)
    if state == "cancel":
        with pytest.raises(vim.fault.GenericVmConfigFault):
            site.wait(task)
    else:
        site.wait(task)
        site.wait(copy.PowerOff())
        site.wait(copy.PowerOn())
    assert copy.runtime.question is None
    assert (copy.config.uuid == uuid, macs(copy) == mac) == (state != "copied", state != "copied")
    assert "VmMessageEvent" in events(si, copy)


def test_uuid_action_answers_beforehand(site, si, dc):
    keep = vim.option.OptionValue(key="uuid.action", value="keep")
    site.wait(site.vm(si, "web").Reconfigure(vim.vm.ConfigSpec(extraConfig=[keep])))
    _, copy = copied_elsewhere(site, si, dc)
    site.wait(copy.PowerOn())
    assert copy.runtime.powerState == "poweredOn"


def test_a_machine_is_reloaded_from_another_file(site, si, dc):
    web, db = site.vm(si, "web"), site.vm(si, "db")
    site.vcenter.disks_of(site.web)[0].write(0, b"the other side")
    site.wait(si.content.fileManager.CopyFile("[LocalDS_0] web", dc, "[LocalDS_0] replica", dc, False))
    wanted = bytes_of(site, web)
    with pytest.raises(vim.fault.AlreadyExists):
        site.wait(db.ReloadFromPath("[LocalDS_0] web/web.vmx"))
    moid, name = db._moId, db.name
    site.wait(db.ReloadFromPath("[LocalDS_0] replica/web.vmx"))
    assert (db._moId, db.name, db.config.files.vmPathName) == (moid, name, "[LocalDS_0] replica/web.vmx")
    assert (bytes_of(site, db), db.config.guestId) == (wanted, web.config.guestId)
    assert "VmReloadFromPathEvent" in events(si, db)
    site.wait(web.CreateSnapshot("s", "", False, False))
    with pytest.raises(vim.fault.InvalidState):
        site.wait(web.ReloadFromPath("[LocalDS_0] replica/web.vmx"))


def test_children_of_pools_are_made_and_registered_in_them(site, si, dc):
    pool = root_pool(si).CreateResourcePool("gold", root_pool(si).config)
    files = vim.vm.FileInfo(vmPathName="[LocalDS_0]")
    made = site.wait(pool.CreateVm(vim.vm.ConfigSpec(name="child", files=files), None))
    assert (made.resourcePool, made.parent) == (pool, dc.vmFolder)
    path = made.config.files.vmPathName
    made.Unregister()
    assert site.wait(pool.RegisterVm(path, "again", None)).resourcePool == pool
    vapp = pool.CreateVApp("shop", pool.config, vim.vApp.VAppConfigSpec(), dc.vmFolder.CreateFolder("shops"))
    inside = site.wait(vapp.CreateVm(vim.vm.ConfigSpec(name="till", files=files), None))
    assert (inside.parent.name, list(vapp.vm)) == ("shops", [inside])
    path = inside.config.files.vmPathName
    inside.Unregister()
    assert site.wait(vapp.RegisterVm(path, None, None)).name == "till"


# console and tools ---------------------------------------------------------------------------------------------------


def test_standby_terminate_and_nmi(site, si):
    web = site.vm(si, "web")
    site.wait(web.PowerOn())
    web.StandbyGuest()
    assert site.clock.wait_until(lambda: web.runtime.powerState == "suspended", seconds=60)
    assert {"VmGuestStandbyEvent", "VmSuspendedEvent"} <= set(events(si, web))
    site.wait(web.PowerOn())
    web.SendNMI()
    site.clock.wait(1)
    assert (web.runtime.powerState, web.guest.toolsRunningStatus) == ("poweredOn", "guestToolsNotRunning")
    with pytest.raises(vim.fault.ToolsUnavailable):
        web.StandbyGuest()
    web.Terminate()
    assert web.runtime.powerState == "poweredOff"
    site.clock.wait(1)
    assert site.guests.seen[-1] == ("power_off", "web")
    with pytest.raises(vim.fault.InvalidPowerState):
        web.Terminate()


def test_hardware_and_tools_are_upgraded(site, si):
    web = site.vm(si, "web")
    site.wait(web.UpgradeVirtualHardware("vmx-14"))
    assert web.config.version == "vmx-14"
    with pytest.raises(vim.fault.AlreadyUpgraded):
        site.wait(web.UpgradeVirtualHardware("vmx-10"))
    with pytest.raises(vmodl.fault.InvalidArgument):
        site.wait(web.UpgradeVirtualHardware("vmx-99"))
    site.wait(web.PowerOn())
    with pytest.raises(vim.fault.InvalidPowerState):
        site.wait(web.UpgradeVirtualHardware(None))
    site.web.guest.tools_version = "9000"
    site.wait(web.UpgradeTools())
    assert web.guest.toolsVersion == "10304"
    web.MountToolsInstaller()
    assert web.runtime.toolsInstallerMounted
    with pytest.raises(vim.fault.InvalidState):
        web.MountToolsInstaller()
    web.UnmountToolsInstaller()
    assert not web.runtime.toolsInstallerMounted
    site.wait(web.PowerOff())
    web.ResetGuestInformation()
    assert web.guest.hostName is None


def test_the_screen(site, si, dc):
    web = site.vm(si, "web")
    site.wait(web.PowerOn())
    web.SetScreenResolution(1024, 768)
    assert (web.guest.screen.width, web.guest.screen.height) == (1024, 768)
    screens = [
        vim.VirtualMachine.DisplayTopology(x=0, y=0, width=800, height=600),
        vim.VirtualMachine.DisplayTopology(x=800, y=0, width=640, height=480),
    ]
    web.SetDisplayTopology(screens)
    assert (web.guest.screen.width, web.guest.screen.height) == (1440, 600)
    with pytest.raises(vmodl.fault.InvalidArgument):
        web.SetScreenResolution(0, 768)
    path = site.wait(web.CreateScreenshot())
    folder = site.vcenter.inventory.stores[dc.datastore[0]._moId].folder
    image = (folder / path.partition("] ")[2]).read_bytes()
    assert image[:8] == b"\x89PNG\r\n\x1a\n"
    assert image[16:24] == (1440).to_bytes(4) + (600).to_bytes(4)


def test_snapshots_the_newer_way_and_what_they_cost(site, si):
    web = site.vm(si, "web")
    site.wait(web.PowerOn())
    spec = vim.vm.GuestQuiesceSpec(timeout=5)
    snapshot = site.wait(web.CreateSnapshotEx("s", "", False, spec))
    assert web.snapshot.rootSnapshotList[0].quiesced
    site.vcenter.disks_of(site.web)[0].write(0, b"x")
    assert site.wait(web.EstimateStorageRequirementForConsolidate()).freeSpaceRequiredInKb == 64
    assert snapshot.config.name == "web"
    disks = [one for one in web.config.hardware.device if isinstance(one, vim.vm.device.VirtualDisk)]
    site.wait(web.PromoteDisks(True, disks))
    assert [type(one).__name__ for one in web.QueryFaultToleranceCompatibility()] == ["vim.fault.NumVirtualCpusExceedsLimit"]
    site.vcenter.add_vm("small", cpus=1)
    assert list(site.vm(si, "small").QueryFaultToleranceCompatibilityEx(True)) == []
