"""`drillbed up`: an embedded estate that serves programs from outside until it is told to end.

Its folder (`out/up` unless told otherwise) holds the working files and, while it runs, `estate.json`: where everything listens.
`drillbed status` and `drillbed down` read that. A lock on the folder, which ends with the process, says whether it is up.
"""

import json
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from drillbed.dialects import DIALECTS
from drillbed.errors import TroubleError, UsageError
from drillbed.estate import Estate, EstatePlan, MachinePlan
from drillbed.lab_file import LAB, lab_text
from drillbed.places import DOMAIN, PUBLIC_NAMES
from drillbed.proxy import Relay
from drillbed.running import RECORD, claimed, status_text
from drillbed.storage import require_azurite
from emulators.azure.arm import Face
from emulators.azure.cloud import CLIENT, SUBSCRIPTION, TENANT
from emulators.clock import fresh_seed, today
from emulators.http.sockets import Sockets

MIB = 1 << 20

#: A person of the tenant, for clients that log in with name and password.
USER = "operator@drillbed.example"

FIRST_NAMES = ("web", "app", "db")
MOST_MACHINES = 100

#: Environment variable that names a file descriptor: a line there tells the parent that the estate is up.
READY = "DRILLBED_READY_FD"


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What a user can choose. `env` is a file to write shell exports to."""

    folder: Path
    profile: str = "classic"
    vms: int = 3
    speed: float = 1.0
    env: Path | None = None
    proxy: bool = False
    nbd: bool = False
    #: Images for system disks, as `[MACHINE=]FILE`; the first machine unless named.
    disks: tuple[str, ...] = ()
    #: Folder with scripts that do the work of runbooks; see `drillbed.runbooks`.
    runbooks: Path | None = None


@dataclass(frozen=True, slots=True)
class Served:
    """A running estate as it is seen from outside. `record` is what `estate.json` says, `exports` the environment file."""

    estate: Estate
    record: dict[str, Any]
    exports: dict[str, str]


def check(options: UpOptions) -> None:
    """Raises `UsageError` for what cannot be."""
    if options.profile not in DIALECTS:
        raise UsageError(f"profile {options.profile!r} cannot be brought up: it is {' or '.join(DIALECTS)}")
    if not 0 <= options.vms <= MOST_MACHINES:
        raise UsageError(f"--vms is 0 to {MOST_MACHINES}, not {options.vms}")
    if not 0.01 <= options.speed <= 10_000:
        raise UsageError(f"--speed is 0.01 to 10000 emulated seconds per second, not {options.speed:g}")
    images_of(options)
    if options.runbooks is not None and not options.runbooks.is_dir():
        raise UsageError(f"{options.runbooks} is not a folder: --runbooks names one with scripts called as the runbooks")
    if options.env is not None and not _takes_a_file(options.env):
        raise UsageError(f"{options.env} cannot be written to: choose another file with --env")


def images_of(options: UpOptions) -> dict[str, Path]:
    """The image of each machine that was given one. Raises `UsageError` for a machine that there is not."""
    names, images = machine_names(options.vms), dict[str, Path]()
    for given in options.disks:
        name, equals, path = given.partition("=")
        name, path = (name, path) if equals and "/" not in name else ((names or ["web"])[0], given)
        if name not in names:
            raise UsageError(f"--disk {given}: there is no machine {name}; there are {', '.join(names) or 'none'}")
        if name in images:
            raise UsageError(f"--disk {given}: {name} has an image already; write MACHINE=FILE for another machine")
        images[name] = Path(path)
    return images


def _takes_a_file(path: Path) -> bool:
    return os.access(path, os.W_OK) and path.is_file() if path.exists() else os.access(path.parent, os.W_OK)


@contextmanager
def served(options: UpOptions) -> Iterator[Served]:
    """An estate that is registered, discovered, and reachable from outside; all of it ends with the context.

    Raises `UsageError` when one is up in the same folder already, `TroubleError` and the like when it cannot run.
    """
    check(options)
    require_azurite()
    with ExitStack() as stack:
        stack.enter_context(claimed(options.folder))
        names, images = machine_names(options.vms), images_of(options)
        plan = EstatePlan(
            way="embedded",
            seed=fresh_seed(),
            speed=options.speed,
            machines=[MachinePlan(name, "WINDOWS", [32 * MIB, 8 * MIB], source=images.get(name)) for name in names],
            start=today(),
            public_names=options.proxy,
            nbd=options.nbd,
            profile=options.profile,
            runbooks=options.runbooks,
        )
        estate = stack.enter_context(Estate.open(plan, options.folder / "estate"))
        relay = Relay()
        stack.callback(relay.close)
        record = _open_doors(estate, relay, options)
        estate.prepare_azure()
        estate.register_site()
        estate.add_vcenter()
        estate.vault.make_policies()
        exports = environment(estate, record)
        estate.azure.programs.environment = _of_a_runbook(exports)
        if options.env is not None:
            _write(options.env, exports_text(exports), mode=0o600)
        _write(options.folder / LAB, lab_text(estate, record), mode=0o600)
        stack.callback((options.folder / LAB).unlink, missing_ok=True)
        _keep_record(estate, record, options.folder / RECORD)
        stack.callback((options.folder / RECORD).unlink, missing_ok=True)
        yield Served(estate, record, exports)


def _keep_record(estate: Estate, record: dict[str, Any], path: Path) -> None:
    """Write the record, and again whenever a machine's doors open or close: a machine that fails over is found elsewhere."""

    def write() -> None:
        if estate.doors is not None:
            record["nbd"] = [asdict(door) for door in estate.doors.listing()]
        partial = path.with_suffix(".tmp")
        _write(partial, json.dumps(record, indent=1) + "\n", mode=0o600)
        partial.replace(path)

    if estate.doors is not None:
        estate.doors.changed = write
    write()


def machine_names(count: int) -> list[str]:
    """`web`, `app`, `db`, `vm-4`, ..."""
    return [*FIRST_NAMES, *(f"vm-{number}" for number in range(4, count + 1))][:count]


def run_up(options: UpOptions, say: Callable[[str], object]) -> None:
    """Bring an estate up, say where it listens, and keep it until a signal comes. Returns when everything has ended."""
    with suppress(KeyboardInterrupt), served(options) as up:
        say(listing(up, options))
        _ready()
        while True:  # work is done meanwhile; what breaks the estate is raised here
            up.estate.clock.rest(options.speed)
            up.estate.check()


def _ready() -> None:
    number = os.environ.pop(READY, "")
    if number.isdigit():
        sys.stdout.flush()
        with suppress(OSError):
            os.write(int(number), b"ready\n")
            os.close(int(number))


# where everything listens ------------------------------------------------------------------------------------------------


def _open_doors(estate: Estate, relay: Relay, options: UpOptions) -> dict[str, Any]:
    """Tell Azure under which names it is known outside, open the storage door and the proxy; gives the record."""
    storage = estate.azure.storage.process
    assert storage is not None, "an estate over sockets has an Azurite"
    blob = relay.door(_where(estate, "storage"), [("127.0.0.1", 10000), ("127.0.0.1", 0)])
    queue = relay.door((storage.address, storage.queue_port), [("127.0.0.1", 10001), ("127.0.0.1", 0)])
    local = {kind: f"https://localhost:{door[1]}/{{account}}/" for kind, door in (("blob", blob), ("queue", queue))}
    urls = {name: _url(estate, name) for name in ("management", "login", "vcenter", "site-recovery")}
    faces = estate.azure.azure.faces
    faces.add(Face(urls["management"], urls["login"], **local))
    record: dict[str, Any] = {
        "pid": os.getpid(),
        "profile": options.profile,
        "speed": options.speed,
        "machines": [machine.name for machine in estate.plan.machines],
        "endpoints": {**urls, **{kind: url.format(account="<account>") for kind, url in local.items()}},
        "ca": str(_bundle(estate, options.folder)),
    }
    if options.proxy:
        public = "https://management.azure.com", "https://login.microsoftonline.com"
        names = "https://{account}.blob.core.windows.net/", "https://{account}.queue.core.windows.net/"
        faces.add(Face(*public, *names, suffix="core.windows.net", name="AzureCloud"))
        place = relay.proxy(_lookup(estate), [(f"{estate.places.prefix}.9.9", 3128), ("127.0.0.1", 3128), ("127.0.0.1", 0)])
        record["proxy"] = f"http://{place[0]}:{place[1]}"
        record["proxied"] = [name for names in PUBLIC_NAMES.values() for name in names]
    return record


def _lookup(estate: Estate) -> Callable[[str, int], tuple[str, int] | None]:
    """Where the proxy takes a name: the public cloud's and the estate's own."""
    transport = estate.network.transport
    assert isinstance(transport, Sockets)

    def find(name: str, port: int) -> tuple[str, int] | None:
        host = estate.network.find(name)
        return transport.where(host, port) if host is not None else None

    return find


def _where(estate: Estate, name: str) -> tuple[str, int]:
    transport = estate.network.transport
    assert isinstance(transport, Sockets)
    where = transport.where(estate.places.host(name), 443)
    assert where is not None, f"nobody listens on port 443 of {name}"
    return where


def _url(estate: Estate, name: str) -> str:
    address, port = _where(estate, name)
    return f"https://{address}" + ("" if port == 443 else f":{port}")


def _bundle(estate: Estate, folder: Path) -> Path:
    """One PEM file with every authority of the estate."""
    transport = estate.network.transport
    assert isinstance(transport, Sockets)
    authorities = sorted({host.authority for host in estate.network.hosts()})
    path = folder.resolve() / "ca.pem"
    path.write_bytes(b"".join(transport.authorities.bundle(name).read_bytes() for name in authorities))
    return path


def environment(estate: Estate, record: Mapping[str, Any]) -> dict[str, str]:
    """What to set so that real clients find and trust the estate."""
    endpoints, ca = record["endpoints"], record["ca"]
    keys = estate.operator.run("POST", f"{estate.targets.storage}/listKeys", {})
    account = estate.targets.storage.rsplit("/", 1)[1]
    blob, queue = (endpoints[kind].replace("<account>/", account) for kind in ("blob", "queue"))
    proxied = "proxy" in record
    login = "https://login.microsoftonline.com" if proxied else endpoints["login"]
    management = "https://management.azure.com" if proxied else endpoints["management"]
    user, password = estate.site.administrator
    azure = estate.azure.azure
    identity = f"{endpoints['login']}/metadata/identity/oauth2/token"
    exports = {
        "AZURE_TENANT_ID": TENANT,
        "AZURE_CLIENT_ID": CLIENT,
        "AZURE_CLIENT_SECRET": estate.secret,
        "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION,
        "AZURE_AUTHORITY_HOST": login,
        "AZURE_RESOURCE_MANAGER_ENDPOINT": management,
        "AZURE_STORAGE_CONNECTION_STRING": f"DefaultEndpointsProtocol=https;AccountName={account};"
        f"AccountKey={keys['keys'][0]['value']};BlobEndpoint={blob};QueueEndpoint={queue}",
        "ARM_TENANT_ID": TENANT,
        "ARM_CLIENT_ID": CLIENT,
        "ARM_CLIENT_SECRET": estate.secret,
        "ARM_SUBSCRIPTION_ID": SUBSCRIPTION,
        "ARM_METADATA_HOSTNAME": management.removeprefix("https://"),
        "GOVC_URL": f"{endpoints['vcenter']}/sdk",
        "GOVC_USERNAME": user,
        "GOVC_PASSWORD": password,
        "GOVC_TLS_CA_CERTS": ca,
        "REQUESTS_CA_BUNDLE": ca,
        "SSL_CERT_FILE": ca,
        "DRILLBED_RESOURCE_GROUP": estate.targets.group.rsplit("/", 1)[1],
        "DRILLBED_VAULT": estate.vault.name,
        "DRILLBED_STORAGE_ACCOUNT": account,
        "DRILLBED_BLOB_ENDPOINT": endpoints["blob"],
        "DRILLBED_QUEUE_ENDPOINT": endpoints["queue"],
        "DRILLBED_VCENTER": f"vcenter.{DOMAIN}",
        "DRILLBED_IDENTITY_ENDPOINT": identity,
        "DRILLBED_IDENTITY_HEADER": azure.add_identity().header,
        "DRILLBED_USER": USER,
        "DRILLBED_USER_PASSWORD": azure.add_user(USER)[1],
    }
    if proxied:
        exports["HTTPS_PROXY"] = record["proxy"]
        exports["NO_PROXY"] = "localhost,127.0.0.1"
    else:
        exports["AZURE_CORE_INSTANCE_DISCOVERY"] = "false"
    return exports


def _of_a_runbook(exports: Mapping[str, str]) -> dict[str, str]:
    """What a script that runs as a runbook is told: where the cloud is, whom to trust, and its managed identity; no secrets."""
    names = ("AZURE_TENANT_ID", "AZURE_SUBSCRIPTION_ID", "AZURE_AUTHORITY_HOST", "AZURE_RESOURCE_MANAGER_ENDPOINT",
             "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "HTTPS_PROXY", "NO_PROXY")  # fmt: skip
    identity = {name: exports[f"DRILLBED_{name}"] for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER")}
    return {**{name: exports[name] for name in names if name in exports}, **identity}


def exports_text(exports: Mapping[str, str]) -> str:
    """Shell lines for `source`."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in exports.items())


def listing(up: Served, options: UpOptions) -> str:
    """What a user sees when the estate is up."""
    lines = [status_text(up.record)]
    if options.env is not None:
        lines.append(f"Clients find it with: source {shlex.quote(str(options.env))}")
    else:
        lines.append("Clients find it with these variables (--env FILE writes them to a file):")
        lines += [f"  export {name}={shlex.quote(value)}" for name, value in up.exports.items()]
    where = "" if options.folder == Path("out/up") else f" --out {shlex.quote(str(options.folder))}"
    return "\n".join([*lines, f"Ctrl-C or `drillbed down{where}` ends it."])


def _write(path: Path, text: str, *, mode: int) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(handle, "w") as writing:
            writing.write(text)
    except OSError as error:
        raise TroubleError(f"{path} cannot be written to ({error.strerror}): choose another file") from error
