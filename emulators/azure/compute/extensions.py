"""Extensions and run command. No machine of an estate has the guest agent that they need, and Azure says so."""

from emulators.azure.arm import Answer, Arm, Call, Refusal, not_found, operation
from emulators.azure.compute.kinds import MACHINE

_EXTENSIONS = MACHINE.template + "/extensions"
_EXTENSION = _EXTENSIONS + "/{vmExtensionName}"


class Extensions:
    """`virtualMachines/extensions` and `runCommand`: an empty list, and the refusal of a machine without an agent."""

    namespace = "Microsoft.Compute"

    def __init__(self, arm: Arm):
        self.arm = arm

    @operation("GET", _EXTENSIONS)
    def list_all(self, call: Call) -> Answer:
        self.arm.store.need(call.path.rsplit("/", 1)[0])
        return Answer(200, {"value": []})

    @operation("GET", _EXTENSION)
    def get(self, call: Call) -> Answer:
        raise not_found(call.path)

    @operation("PUT", _EXTENSION)
    def create(self, call: Call) -> Answer:
        self.arm.store.need(call.path.rsplit("/", 2)[0])
        raise _without_agent()

    @operation("DELETE", _EXTENSION)
    def delete(self, call: Call) -> Answer:
        return Answer(204)

    @operation("POST", MACHINE.template + "/runCommand")
    def run(self, call: Call) -> Answer:
        self.arm.store.need(call.path.rsplit("/", 1)[0])
        raise _without_agent()


def _without_agent() -> Refusal:
    return Refusal(
        409,
        "OperationNotAllowed",
        "This operation cannot be performed when extension operations are disallowed. To allow, please ensure VM Agent is "
        "installed on the VM and the osProfile.allowExtensionOperations property is true.",
    )
