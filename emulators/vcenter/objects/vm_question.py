"""Questions that a machine asks before it runs on: whether it was moved or copied. AnswerVM answers them."""

from typing import Any

from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call, Inventory
from emulators.vcenter.objects.virtual_machine import VirtualMachine
from emulators.vcenter.objects.vm_devices import mac_address
from emulators.vcenter.objects.vm_files import location, write_vmx
from emulators.vcenter.records import Record
from emulators.vcenter.tasks import Work

#: How often a task that waits for an answer looks for one, seconds.
_LOOK = 1.0
_TEXT = (
    "This virtual machine might have been moved or copied. In order to configure certain management and networking features, "
    "it must be known whether this virtual machine was moved or copied."
)
#: The key that clients send -> what is done.
_CHOICES = {"0": "cancel", "1": "moved", "2": "copied"}
_LABELS = {"0": "Cancel", "1": "I _Moved It", "2": "I _Copied It"}
#: Value of the option `uuid.action` -> what it answers beforehand.
_ACTIONS = {"keep": "moved", "create": "copied"}


def moved_or_copied(call: Call, vm: VirtualMachine) -> Work:
    """Ask, where the files lie elsewhere than when they were written, and wait for the answer. Canceling ends the power on."""
    inventory, answer = call.inventory, _ACTIONS.get((vm.extra_config_value("uuid.action") or "").lower())
    if not vm.location or vm.location == location(vm):
        return
    if answer is None:
        ask(inventory, vm, call.user, call.task.chain if call.task else 0)
        while vm.question is not None and not vm.answer:
            yield _LOOK
        answer = _CHOICES[vm.answer or "0"]
        vm.question, vm.answer = None, ""
        inventory.change(vm, "runtime.question", "summary.runtime.question")
    if answer == "cancel":
        raise Fault("GenericVmConfigFault", "The power on was canceled by the answer to a question.", reason="canceled")
    if answer == "copied":
        _new_identity(inventory, vm)
    vm.location = ""
    write_vmx(inventory, vm)


def ask(inventory: Inventory, vm: VirtualMachine, user: str, chain: int) -> None:
    """Let the question stand."""
    described = [Record("ElementDescription", key=key, label=label, summary=label) for key, label in _LABELS.items()]
    vm.question = Record(
        "VirtualMachineQuestionInfo",
        id=inventory.clock.uuid(),
        text=f"msg.uuid.altered:{_TEXT}",
        choice=Record("ChoiceOption", choiceInfo=described, defaultIndex=2),
        message=[Record("VirtualMachineMessage", id="msg.uuid.altered", text=_TEXT)],
    )
    inventory.change(vm, "runtime.question", "summary.runtime.question")
    text = "Message on {vm} on {host} in {datacenter}: {message}"
    words = {"message": _TEXT}
    inventory.events.about("VmMessageEvent", text, vm, user=user, chain=chain, words=words, template=False, message=_TEXT)


def _new_identity(inventory: Inventory, vm: VirtualMachine) -> None:
    vm.uuid = f"56{inventory.clock.uuid()[2:]}"
    for device in vm.settings.devices.values():
        if device["macAddress"] and device["addressType"] != "manual":
            device["macAddress"] = mac_address(inventory)
    inventory.change(vm, "config.uuid", "summary.config.uuid", "config.hardware.device")


def answer(call: Call, vm: VirtualMachine, args: Any) -> None:
    """AnswerVM. Raises `InvalidArgument` when no such question stands or it has no such choice."""
    if vm.question is None or vm.question["id"] != args["questionId"] or vm.answer:
        raise invalid_argument("questionId", "The machine does not ask that.")
    if args["answerChoice"] not in _CHOICES:
        raise invalid_argument("answerChoice", f"It is one of {', '.join(_CHOICES)}.")
    vm.answer = args["answerChoice"]


QUESTION_OPERATIONS = {"AnswerVM": answer}
