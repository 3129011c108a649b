"""Guest operations, asked by pyVmomi: credentials, files and their bytes, processes, environment, registry, aliases."""

import base64
import re
from datetime import timedelta

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pyVmomi import vim, vmodl

NameAuth = vim.vm.guest.NamePasswordAuthentication


@pytest.fixture
def guest(site, si):
    """The guest of db (Linux), running; web is Windows."""
    return Guest(site, si, "db", "root")


@pytest.fixture
def windows(site, si):
    return Guest(site, si, "web", "Administrator")


class Guest:
    def __init__(self, site, si, name, user):
        self.site, self.vm = site, site.vm(si, name)
        machine = site.vcenter.find_vm(name)
        site.vcenter.set_guest_account(machine, user, "Secret1!")
        site.vcenter.set_guest_account(machine, "worker", "Worker1!")
        site.wait(self.vm.PowerOn())
        manager = si.content.guestOperationsManager
        self.auth_manager, self.files, self.processes = manager.authManager, manager.fileManager, manager.processManager
        self.registry, self.aliases = manager.guestWindowsRegistryManager, manager.aliasManager
        self.auth = NameAuth(username=user, password="Secret1!", interactiveSession=False)
        self.worker = NameAuth(username="worker", password="Worker1!", interactiveSession=False)

    def http(self, method, url, body=None, **headers):
        connection = self.site.client.connection("vcenter", 443)
        connection.request(method, re.sub(r"^https://\*", "", url), body=body, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()

    def put(self, path, data, *, overwrite=False, auth=None, attributes=None):
        attributes = attributes or vim.vm.guest.FileManager.FileAttributes()
        url = self.files.InitiateFileTransferToGuest(self.vm, auth or self.auth, path, attributes, len(data), overwrite)
        assert self.http("PUT", url, data)[0] == 200
        return url

    def get(self, path):
        info = self.files.InitiateFileTransferFromGuest(self.vm, self.auth, path)
        status, body = self.http("GET", info.url)
        assert (status, len(body)) == (200, info.size)
        return body

    def names(self, path, **more):
        found = self.files.ListFilesInGuest(self.vm, self.auth, path, **more)
        return [one.path for one in found.files]

    def run(self, program, arguments, auth=None, **more):
        spec = vim.vm.guest.ProcessManager.ProgramSpec(programPath=program, arguments=arguments, **more)
        return self.processes.StartProgramInGuest(self.vm, auth or self.auth, spec)


def test_who_has_the_wrong_password_or_no_tools_does_not_get_in(site, guest):
    guest.auth_manager.ValidateCredentialsInGuest(guest.vm, guest.auth)
    for user, password in (("root", "wrong"), ("nobody", "Secret1!"), ("root", "")):
        wrong = NameAuth(username=user, password=password, interactiveSession=False)
        with pytest.raises(vim.fault.InvalidGuestLogin):
            guest.auth_manager.ValidateCredentialsInGuest(guest.vm, wrong)
    ticket = guest.auth_manager.AcquireCredentialsInGuest(guest.vm, guest.auth, None)
    guest.files.MakeDirectoryInGuest(guest.vm, ticket, "/tmp/by-ticket", False)
    guest.auth_manager.ReleaseCredentialsInGuest(guest.vm, ticket)
    with pytest.raises(vim.fault.InvalidGuestLogin):
        guest.auth_manager.ValidateCredentialsInGuest(guest.vm, ticket)
    guest.auth.interactiveSession = True
    with pytest.raises(vim.fault.OperationNotSupportedByGuest):
        guest.auth_manager.ValidateCredentialsInGuest(guest.vm, guest.auth)
    guest.auth.interactiveSession = False
    site.vcenter.report_guest(site.db, running=False)
    with pytest.raises(vim.fault.GuestOperationsUnavailable):
        guest.names("/")
    site.wait(guest.vm.PowerOff())
    with pytest.raises(vim.fault.InvalidPowerState):
        guest.names("/")


def test_files_and_directories_are_made_listed_moved_and_deleted(guest):
    vm, auth, files = guest.vm, guest.auth, guest.files
    with pytest.raises(vim.fault.FileNotFound):
        files.MakeDirectoryInGuest(vm, auth, "/data/one", False)
    files.MakeDirectoryInGuest(vm, auth, "/data/one", True)
    with pytest.raises(vim.fault.FileAlreadyExists):
        files.MakeDirectoryInGuest(vm, auth, "/data/one", True)
    made = files.CreateTemporaryFileInGuest(vm, auth, "a-", ".txt", "/data/one")
    inner = files.CreateTemporaryDirectoryInGuest(vm, auth, "d-", "", "/data")
    assert re.fullmatch(r"/data/one/a-[0-9a-f]{8}\.txt", made)
    assert guest.names("/data") == [".", "..", *sorted([inner.rpartition("/")[2], "one"])]
    files.MoveFileInGuest(vm, auth, made, "/data/b.txt", False)
    with pytest.raises(vim.fault.FileNotFound):
        files.DeleteFileInGuest(vm, auth, made)
    files.MoveDirectoryInGuest(vm, auth, "/data/one", "/data/two")
    assert guest.names("/data", matchPattern=r"^(two|b\.txt)$") == ["b.txt", "two"]
    assert guest.names("/data/b.txt") == ["b.txt"]
    page = files.ListFilesInGuest(vm, auth, "/data", 1, 2, None)
    assert (len(page.files), page.remaining) == (2, 2)
    with pytest.raises(vim.fault.NotAFile):
        files.DeleteFileInGuest(vm, auth, "/data/two")
    with pytest.raises(vim.fault.NotADirectory):
        files.DeleteDirectoryInGuest(vm, auth, "/data/b.txt", True)
    with pytest.raises(vim.fault.DirectoryNotEmpty):
        files.DeleteDirectoryInGuest(vm, auth, "/data", False)
    files.DeleteDirectoryInGuest(vm, auth, "/data", True)
    assert "data" not in guest.names("/")
    for pattern in ("(", "(a+)+b", "x" * 500):
        with pytest.raises(vmodl.fault.InvalidArgument):
            guest.names("/", matchPattern=pattern)


def test_bytes_travel_in_and_out_once_and_whole(site, guest):
    data = bytes(range(256)) * 3000
    url = guest.put("/tmp/data.bin", data)
    assert guest.get("/tmp/data.bin") == data
    assert guest.http("PUT", url, data)[0] == 401, "an address is good once"
    assert guest.http("GET", "/guestFile?id=vm-1&token=x")[0] == 401
    attributes = vim.vm.guest.FileManager.FileAttributes()
    with pytest.raises(vim.fault.FileAlreadyExists):
        guest.files.InitiateFileTransferToGuest(guest.vm, guest.auth, "/tmp/data.bin", attributes, 5, False)
    for body, length in ((data[:100], "500"), (data[:100], None), (data, None)):
        url = guest.files.InitiateFileTransferToGuest(guest.vm, guest.auth, "/tmp/data.bin", attributes, 500, True)
        assert guest.http("PUT", url, body, **({"Content-Length": length} if length else {}))[0] == 400
    assert guest.get("/tmp/data.bin") == data
    with pytest.raises(vim.fault.FileTooLarge):
        guest.files.InitiateFileTransferToGuest(guest.vm, guest.auth, "/tmp/huge", attributes, 1 << 40, True)
    url = guest.files.InitiateFileTransferToGuest(guest.vm, guest.auth, "/tmp/late", attributes, 1, True)
    site.clock.wait(601)
    assert guest.http("PUT", url, b"x")[0] == 401
    with pytest.raises(vim.fault.FileNotFound):
        guest.files.InitiateFileTransferFromGuest(guest.vm, guest.auth, "/tmp/late")


def test_attributes_are_kept(guest, windows):
    posix = vim.vm.guest.FileManager.PosixFileAttributes(permissions=0o750)
    guest.put("/tmp/run.sh", b"#!/bin/sh\n", attributes=posix)
    info = guest.files.ListFilesInGuest(guest.vm, guest.auth, "/tmp/run.sh").files[0]
    assert (info.attributes.permissions, info.attributes.ownerId, info.size) == (0o750, 0, 10)
    later = info.attributes.modificationTime + timedelta(days=1)
    change = vim.vm.guest.FileManager.PosixFileAttributes(permissions=0o600, modificationTime=later)
    guest.files.ChangeFileAttributesInGuest(guest.vm, guest.auth, "/tmp/run.sh", change)
    found = guest.files.ListFilesInGuest(guest.vm, guest.auth, "/tmp/run.sh").files[0].attributes
    assert (found.permissions, found.modificationTime) == (0o600, later)
    windows.put("c:\\windows\\TEMP\\a.txt", b"x")
    hidden = vim.vm.guest.FileManager.WindowsFileAttributes(hidden=True, readOnly=True)
    windows.files.ChangeFileAttributesInGuest(windows.vm, windows.auth, "C:/Windows/Temp/A.TXT", hidden)
    found = windows.files.ListFilesInGuest(windows.vm, windows.auth, "C:\\Windows\\Temp\\a.txt").files[0]
    assert (found.path, found.attributes.hidden, found.attributes.readOnly) == ("a.txt", True, True)


@pytest.mark.parametrize("path", ["relative", "", "C:\\x", "/a\0b", "/" + "x" * 5000])
def test_what_is_no_path_is_not_found(guest, path):
    with pytest.raises((vim.fault.FileNotFound, vmodl.fault.InvalidRequest)):
        guest.names(path)


def test_an_ordinary_user_changes_only_what_is_theirs(guest):
    with pytest.raises(vim.fault.GuestPermissionDenied):
        guest.files.MakeDirectoryInGuest(guest.vm, guest.worker, "/etc/mine", False)
    with pytest.raises(vim.fault.GuestPermissionDenied):
        guest.files.DeleteFileInGuest(guest.vm, guest.worker, "/etc/hostname")
    guest.put("/tmp/mine", b"x", auth=guest.worker)
    guest.files.DeleteFileInGuest(guest.vm, guest.worker, "/tmp/mine")


def test_programs_run_act_and_end(site, guest):
    pid = guest.run("/bin/sh", "-c 'echo hello world > /tmp/out'")
    assert guest.get("/tmp/out") == b"hello world\n"
    guest.run("/bin/sh", "-c 'cat /etc/hostname /tmp/out >> /tmp/all'")
    assert guest.get("/tmp/all") == b"db.corp\nhello world\n"
    process = guest.processes.ListProcessesInGuest(guest.vm, guest.auth, [pid])[0]
    assert (process.name, process.owner, process.exitCode) == ("sh", "root", 0)
    assert process.cmdLine.startswith('"/bin/sh" -c')
    assert guest.processes.ListProcessesInGuest(guest.vm, guest.auth, [guest.run("/bin/false", "")])[0].exitCode == 1
    for program, arguments, code in (
        ("sh", "-c nonsense", 127),
        ("sleep", "nan", 1),
        ("sleep", "-1", 1),
        ("cp", "/x", 1),
        ("sh", "'", 2),
    ):
        pid = guest.run(f"/bin/{program}", arguments)
        assert guest.processes.ListProcessesInGuest(guest.vm, guest.auth, [pid])[0].exitCode == code
    pid = guest.run("/bin/sh", "-c 'true'")
    with pytest.raises(vim.fault.FileNotFound):
        guest.run("/bin/nothing", "")
    guest.put("/tmp/job.sh", b"#!/bin/sh\nmkdir -p /data/deep\ntouch /data/deep/file\nsleep 30\n")
    pid = guest.run("/tmp/job.sh", "")
    assert guest.names("/data/deep") == [".", "..", "file"]
    assert guest.processes.ListProcessesInGuest(guest.vm, guest.auth, [pid])[0].endTime is None
    site.clock.wait(31)
    assert guest.processes.ListProcessesInGuest(guest.vm, guest.auth, [pid])[0].exitCode == 0
    site.clock.wait(301)
    assert list(guest.processes.ListProcessesInGuest(guest.vm, guest.auth, [pid])) == []


def test_processes_are_ended_by_who_may_and_by_a_boot(site, guest):
    pid, mine = guest.run("/bin/sleep", "1000"), guest.run("/bin/sleep", "1000", auth=guest.worker)
    with pytest.raises(vim.fault.GuestPermissionDenied):
        guest.processes.TerminateProcessInGuest(guest.vm, guest.worker, pid)
    guest.processes.TerminateProcessInGuest(guest.vm, guest.worker, mine)
    assert guest.processes.ListProcessesInGuest(guest.vm, guest.auth, [mine])[0].exitCode == 143
    for other in (mine, 99999):
        with pytest.raises(vim.fault.GuestProcessNotFound):
            guest.processes.TerminateProcessInGuest(guest.vm, guest.auth, other)
    with pytest.raises(vim.fault.GuestPermissionDenied):
        guest.processes.TerminateProcessInGuest(guest.vm, guest.auth, 1)
    site.wait(guest.vm.PowerOff())
    site.wait(guest.vm.PowerOn())
    assert [one.name for one in guest.processes.ListProcessesInGuest(guest.vm, guest.auth, None)] == ["init", "vmtoolsd"]


def test_the_environment_is_read(guest, windows):
    read = guest.processes.ReadEnvironmentVariableInGuest
    assert list(read(guest.vm, guest.auth, ["USER", "NONE", "HOME"])) == ["USER=root", "HOME=/root"]
    assert "USERNAME=Administrator" in read(windows.vm, windows.auth, None)
    guest.run("/bin/sh", "-c 'env > /tmp/env'", envVariables=["COLOUR=blue"])
    assert b"COLOUR=blue\n" in guest.get("/tmp/env")


def test_files_go_back_with_a_snapshot_and_stay_over_a_boot(site, guest):
    guest.put("/tmp/kept", b"before")
    snapshot = site.wait(guest.vm.CreateSnapshot("s", "", memory=True, quiesce=False))
    guest.put("/tmp/kept", b"after", overwrite=True)
    site.wait(guest.vm.PowerOff())
    site.wait(guest.vm.PowerOn())
    assert guest.get("/tmp/kept") == b"after"
    site.wait(snapshot.Revert())
    assert guest.get("/tmp/kept") == b"before"


def test_windows_has_programs_of_its_own(windows):
    windows.run("C:\\Windows\\System32\\cmd.exe", "/c echo hello > C:\\Windows\\Temp\\out.txt")
    assert windows.get("C:\\Windows\\Temp\\out.txt") == b"hello\n"
    windows.run("C:\\Windows\\System32\\cmd.exe", "/c copy C:\\Windows\\Temp\\out.txt C:\\Users\\copy.txt")
    assert windows.get("C:\\Users\\copy.txt") == b"hello\n"
    with pytest.raises(vim.fault.FileNotFound):
        windows.names("C:\\Windows\\..\\..\\x")


def test_the_registry_of_windows(windows, guest):
    registry, vm, auth = windows.registry, windows.vm, windows.auth
    Spec = vim.vm.guest.WindowsRegistryManager

    def key(path):
        return Spec.RegistryKeyName(registryPath=path, wowBitness="WOWNative")

    top = "HKEY_LOCAL_MACHINE\\SOFTWARE\\Drill"
    registry.CreateRegistryKeyInGuest(vm, auth, key(top), False, None)
    registry.CreateRegistryKeyInGuest(vm, auth, key(top + "\\Inner"), True, "class")
    with pytest.raises(vim.fault.GuestRegistryKeyAlreadyExists):
        registry.CreateRegistryKeyInGuest(vm, auth, key(top), False, None)
    with pytest.raises(vim.fault.GuestRegistryKeyParentVolatile):
        registry.CreateRegistryKeyInGuest(vm, auth, key(top + "\\Inner\\Deep"), False, None)
    with pytest.raises(vim.fault.GuestRegistryKeyInvalid):
        registry.CreateRegistryKeyInGuest(vm, auth, key("HKEY_NOWHERE\\x"), False, None)
    found = registry.ListRegistryKeysInGuest(vm, auth, key("HKEY_LOCAL_MACHINE"), True, "Inn*")
    assert [one.key.keyName.registryPath for one in found] == [top + "\\Inner"]
    value = Spec.RegistryValue(
        name=Spec.RegistryValueName(keyName=key(top), name="Answer"), data=Spec.RegistryValueDword(value=42)
    )
    registry.SetRegistryValueInGuest(vm, auth, value)
    shown = registry.ListRegistryValuesInGuest(vm, auth, key(top.lower()), False, None)
    assert [(one.name.name, one.data.value) for one in shown] == [("Answer", 42)]
    registry.DeleteRegistryValueInGuest(vm, auth, value.name)
    with pytest.raises(vim.fault.GuestRegistryValueNotFound):
        registry.DeleteRegistryValueInGuest(vm, auth, value.name)
    with pytest.raises(vim.fault.GuestRegistryKeyHasSubkeys):
        registry.DeleteRegistryKeyInGuest(vm, auth, key(top), False)
    registry.DeleteRegistryKeyInGuest(vm, auth, key(top), True)
    assert list(registry.ListRegistryKeysInGuest(vm, auth, key("HKEY_LOCAL_MACHINE\\SOFTWARE"), True, None)) == []
    with pytest.raises(vim.fault.OperationNotSupportedByGuest):
        registry.ListRegistryKeysInGuest(guest.vm, guest.auth, key("HKEY_LOCAL_MACHINE"), False, None)


def test_certificates_stand_for_users(guest):
    issued = trustme.CA().cert_pem.bytes()
    certificate = base64.b64encode(x509.load_pem_x509_certificate(issued).public_bytes(Encoding.DER)).decode()
    Manager = vim.vm.guest.AliasManager
    subject = Manager.GuestAuthNamedSubject(name="CN=robot")
    info = Manager.GuestAuthAliasInfo(subject=subject, comment="for the drill")
    guest.aliases.AddGuestAlias(guest.vm, guest.auth, "worker", True, issued.decode(), info)
    found = guest.aliases.ListGuestAliases(guest.vm, guest.worker, "worker")
    assert [(one.base64Cert, one.aliases[0].comment) for one in found] == [(certificate, "for the drill")]
    mapped = guest.aliases.ListGuestMappedAliases(guest.vm, guest.auth)
    assert [(one.username, one.subjects[0].name) for one in mapped] == [("worker", "CN=robot")]
    with pytest.raises(vim.fault.GuestMultipleMappings):
        guest.aliases.AddGuestAlias(guest.vm, guest.auth, "root", True, certificate, info)
    with pytest.raises(vim.fault.GuestPermissionDenied):
        guest.aliases.ListGuestAliases(guest.vm, guest.worker, "root")
    with pytest.raises(vmodl.fault.InvalidArgument):
        guest.aliases.AddGuestAlias(guest.vm, guest.auth, "worker", False, "bm90IG9uZQ==", info)
    guest.aliases.RemoveGuestAlias(guest.vm, guest.auth, "worker", certificate, subject)
    assert list(guest.aliases.ListGuestAliases(guest.vm, guest.auth, "worker")) == []
    guest.aliases.AddGuestAlias(guest.vm, guest.auth, "worker", False, certificate, info)
    guest.aliases.RemoveGuestAliasByCert(guest.vm, guest.auth, "worker", certificate)
    assert list(guest.aliases.ListGuestAliases(guest.vm, guest.auth, "worker")) == []


def test_who_may_not_operate_in_guests_is_refused(site, guest):
    reader = site.login("reader")
    vm = site.vm(reader, "db")
    with pytest.raises(vim.fault.NoPermission):
        reader.content.guestOperationsManager.fileManager.MakeDirectoryInGuest(vm, guest.auth, "/tmp/x", False)
    assert guest.names("/tmp") == [".", ".."]
