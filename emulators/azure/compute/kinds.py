"""The resource types of Microsoft.Compute that are built, and the machine sizes that exist."""

from dataclasses import dataclass

from emulators.azure.arm import Refusal
from emulators.azure.tracked import Kind

_RULE = "The entity name must have letters, digits, '-', '_' or '.', begin with a letter or digit and end with one or with '_'."
_PATTERN = r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{{0,{0}}}[A-Za-z0-9_])?"

MACHINE = Kind("Microsoft.Compute/virtualMachines", _PATTERN.format(62), _RULE, code="InvalidParameter")
DISK = Kind("Microsoft.Compute/disks", _PATTERN.format(78), _RULE, code="InvalidParameter")
SNAPSHOT = Kind("Microsoft.Compute/snapshots", _PATTERN.format(78), _RULE, code="InvalidParameter")
AVAILABILITY_SET = Kind("Microsoft.Compute/availabilitySets", _PATTERN.format(78), _RULE, code="InvalidParameter")

GIB = 1024**3

DISK_SKUS = frozenset({"Standard_LRS", "Premium_LRS", "StandardSSD_LRS"})


@dataclass(frozen=True, slots=True)
class Size:
    """A machine size and what it carries."""

    name: str
    cores: int
    memory_mb: int
    data_disks: int
    interfaces: int
    family: str

    @property
    def premium(self) -> bool:
        """Whether it takes premium disks: sizes with an `s` in their name do."""
        return "S" in self.family.removeprefix("standard").removesuffix("Family").split("v")[0]


#: Sizes of every location.
SIZES: dict[str, Size] = {
    size.name.lower(): size
    for size in (
        Size("Standard_A1_v2", 1, 2048, 2, 2, "standardAv2Family"),
        Size("Standard_A2_v2", 2, 4096, 4, 2, "standardAv2Family"),
        Size("Standard_B1s", 1, 1024, 2, 2, "standardBSFamily"),
        Size("Standard_B2s", 2, 4096, 4, 3, "standardBSFamily"),
        Size("Standard_D1_v2", 1, 3584, 4, 2, "standardDv2Family"),
        Size("Standard_D2_v2", 2, 7168, 8, 2, "standardDv2Family"),
        Size("Standard_D3_v2", 4, 14336, 16, 4, "standardDv2Family"),
        Size("Standard_D2s_v3", 2, 8192, 4, 2, "standardDSv3Family"),
        Size("Standard_D4s_v3", 4, 16384, 8, 2, "standardDSv3Family"),
        Size("Standard_D8s_v3", 8, 32768, 16, 4, "standardDSv3Family"),
        Size("Standard_DS1_v2", 1, 3584, 4, 2, "standardDSv2Family"),
        Size("Standard_DS2_v2", 2, 7168, 8, 2, "standardDSv2Family"),
        Size("Standard_DS3_v2", 4, 14336, 16, 4, "standardDSv2Family"),
        Size("Standard_F2s_v2", 2, 4096, 4, 2, "standardFSv2Family"),
        Size("Standard_F4s_v2", 4, 8192, 8, 2, "standardFSv2Family"),
    )
}


def size_named(name: str) -> Size:
    """Raises `Refusal` 400 `InvalidParameter` for a size that does not exist."""
    size = SIZES.get(name.lower())
    if size is None:
        raise Refusal(
            400,
            "InvalidParameter",
            f"The value {name} provided for the VM size is not valid. The valid sizes in the current region are: "
            f"{','.join(one.name for one in SIZES.values())}.",
            target="vmSize",
        )
    return size
