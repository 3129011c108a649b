"""The command `vcsim` as its users start it: the line it prints, its inventory, a real client, its end."""

import os
import re
import signal
import ssl
import subprocess
import sys
import urllib.request
import uuid
from pathlib import Path

import pytest
from pyVim.connect import Disconnect, SmartConnect
from pyVim.task import WaitForTask
from pyVmomi import SoapStubAdapter, vim

LINE = re.compile(r"export GOVC_URL=(https?)://(\S+):(\S+)@127\.0\.0\.1:(\d+)/sdk GOVC_SIM_PID=(\d+)\n")


def start(*arguments, **more):
    """A running vcsim."""
    return subprocess.Popen(
        [sys.executable, "-m", "drillbed.vcsim", "-l", "127.0.0.1:0", *arguments], stdout=subprocess.PIPE, text=True, **more
    )


def end(process, number=signal.SIGTERM):
    process.send_signal(number)
    code = process.wait(timeout=30)
    process.stdout.close()
    return code


def connect(line, user="someone", password="anything"):
    found = LINE.fullmatch(line)
    assert found, line
    return SmartConnect(host="127.0.0.1", port=int(found[4]), user=user, pwd=password, disableSslCertValidation=True)


def opened(line, path):
    found = LINE.fullmatch(line)
    unchecked = ssl._create_unverified_context() if found[1] == "https" else None
    with urllib.request.urlopen(f"{found[1]}://127.0.0.1:{found[4]}{path}", context=unchecked) as answer:
        return answer.read().decode()


@pytest.fixture(scope="module")
def line():
    process = start()
    told = process.stdout.readline()
    yield told
    assert end(process) == 0


@pytest.fixture
def launch():
    """`start`, and whatever it started is ended when a test fails before it does so itself."""
    started = []

    def launched(*arguments, **more):
        started.append(start(*arguments, **more))
        return started[-1]

    yield launched
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait(timeout=30)
        process.stdout.close()


def test_the_inventory_has_the_names_of_vcsim(line):
    si = connect(line)
    find = si.content.searchIndex.FindByInventoryPath
    try:
        for path in (
            "DC0/host/DC0_C0/DC0_C0_H0",
            "DC0/host/DC0_C0/DC0_C0_H2",
            "DC0/host/DC0_C0/Resources",
            "DC0/host/DC0_H0/DC0_H0",
            "DC0/datastore/LocalDS_0",
            "DC0/network/VM Network",
            "DC0/network/DVS0",
            "DC0/network/DC0_DVPG0",
        ):
            assert find(path) is not None, path
        machines = {vm.name: vm for vm in find("DC0/vm").childEntity}
        assert sorted(machines) == ["DC0_C0_RP0_VM0", "DC0_C0_RP0_VM1", "DC0_H0_VM0", "DC0_H0_VM1"]
        for vm in machines.values():
            assert vm.summary.runtime.powerState == "poweredOn"
            assert [network.name for network in vm.network] == ["DC0_DVPG0"]
        assert machines["DC0_H0_VM0"].runtime.host.name == "DC0_H0"
        assert isinstance(find("DC0/host/DC0_H0"), vim.ComputeResource)
        uplinks = [one.name for one in find("DC0/network").childEntity if one.name.startswith("DVS0-DVUplinks-")]
        assert len(uplinks) == 1
    finally:
        Disconnect(si)


def test_tasks_end_at_once_and_the_datastore_is_a_local_folder(line):
    si = connect(line)
    try:
        vm = si.content.searchIndex.FindByInventoryPath("DC0/vm/DC0_H0_VM1")
        WaitForTask(vm.PowerOff(), si)
        assert vm.runtime.powerState == "poweredOff"
        folder = Path(vm.datastore[0].info.url)
        assert (folder / "DC0_H0_VM1" / "DC0_H0_VM1.vmx").is_file()
        assert (folder / "DC0_H0_VM1" / "DC0_H0_VM1-flat.vmdk").stat().st_size == 10 * 1024**3
    finally:
        Disconnect(si)


def test_about_and_the_counts(line):
    assert '"PowerOnVM_Task"' in opened(line, "/about")
    assert re.search(r'"Machine": 4\b', opened(line, "/debug/vars"))


def test_counts_from_flags_a_fifo_and_the_only_login(tmp_path, launch):
    fifo, secret = tmp_path / "fifo", tmp_path / "password"
    os.mkfifo(fifo)
    secret.write_text("from a file\n")
    flags = ["-E", str(fifo), "-dc=2", "-cluster", "2", "-host", "1", "-standalone-host=0", "-pool", "1", "-app=1", "-vm", "1"]
    process = launch(*flags, "-tls=false", "-username", "root", "-password", str(secret), "-autostart=false", "-ds", "2")
    told = fifo.read_text()
    assert told.startswith("export GOVC_URL=http://root:from a file@127.0.0.1:")
    port = re.search(r":(\d+)/sdk", told)[1]
    assert int(told.rsplit("=", 1)[1]) == process.pid
    numbers = urllib.request.urlopen(f"http://127.0.0.1:{port}/debug/vars")
    with numbers:
        text = numbers.read().decode()
    for name, count in {"Datacenter": 2, "Cluster": 4, "Machine": 12, "Datastore": 4, "App": 4}.items():
        assert f'"{name}": {count},' in text, (name, text)
    stub = SoapStubAdapter(host="127.0.0.1", port=-int(port), version="vim.version.version11")
    with pytest.raises(vim.fault.InvalidLogin):
        vim.ServiceInstance("ServiceInstance", stub).content.sessionManager.Login("root", "wrong")
    stub.DropConnections()
    si = SmartConnect(protocol="http", host="127.0.0.1", port=int(port), user="root", pwd="from a file")
    vm = si.content.searchIndex.FindByInventoryPath("DC1/vm/DC1_C1_APP0_VM0")
    assert (vm.runtime.powerState, vm.resourcePool.name) == ("poweredOff", "DC1_C1_APP0")
    assert isinstance(vm.resourcePool, vim.VirtualApp)
    Disconnect(si)
    assert end(process) == 0


def test_signals_end_it_with_0_and_its_folders_go(launch):
    for number in (signal.SIGTERM, signal.SIGINT):
        process = launch("-vm", "1")
        si = connect(process.stdout.readline())
        folder = Path(si.content.rootFolder.childEntity[0].datastore[0].info.url)
        assert folder.is_dir()
        Disconnect(si)
        assert end(process, number) == 0
        assert not folder.exists()


def test_uuidgen():
    found = {
        str(
            uuid.UUID(
                subprocess.run([sys.executable, "-m", "drillbed.vcsim", "uuidgen"], capture_output=True, text=True).stdout.strip()
            )
        )
        for _ in range(2)
    }
    assert len(found) == 2


def test_uuidgen_imports_nothing_heavy():
    heavy = "('pyVmomi', 'lxml', 'numpy', 'uvicorn', 'flask')"
    program = f"import sys, drillbed.vcsim as v; v.run(['uuidgen']); print([m for m in {heavy} if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert shown.endswith("[]\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-nonsense"], "-nonsense is not known"),
        (["-vm", "many"], "'many' is not a number"),
        (["-vm"], "-vm needs a value"),
        (["-tls=perhaps"], "'perhaps' is neither true nor false"),
    ],
)
def test_wrong_use_is_one_line_and_2(arguments, said):
    done = subprocess.run([sys.executable, "-m", "drillbed.vcsim", *arguments], capture_output=True, text=True)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_taken_port_is_one_line_and_3(line):
    port = LINE.fullmatch(line)[4]
    arguments = ["-l", f"127.0.0.1:{port}", "-vm", "0"]
    done = subprocess.run([sys.executable, "-m", "drillbed.vcsim", *arguments], capture_output=True, text=True)
    assert done.returncode == 3
    assert done.stderr.startswith(f"vcsim: port {port} on 127.0.0.1 is taken")
    assert done.stderr.count("\n") == 1
