"""Faults of vim25, raised inside and written on the wire as the SOAP fault of their type."""

from typing import Any

from emulators.vcenter.records import Record, Ref


class Fault(Exception):
    """A typed fault: `Fault("InvalidPowerState", "text", requestedState=..., existingState=...)`."""

    def __init__(self, kind: str, message: str, /, **fields: Any):
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.fields = fields

    def record(self) -> Record:
        """The fault as a field of another object (`LocalizedMethodFault`)."""
        return Record("LocalizedMethodFault", fault=Record(self.kind, **self.fields), localizedMessage=self.message)


def not_found(ref: Ref) -> Fault:
    return Fault(
        "ManagedObjectNotFound",
        f"The object '{ref.kind}:{ref.moid}' has already been deleted or has not been completely created",
        obj=ref,
    )


def invalid_argument(name: str, message: str) -> Fault:
    return Fault("InvalidArgument", f"A specified parameter was not correct: {name}. {message}", invalidProperty=name)


def invalid_request(message: str) -> Fault:
    return Fault("InvalidRequest", message)


def no_permission(ref: Ref, privilege: str) -> Fault:
    return Fault(
        "NoPermission", f"Permission to perform this operation was denied ({privilege}).", object=ref, privilegeId=privilege
    )


def invalid_power_state(requested: str, existing: str) -> Fault:
    return Fault(
        "InvalidPowerState",
        f"The attempted operation cannot be performed in the current state ({label(existing)}).",
        requestedState=requested,
        existingState=existing,
    )


def label(power: str) -> str:
    """`poweredOn` as vCenter shows it."""
    return {"poweredOn": "Powered on", "poweredOff": "Powered off", "suspended": "Suspended"}[power]
