"""What can be had in a location: images by publisher, offer, sku and version, and skus of machines and disks."""

import re

from emulators.azure.arm import Answer, Arm, Call, Json, Refusal, operation
from emulators.azure.compute.kinds import DISK_SKUS, MACHINE, SIZES
from emulators.azure.tracked import SUBSCRIPTION, canonical_location, check_location

_PUBLISHERS = SUBSCRIPTION + "/providers/Microsoft.Compute/locations/{location}/publishers"
_OFFERS = _PUBLISHERS + "/{publisherName}/artifacttypes/vmimage/offers"
_SKUS = _OFFERS + "/{offer}/skus"
_VERSIONS = _SKUS + "/{skus}/versions"

#: Publisher, offer, sku, version, system.
_IMAGES = (
    ("Canonical", "0001-com-ubuntu-server-jammy", "22_04-lts-gen2", "22.04.202501010", "Linux"),
    ("Canonical", "ubuntu-24_04-lts", "server", "24.04.202501080", "Linux"),
    ("Debian", "debian-12", "12-gen2", "0.20250115.1993", "Linux"),
    ("RedHat", "RHEL", "9-lvm-gen2", "9.5.2024112215", "Linux"),
    ("MicrosoftWindowsServer", "WindowsServer", "2019-datacenter-gensecond", "17763.6775.250117", "Windows"),
    ("MicrosoftWindowsServer", "WindowsServer", "2022-datacenter-azure-edition", "20348.3091.250112", "Windows"),
)


class Images:
    """The market of images, which answers bare lists. Disks made from one are empty: nothing is known of its bytes."""

    namespace = "Microsoft.Compute"

    def __init__(self, arm: Arm):
        self.arm = arm

    @operation("GET", _PUBLISHERS)
    @operation("GET", _OFFERS)
    @operation("GET", _SKUS)
    @operation("GET", _VERSIONS)
    def names(self, call: Call) -> Answer:
        """The names of the next level below what is given."""
        found = self._below(call)
        level = sum(name in call.parameters for name in ("publisherName", "offer", "skus"))
        path = re.sub("/versions$|/skus$|/offers$|/publishers$", "", call.path, flags=re.IGNORECASE)
        word = ("publishers", "artifacttypes/vmimage/offers", "skus", "versions")[level]
        path = re.sub("/artifacttypes/vmimage$", "", path, flags=re.IGNORECASE)
        names = dict.fromkeys(row[level] for row in found)
        location = canonical_location(call["location"])
        return Answer(200, [{"id": f"{path}/{word}/{name}", "name": name, "location": location} for name in names])

    @operation("GET", _VERSIONS + "/{version}")
    def image(self, call: Call) -> Answer:
        wanted = call["version"].lower()
        row = next((row for row in self._below(call) if wanted in ("latest", row[3].lower())), None)
        if row is None:
            raise Refusal(404, "NotFound", f"Artifact: VMImage was not found: version {call['version']}.")
        properties: Json = {
            "osDiskImage": {"operatingSystem": row[4]},
            "dataDiskImages": [],
            "automaticOSUpgradeProperties": {"automaticOSUpgradeSupported": False},
            "hyperVGeneration": "V2",
            "architecture": "x64",
        }
        path = call.path.rsplit("/", 1)[0]
        location = canonical_location(call["location"])
        return Answer(200, {"id": f"{path}/{row[3]}", "name": row[3], "location": location, "properties": properties})

    def _below(self, call: Call) -> list[tuple[str, ...]]:
        check_location(self.arm, canonical_location(call["location"]), MACHINE.type)
        given = [call.parameters.get(name, "").lower() for name in ("publisherName", "offer", "skus")]
        found = [row for row in _IMAGES if all(not want or want == have.lower() for want, have in zip(given, row, strict=False))]
        if not found:
            raise Refusal(404, "NotFound", "Artifact: VMImage was not found.")
        return list(found)


class Skus:
    """`Microsoft.Compute/skus`: the machines and disks of every location."""

    namespace = "Microsoft.Compute"

    def __init__(self, arm: Arm):
        self.arm = arm

    @operation("GET", SUBSCRIPTION + "/providers/Microsoft.Compute/skus")
    def skus(self, call: Call) -> Answer:
        match = re.fullmatch(r"\s*location\s+eq\s+'([^']*)'\s*", call.query.get("$filter", ""), re.IGNORECASE)
        if call.query.get("$filter") and match is None:
            raise Refusal(400, "InvalidParameter", "The filter of skus is location eq '<location>'.", target="$filter")
        wanted = canonical_location(match[1]) if match else ""
        places = [one for one in self.arm.locations if not wanted or one == wanted]
        rows = [row for place in places for row in (*_machines(place), *_disks(place))]
        return Answer(200, {"value": rows, "nextLink": None})


def _machines(place: str) -> list[Json]:
    rows = []
    for size in SIZES.values():
        abilities = {
            "vCPUs": size.cores,
            "MemoryGB": f"{size.memory_mb / 1024:g}",
            "MaxDataDiskCount": size.data_disks,
            "MaxNetworkInterfaces": size.interfaces,
            "PremiumIO": str(size.premium),
            "HyperVGenerations": "V1,V2",
            "CpuArchitectureType": "x64",
        }
        rows.append(_row("virtualMachines", size.name, size.name.split("_", 1)[1], size.family, place, abilities))
    return rows


def _disks(place: str) -> list[Json]:
    return [_row("disks", sku, sku.split("_", maxsplit=1)[0], "", place, {"MaxSizeGiB": 32767}) for sku in sorted(DISK_SKUS)]


def _row(kind: str, name: str, size: str, family: str, place: str, abilities: Json) -> Json:
    row: Json = {
        "resourceType": kind,
        "name": name,
        "tier": name.split("_", 1)[0],
        "size": size,
        "locations": [place],
        "locationInfo": [{"location": place, "zones": [], "zoneDetails": []}],
        "capabilities": [{"name": word, "value": str(value)} for word, value in abilities.items()],
        "restrictions": [],
    }
    return {**row, "family": family} if family else row
