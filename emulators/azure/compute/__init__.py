"""Microsoft.Compute: virtual machines with guests, managed disks over page blobs, availability sets, sizes."""

from emulators.azure.compute.disks import Disks
from emulators.azure.compute.machines import VirtualMachines
from emulators.azure.compute.sets import AvailabilitySets, Sizes

__all__ = ["AvailabilitySets", "Disks", "Sizes", "VirtualMachines"]
