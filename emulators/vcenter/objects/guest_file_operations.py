"""GuestFileManager: files in a machine's guest, and the addresses under which their bytes come and go."""

import re
from typing import Any

from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.guest_files import MOST_BYTES, Node, temporary
from emulators.vcenter.inventory import Call, Inventory
from emulators.vcenter.objects.guest_operations import GOOD, GuestSystem, Transfer, enter
from emulators.vcenter.records import Record

_SHOWN = 50
_MOST_TRANSFERS = 100
_LONGEST_PATTERN = 200


def _attributes(system: GuestSystem, node: Node) -> Record:
    times = {"modificationTime": node.modified, "accessTime": node.accessed}
    if system.windows:
        more = {"hidden": node.hidden, "readOnly": node.read_only, "createTime": node.created}
        return Record("GuestWindowsFileAttributes", **times, **more)
    owner = 0 if node.owner == system.admin else 1000
    return Record("GuestPosixFileAttributes", **times, ownerId=owner, groupId=owner, permissions=node.mode)


def _told(attributes: Record) -> dict[str, Any]:
    """Attributes that a client gives, as fields of a `Node`."""
    names = {
        "modificationTime": "modified",
        "accessTime": "accessed",
        "permissions": "mode",
        "hidden": "hidden",
        "readOnly": "read_only",
        "createTime": "created",
    }
    found = {ours: attributes[theirs] for theirs, ours in names.items() if attributes[theirs] is not None}
    if "mode" in found:
        found["mode"] &= 0o7777
    return found


def listed(call: Call, _manager: Any, args: Any) -> Record:
    """ListFilesInGuest: a directory's content with `.` and `..`, or one file. `matchPattern` is a regular expression."""
    system, _ = enter(call, args)
    node = system.files.get(args["filePath"])
    index, most = args.get("index") or 0, args.get("maxResults") or _SHOWN
    if index < 0 or most < 0:
        raise invalid_argument("index", "It is negative.")
    pattern = _pattern(args.get("matchPattern") or "")
    if node.kind == "file":
        found = [(node.path.replace("\\", "/").rpartition("/")[2], node)]
    else:
        found = [(".", node), ("..", node)]
        found += [(one.path.replace("\\", "/").rpartition("/")[2], one) for one in system.files.inside(args["filePath"])]
    found = [(name, one) for name, one in found if pattern.search(name)]
    shown = [
        Record("GuestFileInfo", path=name, type=one.kind, size=len(one.data), attributes=_attributes(system, one))
        for name, one in found[index : index + most]
    ]
    return Record("GuestListFileInfo", files=shown, remaining=max(0, len(found) - index - most))


def _pattern(text: str) -> "re.Pattern[str]":
    """A client's regular expression. Groups that repeat are refused: they can take for ever."""
    if len(text) > _LONGEST_PATTERN or re.search(r"\)\s*[*+{?]", text):
        raise invalid_argument("matchPattern", "It is too long, or has a group that repeats.")
    try:
        return re.compile(text)
    except re.error as error:
        raise invalid_argument("matchPattern", f"{error}.") from None


def make_directory(call: Call, _manager: Any, args: Any) -> None:
    """MakeDirectoryInGuest."""
    system, user = enter(call, args)
    parents = bool(args["createParentDirectories"])
    system.files.make_directory(user, args["directoryPath"], call.inventory.clock.now(), parents=parents)


def delete_file(call: Call, _manager: Any, args: Any) -> None:
    """DeleteFileInGuest."""
    system, user = enter(call, args)
    system.files.remove(user, args["filePath"], "file")


def delete_directory(call: Call, _manager: Any, args: Any) -> None:
    """DeleteDirectoryInGuest."""
    system, user = enter(call, args)
    system.files.remove(user, args["directoryPath"], "directory", recursive=args["recursive"])


def move_directory(call: Call, _manager: Any, args: Any) -> None:
    """MoveDirectoryInGuest."""
    system, user = enter(call, args)
    system.files.move(user, args["srcDirectoryPath"], args["dstDirectoryPath"], "directory")


def move_file(call: Call, _manager: Any, args: Any) -> None:
    """MoveFileInGuest."""
    system, user = enter(call, args)
    system.files.move(user, args["srcFilePath"], args["dstFilePath"], "file", overwrite=args["overwrite"])


def _temporary(call: Call, args: Any) -> tuple[GuestSystem, str, str]:
    system, user = enter(call, args)
    folder = args.get("directoryPath") or temporary(system.windows)
    if re.search(r"[\\/\0]", args["prefix"] + args["suffix"]):
        raise invalid_argument("prefix", "It holds a separator of paths.")
    system.files.get(folder, "directory")
    name = f"{args['prefix']}{call.inventory.clock.random_bytes(4).hex()}{args['suffix']}"
    return system, user, system.files.join(folder, name)


def temporary_file(call: Call, _manager: Any, args: Any) -> str:
    """CreateTemporaryFileInGuest."""
    system, user, path = _temporary(call, args)
    system.files.write(user, path, b"", call.inventory.clock.now(), overwrite=False, mode=0o600)
    return path


def temporary_directory(call: Call, _manager: Any, args: Any) -> str:
    """CreateTemporaryDirectoryInGuest."""
    system, user, path = _temporary(call, args)
    system.files.make_directory(user, path, call.inventory.clock.now(), mode=0o700)
    return path


def change_attributes(call: Call, _manager: Any, args: Any) -> None:
    """ChangeFileAttributesInGuest."""
    system, user = enter(call, args)
    system.files.change(user, args["guestFilePath"], **_told(args["fileAttributes"]))


# bytes -----------------------------------------------------------------------------------------------------------------


def _open(inventory: Inventory, system: GuestSystem, vm: str, transfer: Transfer) -> str:
    """The address of a transfer; `*` stands for the address by which the client knows the vCenter."""
    now = inventory.clock.now()
    for token in [token for token, one in system.transfers.items() if one.until < now]:
        del system.transfers[token]
    if len(system.transfers) >= _MOST_TRANSFERS:
        raise Fault("GuestOperationsFault", "Too many transfers have been begun.")
    token = inventory.clock.random_bytes(20).hex()
    system.transfers[token] = transfer
    return f"http{'s' if inventory.tls else ''}://*/guestFile?id={vm}&token={token}"


def from_guest(call: Call, _manager: Any, args: Any) -> Record:
    """InitiateFileTransferFromGuest."""
    system, user = enter(call, args)
    node = system.files.get(args["guestFilePath"], "file")
    until = call.inventory.clock.now() + GOOD
    transfer = Transfer(args["guestFilePath"], user, False, len(node.data), False, {}, until)
    url = _open(call.inventory, system, args["vm"].moid, transfer)
    return Record("FileTransferInformation", attributes=_attributes(system, node), size=len(node.data), url=url)


def to_guest(call: Call, _manager: Any, args: Any) -> str:
    """InitiateFileTransferToGuest: the file is there when its bytes have come."""
    system, user = enter(call, args)
    path, size = args["guestFilePath"], args["fileSize"]
    if not 0 <= size <= MOST_BYTES:
        text = f"A guest here takes files of up to {MOST_BYTES} bytes."
        raise Fault("FileTooLarge", text, file=path, datastore="", fileSize=size, maxFileSize=MOST_BYTES)
    if system.files.has(path) and not args["overwrite"]:
        raise Fault("FileAlreadyExists", f"{path} exists already.", file=path)
    system.files.get(system.files.parent_of(path), "directory")
    system.files.may_write(user, path)
    until = call.inventory.clock.now() + GOOD
    transfer = Transfer(path, user, True, size, args["overwrite"], _told(args["fileAttributes"]), until)
    return _open(call.inventory, system, args["vm"].moid, transfer)


FILE_OPERATIONS = {
    "ListFilesInGuest": listed,
    "MakeDirectoryInGuest": make_directory,
    "DeleteFileInGuest": delete_file,
    "DeleteDirectoryInGuest": delete_directory,
    "MoveDirectoryInGuest": move_directory,
    "MoveFileInGuest": move_file,
    "CreateTemporaryFileInGuest": temporary_file,
    "CreateTemporaryDirectoryInGuest": temporary_directory,
    "ChangeFileAttributesInGuest": change_attributes,
    "InitiateFileTransferFromGuest": from_guest,
    "InitiateFileTransferToGuest": to_guest,
}
