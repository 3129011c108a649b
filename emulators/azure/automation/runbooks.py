"""Runbooks: a draft is edited, publishing makes it what jobs run."""

from emulators.azure.arm import Answer, Arm, Call, Json, Refusal, Resource, operation, read
from emulators.azure.automation.kinds import RUNBOOK, RUNBOOK_PATH, RUNBOOKS, account_of
from emulators.azure.tracked import canonical_location, check_location, listing, tags_of
from emulators.clock import Process, iso

_TYPES = (
    "Script", "Graph", "PowerShellWorkflow", "PowerShell", "GraphPowerShellWorkflow", "GraphPowerShell", "Python2", "Python3",
    "Python", "PowerShell72",
)  # fmt: skip
_TEXT = {"Content-Type": "text/powershell"}


class Runbooks:
    """`automationAccounts/runbooks`. `hidden` has the texts: `draft` (None: none being edited) and `published`."""

    namespace = "Microsoft.Automation"

    def __init__(self, arm: Arm):
        self.arm = arm

    @operation("GET", RUNBOOKS)
    def list_all(self, call: Call) -> Answer:
        account = self.arm.store.need(account_of(call.path))
        return listing(self.arm.store.of_type(RUNBOOK.type, under=account.id))

    @operation("GET", RUNBOOK_PATH)
    def get(self, call: Call) -> Answer:
        return Answer(200, self.arm.store.need(call.path).json())

    @operation("PUT", RUNBOOK_PATH)
    def create(self, call: Call) -> Answer:
        account = self.arm.store.need(account_of(call.path))
        RUNBOOK.check_name(call["runbookName"])
        body = call.content()
        kind = read(body, "properties.runbookType", str, required=True)
        known = next((one for one in _TYPES if one.lower() == kind.lower()), None)
        if known is None:
            raise Refusal(400, "BadRequest", f"'{kind}' is not a runbook type; use one of {', '.join(_TYPES)}.")
        location = canonical_location(read(body, "location", str, account.location))
        check_location(self.arm, location, RUNBOOK.type)
        if read(body, "properties.publishContentLink.uri", str) or read(body, "properties.draft.draftContentLink.uri", str):
            # The content would have to be fetched from outside, which the emulated cloud has not.
            raise Refusal(
                400, "BadRequest", "Content links cannot be fetched here: send the text to draft/content, then publish."
            )
        existing = self.arm.store.get(call.path)
        runbook = existing or Resource(f"{account.id}/runbooks/{call['runbookName']}", RUNBOOK.type, {"etag": None})
        tags = tags_of(body)
        runbook.body.update(location=location, **({"tags": tags} if tags is not None else {}))
        self._write(runbook, body, known)
        return Answer(200 if existing else 201, self.arm.store.put(runbook).json())

    @operation("PATCH", RUNBOOK_PATH)
    def update(self, call: Call) -> Answer:
        runbook = self.arm.store.need(call.path)
        tags = tags_of(call.content())
        self._write(runbook, call.content(), runbook.properties["runbookType"])
        if tags is not None:
            runbook.body["tags"] = tags
        return Answer(200, runbook.json())

    @operation("DELETE", RUNBOOK_PATH)
    def delete(self, call: Call) -> Answer:
        runbook = self.arm.store.get(call.path)
        if runbook is None:
            return Answer(204)
        self.arm.store.remove(runbook.id)
        return Answer(200)

    @operation("GET", RUNBOOK_PATH + "/content")
    def content(self, call: Call) -> Answer:
        runbook = self.arm.store.need(call.path.rsplit("/", 1)[0])
        text = runbook.hidden.get("published")
        if text is None:
            raise Refusal(404, "NotFound", f"The runbook {runbook.name} has not been published.")
        return Answer(200, text, dict(_TEXT))

    # drafts ----------------------------------------------------------------------------------------------------------

    @operation("GET", RUNBOOK_PATH + "/draft")
    def draft(self, call: Call) -> Answer:
        runbook = self.arm.store.need(call.path.rsplit("/", 1)[0])
        return Answer(200, _draft(runbook))

    @operation("GET", RUNBOOK_PATH + "/draft/content")
    def draft_content(self, call: Call) -> Answer:
        runbook = self.arm.store.need(call.path.rsplit("/", 2)[0])
        text = runbook.hidden.get("draft")
        if text is None:
            raise Refusal(404, "NotFound", f"The runbook {runbook.name} has no draft.")
        return Answer(200, text, dict(_TEXT))

    @operation("PUT", RUNBOOK_PATH + "/draft/content", text=True)
    def replace_draft(self, call: Call) -> Answer:
        runbook = self.arm.store.need(call.path.rsplit("/", 2)[0])
        runbook.hidden["draft"] = call.raw
        self._touch(runbook, "Edit" if "published" in runbook.hidden else "New")
        running = self.arm.operations.begin(call, self._rest(2), result=lambda: Answer(200, call.raw, dict(_TEXT)))
        return self.arm.operations.answer(call, running, async_url=False)

    @operation("POST", RUNBOOK_PATH + "/draft/undoEdit")
    def undo(self, call: Call) -> Answer:
        runbook = self.arm.store.need(call.path.rsplit("/", 2)[0])
        if "published" not in runbook.hidden:
            raise Refusal(400, "BadRequest", f"The runbook {runbook.name} has no published version to go back to.")
        runbook.hidden["draft"] = None
        self._touch(runbook, "Published")
        return Answer(200, {"statusCode": "OK", "requestId": call.correlation_id})

    @operation("POST", RUNBOOK_PATH + "/publish")
    def publish(self, call: Call) -> Answer:
        runbook = self.arm.store.need(call.path.rsplit("/", 1)[0])
        if runbook.hidden.get("draft") is None:
            raise Refusal(400, "BadRequest", f"The runbook {runbook.name} has no draft to publish.")
        running = self.arm.operations.begin(call, self._publish(runbook), result=lambda: Answer(200, runbook.json()))
        return self.arm.operations.answer(call, running, async_url=False)

    def _publish(self, runbook: Resource) -> Process:
        yield self.arm.operations.rest(3)
        with self.arm.lock:
            if runbook.hidden.get("draft") is not None:
                runbook.hidden["published"] = runbook.hidden["draft"]
                runbook.hidden["draft"] = None
                self._touch(runbook, "Published")

    def _rest(self, seconds: float) -> Process:
        yield self.arm.operations.rest(seconds)

    def _touch(self, runbook: Resource, state: str) -> None:
        runbook.properties.update(state=state, lastModifiedTime=iso(self.arm.clock.now()))

    def _write(self, runbook: Resource, body: Json, kind: str) -> None:
        known, now = runbook.properties, iso(self.arm.clock.now())
        runbook.body["properties"] = {
            "description": read(body, "properties.description", str, known.get("description")),
            "logVerbose": read(body, "properties.logVerbose", bool, known.get("logVerbose", False)),
            "logProgress": read(body, "properties.logProgress", bool, known.get("logProgress", False)),
            "logActivityTrace": read(body, "properties.logActivityTrace", int, known.get("logActivityTrace", 0)),
            "runbookType": kind,
            "parameters": {},
            "outputTypes": [],
            "state": known.get("state", "New"),
            "jobCount": known.get("jobCount", 0),
            "provisioningState": "Succeeded",
            "creationTime": known.get("creationTime", now),
            "lastModifiedTime": now,
        }


def _draft(runbook: Resource) -> Json:
    properties = runbook.properties
    return {
        "inEdit": runbook.hidden.get("draft") is not None,
        "creationTime": properties["creationTime"],
        "lastModifiedTime": properties["lastModifiedTime"],
        "parameters": {},
        "outputTypes": [],
    }
