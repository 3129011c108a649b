"""An emulated vCenter (vim25 over SOAP) whose disks hold bytes. The type system is pyVmomi's registry.

`VCenter` is what an estate composes; its `wsgi` is what listens. Files: one for each managed object under `objects/`, found by
the table in `kinds.py`.
"""

from emulators.vcenter.disks import NoSpace
from emulators.vcenter.guests import GuestHooks
from emulators.vcenter.model import Model
from emulators.vcenter.objects.virtual_machine import AttachedDisk, DiskGone, VirtualMachine
from emulators.vcenter.vcenter import DiskSpec, VCenter

__all__ = ["AttachedDisk", "DiskGone", "DiskSpec", "GuestHooks", "Model", "NoSpace", "VCenter", "VirtualMachine"]
