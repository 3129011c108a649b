"""What the service remembers: a vault, its fabrics, items, plans; and the components that speak to it."""

from dataclasses import dataclass, field
from typing import Any

from emulators.azure.site_recovery.jobs import Job
from emulators.azure.site_recovery.profiles import CLASSIC, Profile
from emulators.azure.site_recovery.wire import Json


@dataclass(slots=True)
class WorkItem:
    """Something a component has to do (component protocol, section 1)."""

    id: str
    kind: str
    input: Json
    created: float
    state: str = "queued"  #: queued, given, running, succeeded, failed
    given: float | None = None
    progress: int = 0
    output: Json = field(default_factory=dict)
    error: Json = field(default_factory=dict)

    @property
    def done(self) -> bool:
        return self.state in ("succeeded", "failed")


@dataclass(slots=True)
class Component:
    """A configuration server or replica worker that registered. `heartbeat` is its newest one, `seen` when it came."""

    id: str
    role: str
    name: str
    machine_id: str
    vault: str
    token: str
    address: str
    version: str
    run_as_accounts: list[Json]
    seen: float
    fabric: str = ""
    lost: bool = False  #: whether mail has told that it is not heard of
    heartbeat: Json = field(default_factory=dict)
    queue: list[WorkItem] = field(default_factory=list)
    work: dict[str, WorkItem] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Point:
    """A recovery point. `time` is epoch seconds, `kind` CrashConsistent or ApplicationConsistent."""

    id: str
    time: float
    kind: str
    multi_vm: bool = False


@dataclass(slots=True)
class Policy:
    name: str
    provider: str
    settings: dict[str, Any]
    guid: str


@dataclass(slots=True)
class Mapping:
    """A policy associated with a container. `target` is "Microsoft Azure" or the id of the container itself (failback)."""

    name: str
    policy: str
    target: str
    health: str = "Normal"
    upgrade: bool = True  #: whether an appliance keeps the agents up to date


@dataclass(slots=True)
class VCenter:
    name: str
    friendly: str
    address: str
    port: str
    account: str
    process_server: str
    internal: str
    infrastructure: str | None = None
    version: str = ""
    status: str = "Pending"
    last_heartbeat: float | None = None


@dataclass(slots=True)
class Placement:
    """What a failover made in Azure. `disks` are (diskId, lun or None for the OS disk, managed disk id, container, blob)."""

    vm_id: str
    vm_name: str
    nics: list[str] = field(default_factory=list)
    disks: list[Json] = field(default_factory=list)
    account_id: str = ""


@dataclass(slots=True)
class Item:
    """A protected item.

    `state` is a key of `states.STATES`; `machine` the newest report of its agent; `active` the forward settings.
    """

    vault: str
    fabric: str
    container_id: str
    name: str
    machine_id: str
    friendly: str
    state: str
    policy: str
    generation: int
    disks: list[Json]
    nics: list[Json]
    os_type: str
    settings: Json
    group_id: str
    group_name: str
    correlation: str
    protectable: Json = field(default_factory=dict)
    forward_policy: str = ""
    points: dict[str, Point] = field(default_factory=dict)
    machine: Json = field(default_factory=dict)
    worker: Json = field(default_factory=dict)
    azure: Placement | None = None
    test: Placement | None = None
    test_job: Job | None = None
    job: Job | None = None
    test_state: tuple[str, str] = ("None", "None")
    drill_done: bool = False
    last_failover: float | None = None
    last_test: float | None = None
    point_id: str | None = None
    reverse: Json = field(default_factory=dict)
    profile: Profile = CLASSIC
    health: dict[str, Json] = field(default_factory=dict)
    health_name: str = "Normal"
    protected_since: float | None = None
    component: str = ""  #: id of the appliance that replicates it; empty is the fabric's first
    target_faults: list[str] = field(default_factory=list)  #: what the last look at its target found missing (AVM-011)
    enabled: float = 0.0
    finalized: bool = False

    @property
    def id(self) -> str:
        return f"{self.container_id}/replicationProtectedItems/{self.name}"

    @property
    def shared(self) -> bool:
        """Whether the item was enabled into a named replication group."""
        return bool(self.group_name) and self.group_name != self.group_id


@dataclass(slots=True)
class Fabric:
    """What a configuration server or an appliance made by registering.

    Keys of `machines` are BIOS ids; those of the other tables lower-cased names.
    """

    vault: str
    name: str
    friendly: str
    internal: str
    component: str
    registered: float
    #: Components that registered later with the same fabric: further appliances (TOP-016).
    further: list[str] = field(default_factory=list)
    certified: float = 0.0  #: when its certificate was renewed, or 0
    machines: dict[str, Json] = field(default_factory=dict)
    vcenters: dict[str, VCenter] = field(default_factory=dict)
    mappings: dict[str, Mapping] = field(default_factory=dict)
    profile: Profile = CLASSIC
    items: dict[str, Item] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return f"{self.vault}/replicationFabrics/{self.name}"

    @property
    def container(self) -> str:
        return self.profile.container(self.vault, self.internal)

    def provider_of(self, component: Component) -> str:
        """Name of the provider resource of a server."""
        first = component.id == self.component
        return self.profile.provider(self.vault, self.internal if first else component.machine_id)

    @property
    def provider(self) -> str:
        """Name of the first server's provider resource."""
        return self.profile.provider(self.vault, self.internal)

    @property
    def container_id(self) -> str:
        return f"{self.id}/replicationProtectionContainers/{self.container}"

    @property
    def provider_id(self) -> str:
        return f"{self.id}/replicationRecoveryServicesProviders/{self.provider}"


@dataclass(slots=True)
class Plan:
    name: str
    friendly: str
    fabric_id: str
    groups: list[Json]
    job: Job | None = None
    status: tuple[str | None, str | None] = (None, None)
    scenario: str | None = None
    times: Json = field(default_factory=dict)
    test_job: Job | None = None


@dataclass(slots=True)
class Vault:
    """All of Site Recovery in one vault. `id` begins with `/Subscriptions/`, as the wire has it."""

    id: str
    location: str
    fabrics: dict[str, Fabric] = field(default_factory=dict)
    policies: dict[str, Policy] = field(default_factory=dict)
    plans: dict[str, Plan] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    events: list[Json] = field(default_factory=list)
    exports: list[str] = field(default_factory=list)  #: paths of exported job lists, oldest first
    alerts: Json = field(default_factory=lambda: {"sendToOwners": "DoNotSend", "customEmailAddresses": [], "locale": "en-US"})
    settings: Json = field(default_factory=lambda: {"migrationSolutionId": None, "vmwareToAzureProviderType": None})

    @property
    def key(self) -> str:
        return self.id.lower()

    def items(self) -> list[Item]:
        return [item for fabric in self.fabrics.values() for item in fabric.items.values()]
