"""Microsoft.RecoveryServices/vaults:

the vault itself and the keys that servers register with. What is inside is `site_recovery`.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable

import orjson

from emulators.azure.arm import Answer, Arm, Call, Json, Operation, Refusal, Resource, operation, read
from emulators.azure.tracked import Kind, add_reads, located, tags_of
from emulators.clock import Process, iso

VAULT = Kind(
    "Microsoft.RecoveryServices/vaults",
    r"[A-Za-z][A-Za-z0-9-]{1,49}",
    "Vault names have 2 to 50 letters, digits and hyphens and start with a letter.",
    code="InvalidVaultName",
)

#: What a vault that says nothing of its alerts has.
_MONITORING: Json = {
    "azureMonitorAlertSettings": {"alertsForAllJobFailures": "Enabled"},
    "classicAlertSettings": {"alertsForCriticalOperations": "Enabled"},
}

#: A registration key is good for five days.
KEY_SECONDS = 5 * 24 * 3600


class Vaults:
    """Recovery Services vaults.

    `before_delete` are asked first (a `Refusal` of one stops the deletion), `after_delete` told when a vault is gone; both run
    under the lock.
    """

    namespace = "Microsoft.RecoveryServices"

    def __init__(self, arm: Arm, tenant: str, authority: str):
        self.arm, self.tenant, self.authority = arm, tenant, authority
        self.before_delete: list[Callable[[Resource], None]] = []
        self.after_delete: list[Callable[[Resource], None]] = []
        self._secret = arm.clock.random_bytes(32)
        add_reads(arm, VAULT, patch=False)

    @operation("PUT", VAULT.template)
    def create(self, call: Call) -> Answer:
        existing, head = located(self.arm, call, VAULT)
        body = call.content()
        sku = read(body, "sku.name", str, "Standard")
        if sku not in ("Standard", "RS0"):
            raise Refusal(400, "InvalidSku", f"The sku '{sku}' is not supported for vaults. Use RS0 or Standard.")
        tier = read(body, "sku.tier", str)
        shown = {"name": sku, **({"tier": tier} if tier else {})}
        if existing is not None:
            existing.body.update(head, sku=shown if read(body, "sku", dict) else existing.body["sku"])
            self._touch(existing)
            return Answer(200, existing.json())
        vault = Resource(call.path, VAULT.type, {**head, "sku": shown})
        vault.body["properties"] = {
            "provisioningState": "Provisioning",
            "privateEndpointStateForBackup": "None",
            "privateEndpointStateForSiteRecovery": "None",
            "encryption": read(body, "properties.encryption", dict),
            "monitoringSettings": read(body, "properties.monitoringSettings", dict, _MONITORING),
        }
        vault.hidden = {
            "created": self.arm.clock.now(),
            "integrity_key": base64.b64encode(self.arm.clock.random_bytes(64)).decode(),
            "resource_id": int.from_bytes(self.arm.clock.random_bytes(7), "big"),
        }
        self._touch(vault)
        self.arm.store.put(vault)
        name = base64.b64encode(self.arm.clock.uuid().encode()).decode().rstrip("=")
        running = self.arm.operations.begin(
            call,
            self._provision(vault),
            result=lambda: Answer(200, vault.json()),
            operation_id=name,
            status_path=f"{vault.id}/operationStatus/{name}",
            result_path=f"{vault.id}/operationResults/{name}",
            document=_provisioning,
        )
        answer = self.arm.operations.answer(call, running, 201, vault.json(), location=False)
        answer.headers["x-ms-ratelimit-remaining-subscription-resource-requests"] = "209"
        return answer

    @operation("PATCH", VAULT.template)
    def update(self, call: Call) -> Answer:
        vault = self.arm.store.need(call.path)
        tags = tags_of(call.content())
        if tags is not None:
            vault.body["tags"] = tags
        self._touch(vault)
        return Answer(200, vault.json())

    @operation("DELETE", VAULT.template)
    def delete(self, call: Call) -> Answer:
        vault = self.arm.store.get(call.path)
        if vault is None:
            return Answer(204)
        for check in self.before_delete:
            check(vault)
        running = self.arm.operations.begin(call, self._delete(vault))
        return self.arm.operations.answer(call, running)

    @operation("PUT", VAULT.template + "/certificates/{certificateName}")
    def certificate(self, call: Call) -> Answer:
        """Upload a certificate; the answer's `certificate` is the registration key (base64) for configuration servers."""
        vault = self._need(call)
        body = call.content()
        offered = read(body, "properties.certificate", str, required=True)
        try:
            digest = hashlib.sha1(base64.b64decode(offered, validate=True), usedforsecurity=False)
        except ValueError:
            raise Refusal(400, "InvalidCertificate", "The certificate is not valid base64.") from None
        now = self.arm.clock.now()
        key = self.mint_registration_key(vault)
        properties: Json = {
            "authType": "AzureActiveDirectory",
            "certificate": base64.b64encode(key.encode()).decode(),
            "friendlyName": f"CN={call['certificateName']}",
            "issuer": f"CN={call['certificateName']}",
            "subject": f"CN={call['certificateName']}",
            "thumbprint": digest.hexdigest().upper(),
            "resourceId": vault.hidden["resource_id"],
            "validFrom": iso(now),
            "validTo": iso(now + KEY_SECONDS),
            "aadAuthority": self.authority,
            "aadTenantId": self.tenant,
            "servicePrincipalClientId": str(call.principal.get("appid", "")),
            "servicePrincipalObjectId": str(call.principal.get("oid", "")),
            "azureManagementEndpointAudience": "https://management.core.windows.net/",
        }
        name = call["certificateName"]
        kind = f"{VAULT.type}/certificates"
        return Answer(200, {"id": f"{vault.id}/certificates/{name}", "name": name, "type": kind, "properties": properties})

    @operation("GET", VAULT.template + "/extendedInformation/vaultExtendedInfo")
    @operation("PUT", VAULT.template + "/extendedInformation/vaultExtendedInfo")
    @operation("PATCH", VAULT.template + "/extendedInformation/vaultExtendedInfo")
    def extended_information(self, call: Call) -> Answer:
        vault = self._need(call)
        if call.method != "GET":
            key = read(call.content(), "properties.integrityKey", str)
            if key is not None:
                vault.hidden["integrity_key"] = key
        return Answer(
            200,
            {
                "id": f"{vault.id}/extendedInformation/vaultExtendedInfo",
                "name": "vaultExtendedInfo",
                "type": f"{VAULT.type}/extendedInformation",
                "etag": vault.body["etag"],
                "properties": {"integrityKey": vault.hidden["integrity_key"], "algorithm": "None"},
            },
        )

    # registration keys ---------------------------------------------------------------------------------------------------

    def mint_registration_key(self, vault: Resource) -> str:
        """A key for the registration of servers with `vault`, valid for five days of emulated time."""
        content = {"vault": vault.id, "resourceId": vault.hidden["resource_id"], "exp": int(self.arm.clock.now()) + KEY_SECONDS}
        payload = base64.urlsafe_b64encode(orjson.dumps(content))
        return f"{payload.decode()}.{self._sign(payload)}"

    def check_registration_key(self, key: str) -> Resource:
        """The vault of a key, given plainly or as `certificates` answered it.

        Raises `Refusal` 401 `RegistrationKeyInvalid` or `RegistrationKeyExpired`. The lock must be held.
        """
        if "." not in key:  # as `certificates` hands it out: the whole key in base64
            try:
                key = base64.b64decode(key, validate=True).decode()
            except ValueError:
                key = ""
        payload, _, signature = key.partition(".")
        if not hmac.compare_digest(signature.encode(), self._sign(payload.encode()).encode()):
            raise Refusal(401, "RegistrationKeyInvalid", "The registration key is not valid. Download a new one from the vault.")
        content = orjson.loads(base64.urlsafe_b64decode(payload))
        if self.arm.clock.now() >= content["exp"]:
            raise Refusal(401, "RegistrationKeyExpired", "The registration key has expired. Keys are valid for 5 days.")
        vault = self.arm.store.get(content["vault"])
        if vault is None or vault.hidden["resource_id"] != content["resourceId"]:
            raise Refusal(401, "RegistrationKeyInvalid", "The vault of this registration key does not exist any more.")
        return vault

    def _sign(self, payload: bytes) -> str:
        return hmac.new(self._secret, payload, hashlib.sha256).hexdigest()

    # work ----------------------------------------------------------------------------------------------------------------

    def _provision(self, vault: Resource) -> Process:
        yield self.arm.operations.rest(10)
        with self.arm.lock:
            vault.properties.update(
                provisioningState="Succeeded",
                publicNetworkAccess="Enabled",
            )
            self._touch(vault)

    def _delete(self, vault: Resource) -> Process:
        yield self.arm.operations.rest(10)
        self.delete_now(vault)

    def delete_now(self, vault: Resource) -> None:
        """Remove a vault (from work on the clock, also when its group goes). Raises `Refusal` when it is in use."""
        with self.arm.lock:
            for check in self.before_delete:
                check(vault)
            self.arm.store.remove(vault.id)
            for told in self.after_delete:
                told(vault)

    def _need(self, call: Call) -> Resource:
        return self.arm.store.need(_vault_path(call.path))

    def _touch(self, vault: Resource) -> None:
        stamp = iso(self.arm.clock.now()).replace(":", "%3A")
        vault.body["etag"] = f"W/\"datetime'{stamp}'\""


def _provisioning(operation: Operation) -> Json:
    """The status document of vaults, which has no times (asr-wire section 13)."""
    error = {} if operation.error is None else {"error": operation.error}
    name = {"id": operation.status_path, "name": operation.id, "status": operation.status}
    return {**name, "percentComplete": 0.0, **error}


def _vault_path(path: str) -> str:
    """The vault's id in the path of something below it."""
    return "/".join(path.split("/")[:9])
