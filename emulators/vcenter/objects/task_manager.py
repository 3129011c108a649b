"""TaskManager and Task."""

from typing import Any

from emulators.vcenter.entity import Property
from emulators.vcenter.inventory import Call, ref
from emulators.vcenter.objects import task_history
from emulators.vcenter.objects.authorization_manager import element
from emulators.vcenter.records import Record
from emulators.vcenter.tasks import Task


def _states() -> Record:
    return Record(
        "TaskDescription",
        methodInfo=[element("VirtualMachine.powerOn")],
        state=[element(state) for state in ("queued", "running", "success", "error")],
        reason=[Record("TypeDescription", key="TaskReasonUser", label="User", summary="Started by a user")],
    )


TASK_MANAGER_PROPERTIES: dict[str, Property] = {
    "recentTask": lambda inventory, _manager: [ref(task) for task in inventory.tasks.recent[-200:]],
    "description": lambda _inventory, _manager: _states(),
    "maxCollector": lambda _inventory, _manager: 32,
}


def cancel(call: Call, task: Task, _args: Any) -> None:
    """CancelTask."""
    call.inventory.tasks.cancel(task)


TASK_OPERATIONS = {"CancelTask": cancel, **task_history.FOREIGN_OPERATIONS}
