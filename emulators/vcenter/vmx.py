"""The .vmx file of a machine: its settings and devices as text, and back.

Only what the text can say comes back: identity, size, firmware, controllers, disks by their file names, network cards, options.
"""

import re
from collections.abc import Iterator, Mapping

from emulators.vcenter.records import Record

#: Longest configuration file that is read, bytes.
LONGEST = 1024 * 1024
_LINE = re.compile(r'\s*([^\s=#][^=]*?)\s*=\s*"([^"]*)"\s*')
_NAME = re.compile(r'[^\s=#"][^=\x00-\x1f"]*')
_ESCAPES = {"|7C": "|", "|22": '"', "|0A": "\n", "|0D": "\r"}
_ESCAPE = re.compile(r"\|(?:7C|22|0A|0D)")

#: Kind of a controller -> the bus it makes and what the file calls it.
CONTROLLERS = {
    "ParaVirtualSCSIController": ("scsi", "pvscsi"),
    "VirtualLsiLogicController": ("scsi", "lsilogic"),
    "VirtualLsiLogicSASController": ("scsi", "lsisas1068"),
    "VirtualBusLogicController": ("scsi", "buslogic"),
    "VirtualAHCIController": ("sata", "ahci"),
    "VirtualNVMEController": ("nvme", "nvme"),
    "VirtualIDEController": ("ide", "ide"),
}
CARDS = {
    "VirtualVmxnet3": "vmxnet3",
    "VirtualVmxnet2": "vmxnet2",
    "VirtualE1000": "e1000",
    "VirtualE1000e": "e1000e",
    "VirtualPCNet32": "vlance",
}


class NotAVmx(ValueError):
    """The text is no configuration of a machine."""


def quoted(value: str) -> str:
    return value.replace("|", "|7C").replace('"', "|22").replace("\n", "|0A").replace("\r", "|0D")


def text(lines: Mapping[str, str]) -> str:
    """The file of these settings. Names that cannot stand in it (line ends, quotes, `=`) are left out."""
    return "".join(f'{key} = "{quoted(value)}"\n' for key, value in lines.items() if _NAME.fullmatch(key))


def read(content: bytes) -> dict[str, str]:
    """The settings of a file, by their names as written. Raises `NotAVmx`."""
    if len(content) > LONGEST:
        raise NotAVmx("it is too long")
    try:
        lines = content.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise NotAVmx("it is not UTF-8 text") from None
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise NotAVmx(f'line {number} is not `name = "value"`')
        found[match[1]] = _ESCAPE.sub(lambda code: _ESCAPES[code[0]], match[2])
    if not any(key.lower() in ("displayname", "guestos", "virtualhw.version") for key in found):
        raise NotAVmx("it names neither machine nor guest")
    return found


def device_lines(devices: Mapping[int, Record], files: Mapping[int, str]) -> Iterator[tuple[str, str]]:
    """Controllers, disks (`files` has theirs by key) and network cards as settings."""
    places: dict[int, str] = {}
    for key, device in sorted(devices.items()):
        bus = CONTROLLERS.get(device.kind)
        if bus is not None:
            places[key] = f"{bus[0]}{device['busNumber']}"
            yield f"{places[key]}.present", "TRUE"
            if bus[0] == "scsi":
                yield f"{places[key]}.virtualDev", bus[1]
                yield f"{places[key]}.sharedBus", _SHARED.get(device["sharedBus"], "none")
    for key, file in sorted(files.items()):
        device = devices[key]
        place = f"{places.get(device['controllerKey'], 'scsi0')}:{device['unitNumber']}"
        yield f"{place}.present", "TRUE"
        yield f"{place}.fileName", file
        yield f"{place}.deviceType", "scsi-hardDisk"
        yield f"{place}.mode", device["backing"]["diskMode"].replace("_", "-")
        if device["backing"]["sharing"] == "sharingMultiWriter":
            yield f"{place}.sharing", "multi-writer"
    cards = [device for _, device in sorted(devices.items()) if device.kind in CARDS]
    for number, card in enumerate(cards):
        yield from _card_lines(f"ethernet{number}", card)


_SHARED = {"noSharing": "none", "virtualSharing": "virtual", "physicalSharing": "physical"}


def _card_lines(name: str, card: Record) -> Iterator[tuple[str, str]]:
    yield f"{name}.present", "TRUE"
    yield f"{name}.virtualDev", CARDS[card.kind]
    backing = card["backing"]
    if backing is not None and backing["port"] is not None:
        yield f"{name}.dvs.switchId", backing["port"]["switchUuid"]
        yield f"{name}.dvs.portgroupId", backing["port"]["portgroupKey"] or ""
    elif backing is not None:
        yield f"{name}.networkName", backing["deviceName"] or ""
    static = card["addressType"] == "manual"
    yield f"{name}.addressType", "static" if static else "vpx"
    yield f"{name}.{'address' if static else 'generatedAddress'}", card["macAddress"] or ""
    yield f"{name}.startConnected", "TRUE" if not card["connectable"] or card["connectable"]["startConnected"] else "FALSE"
