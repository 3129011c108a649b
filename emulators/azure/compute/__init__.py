"""Microsoft.Compute: virtual machines with guests, managed disks over page blobs, snapshots, sets, a catalog."""

from emulators.azure.compute.catalog import Images, Skus
from emulators.azure.compute.disk_access import DiskAccess
from emulators.azure.compute.disks import Disks
from emulators.azure.compute.extensions import Extensions
from emulators.azure.compute.machines import VirtualMachines
from emulators.azure.compute.sets import AvailabilitySets, Sizes
from emulators.azure.compute.snapshots import Snapshots

__all__ = [
    "AvailabilitySets",
    "DiskAccess",
    "Disks",
    "Extensions",
    "Images",
    "Sizes",
    "Skus",
    "Snapshots",
    "VirtualMachines",
]
