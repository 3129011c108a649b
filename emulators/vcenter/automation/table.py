"""Every operation of the Automation API that is built, by service and name."""

from emulators.vcenter.automation import hardware, library, library_files, machines, places, sessions, tagging
from emulators.vcenter.automation.act import Operation

OPERATIONS: dict[str, Operation] = {
    f"com.vmware.{name}": operation
    for module in (sessions, places, machines, hardware, tagging, library, library_files)
    for name, operation in module.OPERATIONS.items()
}
