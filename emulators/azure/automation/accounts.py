"""Automation accounts: changes are done when they are answered."""

import base64
from collections.abc import Callable

from emulators.azure.arm import Answer, Arm, Call, Json, Refusal, Resource, operation, read
from emulators.azure.automation.kinds import ACCOUNT
from emulators.azure.tracked import add_reads, located, tags_of
from emulators.clock import iso

_SKUS = ("Basic", "Free")
_KEYS = ("Primary", "Secondary")


class AutomationAccounts:
    """`Microsoft.Automation/automationAccounts`. `after_delete` are told of an account that is gone, under the lock."""

    namespace = "Microsoft.Automation"

    def __init__(self, arm: Arm):
        self.arm = arm
        self.after_delete: list[Callable[[Resource], None]] = []
        add_reads(arm, ACCOUNT, patch=False)

    @operation("PUT", ACCOUNT.template)
    def create(self, call: Call) -> Answer:
        existing, head = located(self.arm, call, ACCOUNT)
        body = call.content()
        sku = read(body, "properties.sku.name", str, "Basic")
        if sku not in _SKUS:
            raise Refusal(400, "BadRequest", f"'{sku}' is not a sku of automation accounts; use {' or '.join(_SKUS)}.")
        account = existing or Resource(call.path, ACCOUNT.type, {"etag": None})
        if existing is None:
            account.hidden["keys"] = {name: self._key() for name in _KEYS}
            account.hidden["created"] = self.arm.clock.now()
        identity = read(body, "identity.type", str)
        if identity is not None:
            head["identity"] = {"type": identity, "tenantId": self.arm.tenant, "principalId": self._principal(account)}
        account.body.update(head)
        self._write(account, body, sku)
        self.arm.store.put(account)
        return Answer(200 if existing else 201, account.json())

    @operation("PATCH", ACCOUNT.template)
    def update(self, call: Call) -> Answer:
        account = self.arm.store.need(call.path)
        body = call.content()
        tags = tags_of(body)
        sku = read(body, "properties.sku.name", str, account.properties["sku"]["name"])
        if sku not in _SKUS:
            raise Refusal(400, "BadRequest", f"'{sku}' is not a sku of automation accounts; use {' or '.join(_SKUS)}.")
        self._write(account, body, sku)
        if tags is not None:
            account.body["tags"] = tags
        return Answer(200, account.json())

    @operation("DELETE", ACCOUNT.template)
    def delete(self, call: Call) -> Answer:
        account = self.arm.store.get(call.path)
        if account is None:
            return Answer(204)
        self.remove(account)
        return Answer(200)

    @operation("POST", ACCOUNT.template + "/listKeys")
    def list_keys(self, call: Call) -> Answer:
        keys = self.arm.store.need(call.path.rsplit("/", 1)[0]).hidden["keys"]
        shown = [{"KeyName": name, "Permissions": "Full", "Value": value} for name, value in keys.items()]
        return Answer(200, {"keys": shown})

    @operation("GET", ACCOUNT.template + "/usages")
    def usages(self, call: Call) -> Answer:
        account = self.arm.store.need(call.path.rsplit("/", 1)[0])
        count = len(self.arm.store.of_type(ACCOUNT.type))
        name = {"value": "AccountUsage", "localizedValue": "AccountUsage"}
        row = {"id": f"{account.id}/usages/AccountUsage", "name": name, "unit": "Count", "currentValue": count, "limit": 1000}
        return Answer(200, {"value": [row]})

    def remove(self, account: Resource) -> None:
        """Forget an account with its runbooks, variables and jobs."""
        with self.arm.lock:
            self.arm.store.remove(account.id)
            for told in self.after_delete:
                told(account)

    def _write(self, account: Resource, body: Json, sku: str) -> None:
        known = account.properties
        now = iso(self.arm.clock.now())
        account.body["properties"] = {
            "sku": {"name": sku, "family": None, "capacity": None},
            "state": "Ok",
            "creationTime": known.get("creationTime", now),
            "lastModifiedTime": now,
            "description": read(body, "properties.description", str, known.get("description")),
            "publicNetworkAccess": read(body, "properties.publicNetworkAccess", bool, known.get("publicNetworkAccess", True)),
            "disableLocalAuth": read(body, "properties.disableLocalAuth", bool, known.get("disableLocalAuth", False)),
            "privateEndpointConnections": [],
        }

    def _principal(self, account: Resource) -> str:
        principal: str = account.hidden.setdefault("principal", self.arm.clock.uuid())
        return principal

    def _key(self) -> str:
        return base64.b64encode(self.arm.clock.random_bytes(64)).decode()
