"""Guest customization: a specification is checked, kept with the machine, and told of at its next power on.

What it asks for is not done in the emulated guest, which has no registry and no network scripts.
"""

from typing import Any

from emulators.vcenter import schema
from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call, Inventory
from emulators.vcenter.objects.virtual_machine import VirtualMachine, guest_family
from emulators.vcenter.records import Record
from emulators.vcenter.tasks import Work

SECONDS = 1.0
_WINDOWS = ("CustomizationSysprep", "CustomizationSysprepText")
_PENDING = "tools.deployPkg.fileName"


def check(vm: VirtualMachine, spec: Record) -> None:
    """Raises the faults of a specification that does not fit the machine."""
    identity = spec["identity"]
    family = guest_family(vm.settings.guest_id)
    if family == "otherGuestFamily":
        raise Fault("UncustomizableGuest", "The guest cannot be customized.", uncustomizableGuestOS=vm.settings.guest_id)
    if (identity.kind in _WINDOWS) is not (family == "windowsGuest"):
        raise invalid_argument("spec.identity", f"{identity.kind} does not fit a {family}.")
    cards = sum(schema.is_a(device.kind, "VirtualEthernetCard") for device in vm.settings.devices.values())
    told = len(spec["nicSettingMap"] or [])
    if told != cards:
        raise Fault("NicSettingMismatch", "The network cards do not fit.", numberOfNicsInSpec=told, numberOfNicsInVM=cards)


def record(vm: VirtualMachine, spec: Record) -> None:
    """Keep a specification for the next power on."""
    vm.customization = spec.copy()
    vm.settings.extra[_PENDING.lower()] = (_PENDING, f"imc-{vm.moid}")


def begin(inventory: Inventory, vm: VirtualMachine, user: str, chain: int) -> None:
    """Tell that the kept specification is applied, at power on."""
    if vm.customization is None:
        return
    vm.customization = None
    vm.settings.extra.pop(_PENDING.lower(), None)
    inventory.change(vm, "config.extraConfig")
    log = f"customization of {vm.name}"
    for kind, text in (
        ("CustomizationStartedEvent", "Started customization of VM {vm}. Customization log located at {log} in the guest OS."),
        ("CustomizationSucceeded", "Customization of VM {vm} succeeded. Customization log located at {log} in the guest OS."),
    ):
        words = {"log": log}
        inventory.events.about(kind, text, vm, user=user, chain=chain, words=words, template=False, logLocation=log)


def customize(call: Call, vm: VirtualMachine, args: Any) -> Work:
    """CustomizeVM_Task: for a machine that is off."""
    if vm.power != "poweredOff":
        raise Fault("InvalidPowerState", "It must be off.", requestedState="poweredOff", existingState=vm.power)
    check(vm, args["spec"])
    yield SECONDS
    record(vm, args["spec"])
    call.inventory.change(vm, "config.extraConfig")


def check_spec(_call: Call, vm: VirtualMachine, args: Any) -> None:
    """CheckCustomizationSpec."""
    check(vm, args["spec"])


CUSTOMIZE_OPERATIONS = {"CustomizeVM_Task": customize, "CheckCustomizationSpec": check_spec}
