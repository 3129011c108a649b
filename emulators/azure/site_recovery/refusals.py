"""Refusals and failures on the wire, made from the table of `reasons`, and the way back from a code to its reason.

The code is `details[0].code` of an ARM error, and `errors[].serviceErrorDetails.code` of a failed job.
"""

from emulators.azure.arm.messages import Refusal
from emulators.azure.site_recovery.reasons import REASONS
from emulators.azure.site_recovery.wire import Json

#: Codes that mean the same as the one of the table.
_OTHER_CODES = {
    "95108": "credentials-refused",
    "95103": "push-install-failed",
    "95106": "push-install-failed",
    "97118": "push-install-failed",
}

#: What components call some of the reasons.
_ALIASES = {"machine-missing": "unknown-machine"}

_BY_CODE = {**{reason.code: name for name, reason in REASONS.items()}, **_OTHER_CODES}


class Failure(Exception):
    """The work of a job cannot go on, for `reason`. `message` says more than the table does, `code` what a component reported."""

    def __init__(self, reason: str, message: str = "", *, code: str = ""):
        reason = _BY_CODE.get(code) or _ALIASES.get(reason, reason)
        self.reason = reason if reason in REASONS else "provider-error"
        self.message = message or REASONS[self.reason].message
        self.code = code
        super().__init__(f"{reason}: {self.message}")


def reason_of(code: str) -> str | None:
    """The harness's word for the reason behind a code seen on the wire."""
    name = _BY_CODE.get(code)
    return None if name is None else REASONS[name].word or name


def refuse(reason: str, message: str = "", *, activity: str = "") -> Refusal:
    """The ARM error for an operation that is refused at once."""
    entry = REASONS[reason]
    detail: Json = {
        "code": entry.code,
        "message": message or entry.message,
        "possibleCauses": entry.causes,
        "recommendedAction": entry.action,
        "clientRequestId": None,
        "activityId": activity or None,
    }
    return Refusal(entry.status, entry.arm_code, message or entry.message, details=[detail])


def missing(name: str) -> Refusal:
    """404 for an object of Site Recovery, worded as recorded (asr-wire section 6)."""
    return refuse("resource-missing", f"Specified resource with name '{name}' does not exist.")


def job_error(failure: Failure, *, activity: str, created: str, task: str) -> Json:
    """An entry of `errors[]` of a job and of its task."""
    entry = REASONS[failure.reason]
    provider: Json | None = None
    if (failure.code and failure.code != entry.code) or failure.reason == "provider-error":
        provider = {
            "errorCode": int(failure.code) if failure.code.isdigit() else 0,
            "errorMessage": failure.message,
            "errorId": failure.code or failure.reason,
            "possibleCauses": entry.causes,
            "recommendedAction": entry.action,
        }
    return {
        "serviceErrorDetails": {
            "code": entry.code,
            "message": failure.message,
            "possibleCauses": entry.causes,
            "recommendedAction": entry.action,
            "activityId": activity,
        },
        "providerErrorDetails": provider,
        "errorLevel": "Error",
        "creationTime": created,
        "taskId": task,
    }
