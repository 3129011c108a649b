"""IpPoolManager: pools of addresses of datacenters, and who has which."""

import ipaddress
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call
from emulators.vcenter.records import Record, Ref

#: Addresses of one pool that are ever given.
_MOST = 65536


@dataclass(slots=True)
class IpPool:
    """One pool: its configuration, and addresses by allocation id for each version."""

    config: Record
    taken: dict[int, dict[str, str]] = field(default_factory=lambda: {4: {}, 6: {}})


@dataclass(slots=True)
class IpPools:
    """Pools by datacenter and number."""

    kind: str
    moid: str
    pools: dict[str, dict[int, IpPool]] = field(default_factory=dict)
    last: int = 0
    cache: dict[str, Any] = field(default_factory=dict)


def _of(pools: IpPools, datacenter: Ref) -> dict[int, IpPool]:
    return pools.pools.setdefault(datacenter.moid, {})


def _known(pools: IpPools, datacenter: Ref, number: int) -> IpPool:
    found = _of(pools, datacenter).get(number)
    if found is None:
        raise invalid_argument("poolId", f"The datacenter has no pool {number}.")
    return found


def _addresses(config: Record | None) -> Iterator[Any]:
    """The addresses of a range: `10.0.0.10#5, 10.0.0.100#2` is the first with how many follow."""
    for part in filter(None, (one.strip() for one in (config["range"] or "").split(","))) if config is not None else ():
        first, _, count = part.partition("#")
        start = ipaddress.ip_address(first.strip())
        yield from (start + number for number in range(int(count)))


def _check(pools: IpPools, datacenter: Ref, told: Record, but: IpPool | None = None) -> None:
    name = told["name"] or ""
    if not name.strip():
        raise invalid_argument("pool.name", "A name is required.")
    if any(one.config["name"] == name for one in _of(pools, datacenter).values() if one is not but):
        raise Fault("AlreadyExists", f"There is a pool {name}.", name=name)
    for field_name, version in (("ipv4Config", 4), ("ipv6Config", 6)):
        config = told[field_name]
        if config is None:
            continue
        try:
            found = list(itertools.islice(_addresses(config), _MOST))
            network = _network(config)
        except ValueError as error:
            raise invalid_argument(f"pool.{field_name}", str(error)) from None
        if any(one.version != version or (network is not None and one not in network) for one in found):
            raise invalid_argument(f"pool.{field_name}.range", "An address lies outside the subnet.")


def _network(config: Record) -> Any:
    if not config["subnetAddress"] or not config["netmask"]:
        return None
    return ipaddress.ip_network(f"{config['subnetAddress']}/{config['netmask']}", strict=False)


def _shown(number: int, pool: IpPool) -> Record:
    shown = pool.config.copy()
    shown["id"] = number
    for version, name in ((4, "ipv4Config"), (6, "ipv6Config")):
        count = sum(1 for _ in itertools.islice(_addresses(pool.config[name]), _MOST))
        taken = len(pool.taken[version])
        shown[f"availableIpv{version}Addresses"], shown[f"allocatedIpv{version}Addresses"] = count - taken, taken
    return shown


def query(_call: Call, pools: IpPools, args: Any) -> list[Record]:
    """QueryIpPools."""
    return [_shown(number, pool) for number, pool in sorted(_of(pools, args["dc"]).items())]


def create(_call: Call, pools: IpPools, args: Any) -> int:
    """CreateIpPool."""
    _check(pools, args["dc"], args["pool"])
    pools.last += 1
    _of(pools, args["dc"])[pools.last] = IpPool(args["pool"].copy())
    return pools.last


def update(_call: Call, pools: IpPools, args: Any) -> None:
    """UpdateIpPool."""
    if args["pool"]["id"] is None:
        raise invalid_argument("pool.id", "It is required.")
    pool = _known(pools, args["dc"], args["pool"]["id"])
    merged = Record("IpPool", **{**pool.config.fields, **{k: v for k, v in args["pool"].copy().fields.items() if v is not None}})
    _check(pools, args["dc"], merged, but=pool)
    pool.config = merged


def destroy(_call: Call, pools: IpPools, args: Any) -> None:
    """DestroyIpPool: with `force` also one that is in use."""
    pool = _known(pools, args["dc"], args["id"])
    if not args["force"] and (pool.taken[4] or pool.taken[6] or pool.config["networkAssociation"]):
        raise Fault("InvalidState", "The pool is in use.")
    del _of(pools, args["dc"])[args["id"]]


def _allocate(version: int) -> Any:
    def allocate(_call: Call, pools: IpPools, args: Any) -> str:
        """AllocateIpv4Address, AllocateIpv6Address: the same id has the same address."""
        pool = _known(pools, args["dc"], args["poolId"])
        taken = pool.taken[version]
        if args["allocationId"] in taken:
            return taken[args["allocationId"]]
        used = set(taken.values())
        found = _addresses(pool.config[f"ipv{version}Config"])
        fresh = next((str(one) for one in itertools.islice(found, _MOST) if str(one) not in used), None)
        if fresh is None:
            raise Fault("InvalidState", "The pool has no address left.")
        taken[args["allocationId"]] = fresh
        return fresh

    return allocate


def release(_call: Call, pools: IpPools, args: Any) -> None:
    """ReleaseIpAllocation."""
    pool = _known(pools, args["dc"], args["poolId"])
    gone = [taken.pop(args["allocationId"], None) for taken in pool.taken.values()]
    if not any(gone):
        raise invalid_argument("allocationId", "Nothing was allocated under it.")


def allocations(_call: Call, pools: IpPools, args: Any) -> list[Record]:
    """QueryIPAllocations: those whose id begins with the key of an extension."""
    pool = _known(pools, args["dc"], args["poolId"])
    found = [pair for taken in pool.taken.values() for pair in taken.items() if pair[0].startswith(args["extensionKey"])]
    return [Record("IpPoolManagerIpAllocation", ipAddress=address, allocationId=one) for one, address in sorted(found)]


IP_POOL_OPERATIONS = {
    "QueryIpPools": query,
    "CreateIpPool": create,
    "UpdateIpPool": update,
    "DestroyIpPool": destroy,
    "AllocateIpv4Address": _allocate(4),
    "AllocateIpv6Address": _allocate(6),
    "ReleaseIpAllocation": release,
    "QueryIPAllocations": allocations,
}
