"""The flags of `vcsim`, each by what a client sees of it."""

import os
import re
import signal
import stat
import subprocess
import sys

import pytest
import trustme
from pyVim.connect import Disconnect, SmartConnect
from pyVmomi import VmomiSupport, vim

LINE = re.compile(r"export GOVC_URL=(https?)://(\S+):(\S+)@127\.0\.0\.1:(\d+)/sdk GOVC_SIM_PID=(\d+)\n")


class Running:
    """A vcsim that runs, and one client that is logged in."""

    def __init__(self, *arguments, **more):
        command = [sys.executable, "-m", "drillbed.vcsim", "-l", "127.0.0.1:0", *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **more)
        self.line = self.process.stdout.readline()
        self.port = int(LINE.fullmatch(self.line)[4])
        self.si = None

    def connect(self, **more):
        self.si = SmartConnect(host="127.0.0.1", port=self.port, user="user", pwd="pass", disableSslCertValidation=True, **more)
        return self.si.content

    def all(self, *kinds):
        content = self.si.content
        view = content.viewManager.CreateContainerView(content.rootFolder, list(kinds) or [vim.ManagedEntity], True)
        return list(view.view)

    def end(self):
        if self.si is not None:
            Disconnect(self.si)
            self.si = None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=30)
        self.process.stdout.close()
        return code


@pytest.fixture
def launch():
    started = []

    def launched(*arguments, **more):
        started.append(Running(*arguments, **more))
        return started[-1]

    yield launched
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait(timeout=30)
        one.process.stdout.close()


def names(objects):
    return sorted(one.name for one in objects)


def read_everything(objects, version):
    """Every property of every object parses."""
    for one in objects:
        for prop in type(one)._GetPropertyList():
            if VmomiSupport.IsChildVersion(version, prop.version):
                getattr(one, prop.name)


def test_esx_is_one_host_with_fixed_ids(launch):
    running = launch("-esx", "-vm", "3")
    content = running.connect()
    assert (content.about.apiType, content.rootFolder._moId) == ("HostAgent", "ha-folder-root")
    assert content.customFieldsManager is None
    assert names(running.all(vim.VirtualMachine)) == ["ha-host_VM0", "ha-host_VM1", "ha-host_VM2"]
    (host,) = running.all(vim.HostSystem)
    assert (host._moId, host.name, host.parent._moId) == ("ha-host", "localhost.localdomain", "ha-compute-res")
    found = content.searchIndex.FindByInventoryPath("ha-datacenter/vm/ha-host_VM0")
    assert found.runtime.powerState == "poweredOn"
    assert [one.name for one in found.datastore] == ["LocalDS_0"]
    read_everything(running.all(), running.si._stub.version)
    assert running.end() == 0


def test_folders_networks_and_the_machines_of_a_site(launch):
    running = launch("-dc", "2", "-folder", "1", "-nsx", "1", "-pg-nsx", "1", "-site", "-vm", "10", "-host", "1", "-pod", "1")
    content = running.connect()
    find = content.searchIndex.FindByInventoryPath
    for path in ("DC0/host/DC0_C0", "F0/DC1/host/F0/DC1_C0", "F0/DC1/network/F0/DC1_NSX0", "F0/DC1/datastore/F0/LocalDS_0"):
        assert find(path) is not None, path
    assert names(running.all(vim.StoragePod)) == ["DC0_POD0", "DC1_POD0"]
    assert {"DC0_NSX0", "DC0_NSXPG0"} < set(names(running.all(vim.Network)))
    machines = running.all(vim.VirtualMachine)
    assert len(machines) == 40
    assert len({vm.name for vm in machines}) == 40
    assert {vm.name.split("-")[0] for vm in machines} == {"web", "app", "db", "file", "dc", "desk"}
    assert len({vm.guest.ipAddress for vm in machines}) == 40
    (db,) = (vm for vm in machines if vm.name == "db-0001")
    disks = [device for device in db.config.hardware.device if isinstance(device, vim.vm.device.VirtualDisk)]
    cards = [device for device in db.config.hardware.device if isinstance(device, vim.vm.device.VirtualEthernetCard)]
    assert [disk.capacityInKB // 1024**2 for disk in disks] == [80, 200, 500]
    assert len(cards) == 2
    assert (db.guest.hostName, db.config.firmware) == ("db-0001.corp.example", "efi")
    read_everything([one for one in running.all() if isinstance(one, vim.OpaqueNetwork)], running.si._stub.version)
    assert running.end() == 0


def test_certificates_that_are_given_are_served(launch, tmp_path):
    authority = trustme.CA()
    leaf = authority.issue_cert("127.0.0.1")
    leaf.cert_chain_pems[0].write_to_path(str(tmp_path / "chain.pem"))
    leaf.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    running = launch("-vm", "0", "-tlscert", str(tmp_path / "chain.pem"), "-tlskey", str(tmp_path / "key.pem"))
    import ssl

    context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    running.si = SmartConnect(host="127.0.0.1", port=running.port, user="a", pwd="b", sslContext=context)
    assert running.end() == 0


def test_the_trace_shows_what_passed_but_no_password(launch, tmp_path):
    file = tmp_path / "trace"
    running = launch("-vm", "0", "-trace-file", str(file), "-tls=false")
    running.si = SmartConnect(protocol="http", host="127.0.0.1", port=running.port, user="reader", pwd="very-secret")
    assert running.end() == 0
    text = file.read_text()
    assert "# POST /sdk\n" in text
    assert "LoginResponse" in text
    assert "<userName>reader</userName>" in text
    assert "very-secret" not in text
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_answers_are_held_back(launch):
    running = launch("-vm", "0", "-method-delay", "CurrentTime:300, FindByUuid:1")
    content = running.connect()
    first, second = running.si.CurrentTime(), running.si.CurrentTime()
    assert (second - first).total_seconds() >= 0.3
    assert content.searchIndex.FindByUuid(None, "none", True) is None
    assert running.end() == 0


def test_the_end_of_standard_input_ends_it(launch):
    running = launch("-vm", "0", "-stdinexit", stdin=subprocess.PIPE)
    running.process.stdin.write("\n")
    running.process.stdin.close()
    assert running.process.wait(timeout=30) == 0


def test_an_api_version_is_what_clients_find(launch):
    running = launch("-vm", "0", "-api-version", "7.0")
    assert running.connect().about.apiVersion == "7.0.0.0"
    assert running.end() == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["-delay", "-1"], 2, "'-1' is not a number"),
        (["-method-delay", "CurrentTime"], 2, "does not have the form"),
        (["-delay-jitter", "nan"], 2, "'nan' is not a number"),
        (["-tlscert", "a.pem"], 2, "-tlscert and -tlskey are given together"),
        (["-tlscert", "no.pem", "-tlskey", "no.key", "-vm", "0"], 3, "there is no file no.pem"),
        (["-api-version", "1.0", "-vm", "0"], 3, "there is no API version"),
        (["-l", "127.0.0.1", "-vm", "0"], 3, "is not ADDRESS:PORT"),
    ],
)
def test_what_cannot_be_followed_is_one_line(arguments, code, said):
    command = [sys.executable, "-m", "drillbed.vcsim", "-l", "127.0.0.1:0", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONWARNINGS": "error"})
    assert done.returncode == code
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
