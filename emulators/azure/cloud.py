"""The emulated Azure of one estate, put together: Entra, Resource Manager and its providers."""

from collections.abc import Iterable
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from emulators.azure.arm import GROUP_TYPE, Answer, Arm, Face, Faces, Resource
from emulators.azure.authorization import Authorization
from emulators.azure.automation import AutomationAccounts, RunbookJobs, Runbooks, Variables
from emulators.azure.automation.kinds import ACCOUNT as AUTOMATION_ACCOUNT
from emulators.azure.compute import (
    AvailabilitySets,
    DiskAccess,
    Disks,
    Extensions,
    Images,
    Sizes,
    Skus,
    Snapshots,
    VirtualMachines,
)
from emulators.azure.compute.kinds import AVAILABILITY_SET, DISK, MACHINE, SNAPSHOT
from emulators.azure.deployments import Deployments
from emulators.azure.entra import Client, Entra, Identity, Issuer
from emulators.azure.failover import FailoverMachines
from emulators.azure.locks import LockOperations
from emulators.azure.namespaces import Namespaces
from emulators.azure.network import (
    Circuits,
    Connections,
    Links,
    LoadBalancers,
    LocalGateways,
    NetworkInterfaces,
    NetworkSecurityGroups,
    NetworkUsage,
    PublicAddresses,
    RouteTables,
    VirtualNetworkGateways,
    VirtualNetworks,
)
from emulators.azure.network.kinds import (
    BALANCER,
    CIRCUIT,
    CONNECTION,
    GATEWAY,
    INTERFACE,
    LOCAL_GATEWAY,
    NETWORK,
    PUBLIC_ADDRESS,
    ROUTE_TABLE,
    SECURITY_GROUP,
)
from emulators.azure.outside import BlobCopy, BlobSize, GuestHooks, LinkSwitch, NoPrograms, RunbookPrograms, StorageService
from emulators.azure.resources import Resources
from emulators.azure.storage import Services, StorageAccounts
from emulators.azure.storage.kinds import ACCOUNT
from emulators.azure.tags import Tags
from emulators.azure.vaults import VAULT, Vaults
from emulators.clock import Clock

TENANT = "11111111-1111-1111-1111-111111111111"
SUBSCRIPTION = "22222222-2222-2222-2222-222222222222"
CLIENT = "33333333-3333-3333-3333-333333333333"

LOCATIONS = ("westeurope", "northeurope", "eastus", "westus", "centralus", "southeastasia")


class Azure:
    """Two WSGI applications, `arm` (Resource Manager) and `login` (Entra), over one state.

    `login` and `management` are how clients reach them; `faces` takes further ways in. `token_seconds` is how long a token
    is valid (emulated time). `fast` shortens the emulated time of long-running operations. `blob_size` lets imported disks know
    their size, `blob_copy` lets disks be copied; `programs` do the work of runbooks. `signing_key` spares the making of one
    (0.1 s) where many estates need not distrust each other. All of these are called from work on the clock.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        storage: StorageService,
        guests: GuestHooks,
        links: LinkSwitch,
        blob_size: BlobSize | None = None,
        blob_copy: BlobCopy | None = None,
        programs: RunbookPrograms | None = None,
        tenant: str = TENANT,
        subscription: str = SUBSCRIPTION,
        login: str = "https://login.drillbed",
        management: str = "https://management.drillbed",
        locations: Iterable[str] = LOCATIONS,
        token_seconds: int = 86_399,
        fast: bool = True,
        signing_key: RSAPrivateKey | None = None,
    ):
        self.clock, self.tenant, self.subscription = clock, tenant, subscription
        self.login_url, self.management_url = login.rstrip("/"), management.rstrip("/")
        self.faces = Faces(Face(self.management_url, self.login_url))
        issuer = Issuer(clock, tenant, seconds=token_seconds, key=signing_key)
        self.login = Entra(clock, issuer)
        self.arm = Arm(
            clock,
            subscriptions=[subscription],
            check_token=issuer.check,
            faces=self.faces,
            tenant=tenant,
            locations=locations,
            fast=fast,
        )
        self.arm.public["/metadata/endpoints"] = self._endpoints
        self.store = self.arm.store
        self.login.graph.may_manage = self._owns
        self.resources = Resources(self.arm, tenant)
        self.authorization = Authorization(self.arm, self.login)
        self.vaults = Vaults(self.arm, tenant, f"{self.login_url}/{tenant}")
        self._provide(storage, links)
        self._provide_compute(guests, blob_size, blob_copy)
        self.automation_accounts = AutomationAccounts(self.arm)
        self.runbook_jobs = RunbookJobs(self.arm, programs or NoPrograms())
        self.automation_accounts.after_delete.append(self.runbook_jobs.forget)
        self._register()

    @property
    def arm_app(self) -> Arm:
        """The WSGI application of host `management`."""
        return self.arm

    @property
    def login_app(self) -> Entra:
        """The WSGI application of host `login`."""
        return self.login

    @property
    def faults(self) -> list[BaseException]:
        """Exceptions that were bugs of ours; tests fail when there are any."""
        return [*self.arm.faults, *self.login.faults]

    def add_client(
        self, client_id: str = CLIENT, secret: str = "", roles: Iterable[str] = ("Owner",), *, scope: str = ""
    ) -> tuple[Client, str]:
        """A service principal with roles at `scope` (default: the subscription). An empty `secret` is drawn.

        Returns client and secret.
        """
        secret = secret or self.clock.random_bytes(24).hex()
        client = self.login.add(client_id, secret)
        self._grant(client.object_id, roles, scope)
        return client, secret

    def add_user(self, name: str, password: str = "", roles: Iterable[str] = ("Owner",), *, scope: str = "") -> tuple[str, str]:
        """A user with roles at `scope` (default: the subscription). An empty password is drawn. Returns object id, password."""
        user = self.login.users.add(name, password or self.clock.random_bytes(12).hex())
        self._grant(user.object_id, roles, scope)
        return user.object_id, user.password

    def add_identity(self, roles: Iterable[str] = ("Contributor",), *, scope: str = "") -> Identity:
        """A managed identity with roles at `scope` (default: the subscription)."""
        identity = self.login.identities.add()
        self._grant(identity.object_id, roles, scope)
        return identity

    def _owns(self, principal: str) -> bool:
        """Whether somebody is Owner of the subscription: in an estate they also look after the tenant."""
        with self.arm.lock:
            roles = self.arm.access.roles(principal, f"/subscriptions/{self.subscription}")
        return any(role.name == "Owner" for role in roles)

    def _grant(self, object_id: str, roles: Iterable[str], scope: str) -> None:
        for role in roles:
            self.arm.access.grant(object_id, role, scope or f"/subscriptions/{self.subscription}")

    def group_id(self, name: str) -> str:
        return f"/subscriptions/{self.subscription}/resourceGroups/{name}"

    def add_group(self, name: str, location: str = LOCATIONS[0]) -> Resource:
        """A resource group, made without a request."""
        with self.arm.lock:
            body: dict[str, Any] = {"location": location, "properties": {"provisioningState": "Succeeded"}}
            return self.store.put(Resource(self.group_id(name), GROUP_TYPE, body))

    def close(self) -> None:
        """Stop all work on the clock."""
        self.arm.scope.cancel_all()

    def _provide(self, storage: StorageService, links: LinkSwitch) -> None:
        self.storage_accounts = StorageAccounts(self.arm, storage)
        self.networks = VirtualNetworks(self.arm)
        self.interfaces = NetworkInterfaces(self.arm)
        self.security_groups = NetworkSecurityGroups(self.arm)
        self.public_addresses = PublicAddresses(self.arm)
        self.route_tables, self.balancers = RouteTables(self.arm), LoadBalancers(self.arm)
        self.local_gateways = LocalGateways(self.arm)
        self.gateways = VirtualNetworkGateways(self.arm)
        changes = Links(self.arm, links)
        self.connections = Connections(self.arm, changes)
        self.circuits = Circuits(self.arm, changes)

    def _provide_compute(self, guests: GuestHooks, blob_size: BlobSize | None, blob_copy: BlobCopy | None) -> None:
        self.disks = Disks(self.arm, blob_size, blob_copy)
        self.snapshots = Snapshots(self.arm, self.disks)
        self.machines = VirtualMachines(self.arm, self.disks, self.interfaces, guests)
        self.availability_sets = AvailabilitySets(self.arm)
        self.sizes = Sizes(self.arm, self.machines)
        self.failover = FailoverMachines(self.arm, self.machines, self.disks, self.interfaces)

    def _register(self) -> None:
        providers = (
            self.resources, Deployments(self.arm, self.resources), Namespaces(self.arm), Tags(self.arm),
            self.authorization, LockOperations(self.arm),
            self.vaults, self.storage_accounts, Services(self.arm), self.networks, self.interfaces,
            self.route_tables, self.balancers, NetworkUsage(self.arm), self.security_groups, self.public_addresses,
            self.local_gateways, self.gateways, self.connections, self.circuits,
            self.disks, self.snapshots, DiskAccess(self.arm), self.machines, Extensions(self.arm), self.availability_sets,
            self.sizes, Images(self.arm), Skus(self.arm),
            self.automation_accounts, Runbooks(self.arm), Variables(self.arm), self.runbook_jobs,
        )  # fmt: skip
        for provider in providers:
            self.arm.register(provider)
        # In this order a group is emptied: users before what they use.
        self.resources.deleters.update(
            {
                VAULT.type: self.vaults.delete_now,
                MACHINE.type: self.machines.remove,
                AVAILABILITY_SET.type: self.availability_sets.remove,
                SNAPSHOT.type: self.snapshots.remove,
                DISK.type: self.disks.remove,
                CONNECTION.type: self.connections.remove,
                CIRCUIT.type: self.circuits.remove,
                GATEWAY.type: self.gateways.remove,
                LOCAL_GATEWAY.type: self.local_gateways.remove,
                BALANCER.type: self.balancers.remove,
                INTERFACE.type: self.interfaces.remove,
                PUBLIC_ADDRESS.type: self.public_addresses.remove,
                NETWORK.type: self.networks.remove,
                SECURITY_GROUP.type: self.security_groups.remove,
                ROUTE_TABLE.type: self.route_tables.remove,
                ACCOUNT.type: self.storage_accounts.remove,
                AUTOMATION_ACCOUNT.type: self.automation_accounts.remove,
            }
        )

    def _endpoints(self, base_url: str, query: dict[str, str]) -> Answer:
        """What clients read to learn of this cloud (arm-clients section 4). 2015-01-01 is flat, 2019-05-01 a list."""
        face = self.faces.of(base_url)
        audiences = ["https://management.core.windows.net/", "https://management.azure.com/", base_url]
        login = {"loginEndpoint": face.login, "audiences": audiences}
        if query.get("api-version", "").startswith("2015"):
            flat = {"galleryEndpoint": base_url, "graphEndpoint": base_url, "portalEndpoint": base_url, "authentication": login}
            return Answer(200, flat)
        elsewhere = (
            "resourceManager", "portal", "gallery", "batch", "graph", "graphAudience", "microsoftGraphResourceId",
            "activeDirectoryDataLake", "media", "sqlManagement",
        )  # fmt: skip
        document = {
            "name": face.name,
            **dict.fromkeys(elsewhere, base_url),
            "microsoftGraphResourceId": face.login,
            "authentication": {**login, "tenant": "common", "identityProvider": "AAD"},
            "suffixes": {"storage": face.suffix, "keyVaultDns": "vault.drillbed", "acrLoginServer": "acr.drillbed"},
        }
        return Answer(200, [document] if query.get("api-version", "").startswith("2019") else document)
