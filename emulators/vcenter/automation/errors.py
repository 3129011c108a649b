"""Refusals of the Automation API: its standard errors, and what faults of vim25 become."""

from dataclasses import dataclass
from typing import Any

from emulators.vcenter.faults import Fault

#: Standard error -> HTTP status.
STATUS = {
    "already_exists": 400,
    "already_in_desired_state": 400,
    "concurrent_change": 409,
    "error": 500,
    "internal_server_error": 500,
    "invalid_argument": 400,
    "invalid_element_type": 400,
    "not_allowed_in_current_state": 400,
    "not_found": 404,
    "operation_not_found": 404,
    "resource_busy": 400,
    "resource_in_use": 400,
    "resource_inaccessible": 400,
    "service_unavailable": 503,
    "unable_to_allocate_resource": 400,
    "unauthenticated": 401,
    "unauthorized": 403,
    "unexpected_input": 400,
    "unsupported": 400,
}
_OF_FAULT = {
    "AlreadyExists": "already_exists",
    "ConcurrentAccess": "concurrent_change",
    "DuplicateName": "already_exists",
    "FileAlreadyExists": "already_exists",
    "FileLocked": "resource_busy",
    "FileNotFound": "not_found",
    "InvalidLogin": "unauthenticated",
    "InvalidPowerState": "not_allowed_in_current_state",
    "InvalidState": "not_allowed_in_current_state",
    "ManagedObjectNotFound": "not_found",
    "NoDiskSpace": "unable_to_allocate_resource",
    "NoPermission": "unauthorized",
    "NotAuthenticated": "unauthenticated",
    "NotFound": "not_found",
    "NotSupported": "unsupported",
    "ResourceInUse": "resource_in_use",
    "TaskInProgress": "resource_busy",
    "ToolsUnavailable": "service_unavailable",
}


@dataclass(frozen=True, slots=True)
class Refusal(Exception):
    """The API says no: the name of a standard error, and the reason as text."""

    error: str
    reason: str

    def value(self) -> dict[str, Any]:
        """As a value of the error's type."""
        message = {"id": f"com.vmware.vdcs.{self.error}", "default_message": self.reason, "args": []}
        return {"messages": [message], "error_type": self.error.upper()}


def refusal_of(fault: Fault) -> Refusal:
    """What a fault of vim25 is here; `invalid_argument` unless the table says otherwise."""
    return Refusal(_OF_FAULT.get(fault.kind, "invalid_argument"), fault.message)
