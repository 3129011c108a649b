"""Variables of an automation account: JSON values that its runbooks can read. Encrypted ones are written but never shown."""

import orjson

from emulators.azure.arm import Answer, Arm, Call, Json, Refusal, Resource, operation, read
from emulators.azure.automation.kinds import VARIABLE, VARIABLE_PATH, VARIABLES, account_of
from emulators.azure.tracked import listing
from emulators.clock import iso


class Variables:
    """`automationAccounts/variables`."""

    namespace = "Microsoft.Automation"

    def __init__(self, arm: Arm):
        self.arm = arm

    @operation("GET", VARIABLES)
    def list_all(self, call: Call) -> Answer:
        account = self.arm.store.need(account_of(call.path))
        return listing(self.arm.store.of_type(VARIABLE.type, under=account.id), render)

    @operation("GET", VARIABLE_PATH)
    def get(self, call: Call) -> Answer:
        return Answer(200, render(self.arm.store.need(call.path)))

    @operation("PUT", VARIABLE_PATH)
    def create(self, call: Call) -> Answer:
        account = self.arm.store.need(account_of(call.path))
        VARIABLE.check_name(call["variableName"])
        body = call.content()
        existing = self.arm.store.get(call.path)
        encrypted = read(body, "properties.isEncrypted", bool, existing.properties["isEncrypted"] if existing else False)
        variable = Resource(f"{account.id}/variables/{call['variableName']}", VARIABLE.type, {})
        self._write(variable, body, existing.properties if existing else {}, encrypted)
        return Answer(200 if existing else 201, render(self.arm.store.put(variable)))

    @operation("PATCH", VARIABLE_PATH)
    def update(self, call: Call) -> Answer:
        variable = self.arm.store.need(call.path)
        self._write(variable, call.content(), variable.properties, variable.properties["isEncrypted"])
        return Answer(200, render(variable))

    @operation("DELETE", VARIABLE_PATH)
    def delete(self, call: Call) -> Answer:
        self.arm.store.remove(self.arm.store.need(call.path).id)
        return Answer(200)

    def _write(self, variable: Resource, body: Json, known: Json, encrypted: bool) -> None:
        value = read(body, "properties.value", str, known.get("value"))
        if value is not None:
            try:
                orjson.loads(value)
            except orjson.JSONDecodeError:
                raise Refusal(400, "BadRequest", f"Invalid JSON - the value of variable {variable.name} is not JSON.") from None
        now = iso(self.arm.clock.now())
        variable.body["properties"] = {
            "isEncrypted": encrypted,
            "value": value,
            "creationTime": known.get("creationTime", now),
            "lastModifiedTime": now,
            "description": read(body, "properties.description", str, known.get("description")),
        }


def render(variable: Resource) -> Json:
    body = variable.json()
    if variable.properties["isEncrypted"]:
        body["properties"] = {name: value for name, value in variable.properties.items() if name != "value"}
    return body
