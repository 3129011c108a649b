"""Storage accounts. Blobs and queues themselves are served by the `StorageService` that the composition hands in."""

import base64
import re
import threading

from emulators.azure.arm import Answer, Arm, Call, Json, Refusal, Resource, operation, read
from emulators.azure.outside import StorageService
from emulators.azure.provisioning import provision
from emulators.azure.storage.kinds import ACCOUNT, NAME_RULE
from emulators.azure.storage.sas import account_sas, service_sas
from emulators.azure.tracked import SUBSCRIPTION, add_reads, canonical_location, check_location, listing, located, tags_of
from emulators.clock import iso

_SKUS = {
    "Standard_LRS",
    "Standard_GRS",
    "Standard_RAGRS",
    "Standard_ZRS",
    "Premium_LRS",
    "Premium_ZRS",
    "Standard_GZRS",
    "Standard_RAGZRS",
}
_KINDS = {"Storage", "StorageV2", "BlobStorage", "BlockBlobStorage", "FileStorage"}
_KEYS = ("key1", "key2")


class StorageAccounts:
    """`Microsoft.Storage/storageAccounts`. Names are unique in the whole estate, keys are those the service checks."""

    namespace = "Microsoft.Storage"

    def __init__(self, arm: Arm, service: StorageService):
        self.arm, self.service = arm, service
        self._telling = threading.Lock()
        add_reads(arm, ACCOUNT, patch=False)
        for template, handler in (
            (ACCOUNT.template, self.get),
            (ACCOUNT.collection, self.in_group),
            (f"{SUBSCRIPTION}/providers/{ACCOUNT.type}", self.in_subscription),
        ):
            arm.router.replace("GET", template, handler)

    def render(self, account: Resource, call: Call) -> Json:
        """The account with endpoints that this caller can reach."""
        body = account.json()
        endpoints = account.properties.get("primaryEndpoints")
        if endpoints is not None:
            reachable = self.arm.faces.of(call.base_url).endpoints(account.name)
            body["properties"] = {**account.properties, "primaryEndpoints": {**endpoints, **reachable}}
        return body

    def get(self, call: Call) -> Answer:
        return Answer(200, self.render(self.arm.store.need(call.path), call))

    def in_group(self, call: Call) -> Answer:
        return self._list(call, f"/subscriptions/{call.subscription}/resourceGroups/{call.group}")

    def in_subscription(self, call: Call) -> Answer:
        return self._list(call, f"/subscriptions/{call.subscription}")

    def _list(self, call: Call, under: str) -> Answer:
        return listing(self.arm.store.of_type(ACCOUNT.type, under=under), lambda account: self.render(account, call))

    @operation("POST", SUBSCRIPTION + "/providers/Microsoft.Storage/checkNameAvailability")
    def check_name(self, call: Call) -> Answer:
        name = read(call.content(), "name", str, required=True)
        if not re.fullmatch(ACCOUNT.pattern, name):
            message = f"{name} is not a valid storage account name. {NAME_RULE}"
            return Answer(200, {"nameAvailable": False, "reason": "AccountNameInvalid", "message": message})
        if self.find(name) is not None:
            message = f"The storage account named {name} is already taken."
            return Answer(200, {"nameAvailable": False, "reason": "AlreadyExists", "message": message})
        return Answer(200, {"nameAvailable": True})

    @operation("PUT", ACCOUNT.template)
    def create(self, call: Call) -> Answer:
        existing, head = located(self.arm, call, ACCOUNT)
        body = call.content()
        sku = read(body, "sku.name", str, "Standard_LRS" if existing is None else existing.body["sku"]["name"])
        kind = read(body, "kind", str, "StorageV2" if existing is None else existing.body["kind"])
        if sku not in _SKUS or kind not in _KINDS:
            raise Refusal(
                400, "InvalidRequestPropertyValue", f"The sku '{sku}' or the kind '{kind}' is not supported.", details=[]
            )
        head |= {"sku": {"name": sku, "tier": sku.split("_")[0]}, "kind": kind}
        if existing is not None:
            existing.body.update(head)
            return Answer(200, self.render(existing, call))
        if self.find(call["name"]) is not None:
            raise Refusal(409, "StorageAccountAlreadyTaken", f"The storage account named {call['name']} is already taken.")
        account = Resource(call.path, ACCOUNT.type, head)
        account.hidden["keys"] = {name: self._key() for name in _KEYS}
        account.body["properties"] = self._properties(body, account.location)
        return provision(
            self.arm,
            call,
            account,
            status=202,
            seconds=15,
            render=lambda made: self.render(made, call),
            state="Creating",
            then=lambda: self._open(account),
            with_body=False,
            async_url=False,
            location_url=True,
        )

    @operation("PATCH", ACCOUNT.template)
    def update(self, call: Call) -> Answer:
        account = self.arm.store.need(call.path)
        body = call.content()
        tags = tags_of(body)
        if tags is not None:
            account.body["tags"] = tags
        for name in ("supportsHttpsTrafficOnly", "allowBlobPublicAccess"):
            value = read(body, f"properties.{name}", bool)
            if value is not None:
                account.properties[name] = value
        for name in ("minimumTlsVersion", "accessTier"):
            text = read(body, f"properties.{name}", str)
            if text is not None:
                account.properties[name] = text
        return Answer(200, self.render(account, call))

    @operation("DELETE", ACCOUNT.template)
    def delete(self, call: Call) -> Answer:
        account = self.arm.store.get(call.path)
        if account is None:
            return Answer(204)
        # Clients take only 200 and 204 here: the account is gone at once, its data with the clock's next turn.
        self.arm.store.remove(account.id)
        self.arm.scope.call_later(0.0, lambda: self._close(account), name=f"delete storage account {account.name}")
        return Answer(200)

    @operation("POST", ACCOUNT.template + "/listKeys")
    def list_keys(self, call: Call) -> Answer:
        return Answer(200, self._keys(self.arm.store.need(call.path.rsplit("/", 1)[0])))

    @operation("POST", ACCOUNT.template + "/regenerateKey")
    def regenerate_key(self, call: Call) -> Answer:
        account = self.arm.store.need(call.path.rsplit("/", 1)[0])
        name = read(call.content(), "keyName", str, required=True)
        if name not in _KEYS:
            raise Refusal(400, "InvalidRequestPropertyValue", f"'{name}' is not a key name; use key1 or key2.", details=[])
        account.hidden["keys"] = {**account.hidden["keys"], name: self._key()}
        account.properties["keyCreationTime"][name] = iso(self.arm.clock.now())
        return Answer(200, self._keys(account), first=lambda: self._tell_keys(account))

    def _tell_keys(self, account: Resource) -> None:
        """Who is told of the new key finds the old one dead. One after another, so that the last keys are those that stay."""
        with self._telling:
            with self.arm.lock:
                gone, (key1, key2) = self.arm.store.get(account.id) is not account, self.keys(account)
            if not gone:
                self.service.set_keys(account.name, key1, key2)

    @operation("POST", ACCOUNT.template + "/ListAccountSas")
    def list_account_sas(self, call: Call) -> Answer:
        account = self.arm.store.need(call.path.rsplit("/", 1)[0])
        return Answer(200, {"accountSasToken": account_sas(account, call.content())})

    @operation("POST", ACCOUNT.template + "/ListServiceSas")
    def list_service_sas(self, call: Call) -> Answer:
        account = self.arm.store.need(call.path.rsplit("/", 1)[0])
        return Answer(200, {"serviceSasToken": service_sas(account, call.content())})

    @operation("GET", SUBSCRIPTION + "/providers/Microsoft.Storage/locations/{location}/usages")
    def usages(self, call: Call) -> Answer:
        location = canonical_location(call["location"])
        check_location(self.arm, location, ACCOUNT.type)
        count = sum(one.location == location for one in self.arm.store.of_type(ACCOUNT.type))
        name = {"value": "StorageAccounts", "localizedValue": "Storage Accounts"}
        return Answer(200, {"value": [{"unit": "Count", "currentValue": count, "limit": 250, "name": name}]})

    @operation("GET", SUBSCRIPTION + "/providers/Microsoft.Storage/skus")
    def skus(self, call: Call) -> Answer:
        rows = [
            {"resourceType": "storageAccounts", "name": sku, "tier": sku.split("_")[0], "kind": kind, "locations": [location]}
            for location in self.arm.locations
            for kind in sorted(_KINDS)
            for sku in sorted(_SKUS)
        ]
        return Answer(200, {"value": rows})

    # used by Site Recovery ---------------------------------------------------------------------------------------------

    def find(self, name: str) -> Resource | None:
        """The account of that name, in whatever group."""
        return next((one for one in self.arm.store.of_type(ACCOUNT.type) if one.name.lower() == name.lower()), None)

    def keys(self, account: Resource) -> tuple[str, str]:
        return account.hidden["keys"]["key1"], account.hidden["keys"]["key2"]

    def remove(self, account: Resource) -> None:
        """Delete an account with its data; from work on the clock."""
        with self.arm.lock:
            self.arm.store.remove(account.id)
        self._close(account)

    # work ----------------------------------------------------------------------------------------------------------------

    def _open(self, account: Resource) -> None:
        with self.arm.lock:
            if self.arm.store.get(account.id) is not account:
                raise Refusal(
                    409, "OperationPreempted", f"The storage account {account.name} was deleted while it was being created."
                )
        self.service.create_account(account.name, *self.keys(account))
        with self.arm.lock:
            account.properties["primaryEndpoints"] = {
                "blob": self.service.blob_endpoint(account.name),
                "queue": self.service.queue_endpoint(account.name),
            }

    def _close(self, account: Resource) -> None:
        self.service.delete_account(account.name)

    def _properties(self, body: Json, location: str) -> Json:
        now = iso(self.arm.clock.now())
        return {
            "creationTime": now,
            "keyCreationTime": {"key1": now, "key2": now},
            "primaryLocation": location,
            "statusOfPrimary": "available",
            "supportsHttpsTrafficOnly": read(body, "properties.supportsHttpsTrafficOnly", bool, True),
            "minimumTlsVersion": read(body, "properties.minimumTlsVersion", str, "TLS1_2"),
            "allowBlobPublicAccess": read(body, "properties.allowBlobPublicAccess", bool, False),
            "accessTier": read(body, "properties.accessTier", str, "Hot"),
            "networkAcls": {"bypass": "AzureServices", "virtualNetworkRules": [], "ipRules": [], "defaultAction": "Allow"},
            "encryption": {
                "services": {name: {"keyType": "Account", "enabled": True, "lastEnabledTime": now} for name in ("blob", "file")},
                "keySource": "Microsoft.Storage",
            },
            "privateEndpointConnections": [],
        }

    def _key(self) -> str:
        return base64.b64encode(self.arm.clock.random_bytes(64)).decode()

    def _keys(self, account: Resource) -> Json:
        created = account.properties["keyCreationTime"]
        return {
            "keys": [
                {"keyName": name, "value": account.hidden["keys"][name], "permissions": "FULL", "creationTime": created[name]}
                for name in _KEYS
            ]
        }
