"""Where the hosts of an estate stand: names, zones, loopback addresses, and the two ways their bytes travel."""

import socket
from dataclasses import dataclass
from pathlib import Path

from drillbed.errors import TroubleError
from emulators.clock import Clock
from emulators.http.inprocess import InProcess
from emulators.http.sockets import Sockets
from emulators.network import AZURE_PUBLIC, AZURE_VNET, ONPREM, OPERATOR, Host, Network

DOMAIN = "drillbed"

#: The fixed hosts: name, zone, last two parts of the address, further DNS names.
HOSTS: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("vcenter", ONPREM, "1.10", ()),
    ("configuration-server", ONPREM, "1.20", ()),
    ("process-server", ONPREM, "1.21", ()),
    ("master-target", ONPREM, "1.22", ()),
    ("management", AZURE_PUBLIC, "2.10", ()),
    ("login", AZURE_PUBLIC, "2.11", ()),
    ("site-recovery", AZURE_PUBLIC, "2.12", ("siterecovery.drillbed",)),
    ("storage", AZURE_PUBLIC, "2.20", ("*.blob.drillbed", "*.queue.drillbed")),
    ("compute", AZURE_PUBLIC, "2.13", ()),  # Azure's hosts: the disks of its virtual machines are page blobs
    ("replica-worker", AZURE_PUBLIC, "2.30", ()),
    ("operator", OPERATOR, "9.10", ()),
)

#: Names of the public cloud by the host that answers for them, where clients come through the proxy.
PUBLIC_NAMES: dict[str, tuple[str, ...]] = {
    "management": ("management.azure.com", "management.core.windows.net"),
    "login": ("login.microsoftonline.com", "login.windows.net", "graph.microsoft.com"),
    "storage": ("*.blob.core.windows.net", "*.queue.core.windows.net"),
}

#: An address on which no estate ever listens: who answers there listens on all addresses.
NOBODY = "127.19.2.10"

#: The addresses of a zone's machines: the last two parts as one number, and how many from there on.
MACHINES = {ONPREM: ((1 * 256 + 100, 150), (4 * 256 + 1, 850)), AZURE_VNET: ((3 * 256 + 100, 150), (8 * 256 + 1, 850))}


@dataclass(slots=True)
class Places:
    """The network of an estate and the addresses it gives out. `prefix` is the first two parts, as `127.20`."""

    network: Network
    prefix: str
    claim: socket.socket | None = None

    def machine(self, name: str, zone: str, *, dns: str = "") -> Host:
        """A host for a machine of a zone, on the next free address."""
        taken = {host.address for host in self.network.hosts()}
        for number in (first + place for first, count in MACHINES[zone] for place in range(count)):
            address = f"{self.prefix}.{number // 256}.{number % 256}"
            if address not in taken:
                return self.network.host(name, zone, address=address, names=[f"{dns or name}.{DOMAIN}"])
        raise TroubleError(f"no address is left for {name} in {zone}: an estate holds 1,000 machines a side")

    def host(self, name: str) -> Host:
        found = self.network.find(name)
        assert found is not None, f"the estate has no host {name}"
        return found


def build(clock: Clock, *, sockets: bool, folder: Path, public_names: bool = False) -> Places:
    """The network with its fixed hosts, which with `public_names` also answer for names of the public cloud.

    Over sockets the estate takes a loopback prefix that nobody uses.
    """
    transport = Sockets(folder / "tls") if sockets else InProcess()
    prefix, claim = _free_prefix() if sockets else ("127.20", None)
    places = Places(Network(clock, transport), prefix, claim)
    for name, zone, address, names in HOSTS:
        known = [f"{name}.{DOMAIN}", *names, *(PUBLIC_NAMES.get(name, ()) if public_names else ())]
        places.network.host(name, zone, address=f"{places.prefix}.{address}", names=known)
    return places


def _free_prefix() -> tuple[str, socket.socket]:
    """A `127.n` that no estate uses, and the claim on it: several estates run, and start, beside each other on one machine."""
    for second in range(20, 240):
        prefix = f"127.{second}"
        claim = _claim(prefix)
        if claim is None:
            continue
        if _free(f"{prefix}.2.10"):
            return prefix, claim
        claim.close()
        if not _free(NOBODY):
            raise TroubleError(
                "port 443 is taken by another program on every loopback address: stop it (`ss -ltnp | grep ':443 '` names it)"
            )
    raise TroubleError("220 estates seem to run on this machine: stop one with Ctrl-C or `drillbed down`")


def _claim(prefix: str) -> socket.socket | None:
    """A name in the machine's network namespace that ends with this process; None where another estate has it."""
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0drillbed-{prefix}")
    except OSError:
        claim.close()
        return None
    return claim


def _free(address: str) -> bool:
    """Whether nothing listens on port 443 there. A refusal by the system counts as free: the port plan deals with it."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((address, 443)) != 0
