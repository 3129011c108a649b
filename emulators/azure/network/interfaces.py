"""Network interfaces: they take addresses of subnets and are used by virtual machines."""

from dataclasses import dataclass
from typing import Any

from emulators.azure.arm import Answer, Arm, Call, Json, Refusal, Resource, operation, read, read_texts
from emulators.azure.network.addresses import pick, taken
from emulators.azure.network.kinds import INTERFACE, PUBLIC_ADDRESS, SECURITY_GROUP, SUBNET_TYPE
from emulators.azure.outside import VmNic
from emulators.azure.provisioning import provision, touch, withdraw
from emulators.azure.tracked import add_reads, located, need_reference


@dataclass(frozen=True, slots=True)
class IpConfiguration:
    """One address of an interface, as asked for. `address` empty: any free one."""

    name: str
    subnet_id: str
    address: str = ""
    primary: bool = True
    public_address_id: str = ""
    pools: tuple[str, ...] = ()  #: ids of the backend pools it is in


class NetworkInterfaces:
    """`Microsoft.Network/networkInterfaces`."""

    namespace = "Microsoft.Network"

    def __init__(self, arm: Arm):
        self.arm = arm
        self._made = 0
        add_reads(arm, INTERFACE)

    @operation("PUT", INTERFACE.template)
    def create(self, call: Call) -> Answer:
        existing, head = located(self.arm, call, INTERFACE)
        body = call.content()
        wanted = _configurations(body, call.path)
        group = read(body, "properties.networkSecurityGroup.id", str, "")
        interface = self.make(call.path, head, wanted, security_group_id=group, asked=read(body, "properties", dict, {}))
        return provision(self.arm, call, interface, status=200 if existing else 201, seconds=3)

    @operation("DELETE", INTERFACE.template)
    def delete(self, call: Call) -> Answer:
        interface = self.arm.store.get(call.path)
        if interface is None:
            return Answer(204)
        _check_unused(interface)
        return withdraw(self.arm, call, interface, seconds=3, remove=self.remove)

    # used by compute and by Site Recovery ------------------------------------------------------------------------------

    def make(
        self, path: str, head: Json, wanted: list[IpConfiguration], *, security_group_id: str = "", asked: Json | None = None
    ) -> Resource:
        """Create or change an interface and take its addresses.

        The lock is held. Raises `Refusal` 400 and then has changed nothing.
        """
        existing = self.arm.store.get(path)
        if security_group_id:
            need_reference(self.arm, security_group_id, SECURITY_GROUP.type, path)
        for one in wanted:
            self._check_public(path, one)
            self._check_pools(path, one)
        shown = self._claim(path, wanted, _held(self.arm, existing) if existing else {})
        if existing:
            self._release_public(existing)
        for one in wanted:
            if one.public_address_id:
                self.arm.store.need(one.public_address_id).properties["ipConfiguration"] = {"id": _holder(path, one)}
        asked = asked or {}
        properties: Json = {
            "ipConfigurations": shown,
            "dnsSettings": {"dnsServers": read_texts(asked, "dnsSettings.dnsServers"), "appliedDnsServers": []},
            "macAddress": existing.properties["macAddress"] if existing else self._mac(),
            "enableAcceleratedNetworking": read(asked, "enableAcceleratedNetworking", bool, False),
            "enableIPForwarding": read(asked, "enableIPForwarding", bool, False),
            "primary": True,
            "nicType": "Standard",
            "resourceGuid": existing.properties["resourceGuid"] if existing else self.arm.clock.uuid(),
            "provisioningState": "Succeeded",
        }
        if security_group_id:
            properties["networkSecurityGroup"] = {"id": security_group_id}
        if existing and "virtualMachine" in existing.properties:
            properties["virtualMachine"] = existing.properties["virtualMachine"]
        interface = existing or Resource(path, INTERFACE.type, {"etag": ""})
        interface.body.update(head, properties=properties)
        touch(self.arm, interface)
        return self.arm.store.put(interface)

    def remove(self, interface: Resource) -> None:
        """Give the addresses back and forget the interface. Raises `Refusal` 400 `NicInUse`."""
        with self.arm.lock:
            _check_unused(interface)
            for subnet_id, address in _held(self.arm, interface):
                taken(self.arm.store.need(subnet_id)).pop(address, None)
            self._release_public(interface)
            self.arm.store.remove(interface.id)

    def seen_by_guest(self, interface: Resource) -> VmNic:
        """The interface as the guest's side needs it."""
        first = interface.properties["ipConfigurations"][0]["properties"]
        subnet_id = first["subnet"]["id"]
        return VmNic(
            id=interface.id,
            mac_address=interface.properties["macAddress"],
            address=first["privateIPAddress"],
            subnet_id=subnet_id,
            network_id=subnet_id.rsplit("/", 2)[0],
        )

    def _claim(self, path: str, wanted: list[IpConfiguration], held: dict[tuple[str, str], str]) -> list[Json]:
        """Take the addresses; when one cannot be had, everything is as before."""
        for subnet_id, address in held:  # its own addresses are free for itself
            taken(self.arm.store.need(subnet_id)).pop(address, None)
        claims: list[tuple[Resource, str]] = []
        try:
            shown = []
            for one in wanted:
                subnet = need_reference(self.arm, one.subnet_id, SUBNET_TYPE, path)
                address = pick(subnet, one.address, _holder(path, one))
                taken(subnet)[address] = _holder(path, one)
                claims.append((subnet, address))
                shown.append(self._shown(path, one, subnet, address))
        except Refusal:
            for subnet, address in claims:
                taken(subnet).pop(address, None)
            for (subnet_id, address), holder in held.items():
                taken(self.arm.store.need(subnet_id))[address] = holder
            raise
        return shown

    def _shown(self, path: str, wanted: IpConfiguration, subnet: Resource, address: str) -> Json:
        properties: Json = {
            "provisioningState": "Succeeded",
            "privateIPAddress": address,
            "privateIPAllocationMethod": "Static" if wanted.address else "Dynamic",
            "privateIPAddressVersion": "IPv4",
            "subnet": {"id": subnet.id},
            "primary": wanted.primary,
        }
        if wanted.public_address_id:
            properties["publicIPAddress"] = {"id": wanted.public_address_id}
        if wanted.pools:
            properties["loadBalancerBackendAddressPools"] = [{"id": pool} for pool in wanted.pools]
        return {
            "name": wanted.name,
            "id": _holder(path, wanted),
            "etag": f'W/"{self.arm.clock.uuid()}"',
            "type": f"{INTERFACE.type}/ipConfigurations",
            "properties": properties,
        }

    def _check_public(self, path: str, wanted: IpConfiguration) -> None:
        if not wanted.public_address_id:
            return
        public = need_reference(self.arm, wanted.public_address_id, PUBLIC_ADDRESS.type, path)
        holder = _holder(path, wanted)
        user = public.properties.get("ipConfiguration", {}).get("id", holder)
        if user.lower() != holder.lower():
            raise Refusal(
                400,
                "PublicIPAddressInUse",
                f"Resource {holder} is referencing public IP address {public.id} that is already allocated to resource {user}.",
            )

    def _check_pools(self, path: str, wanted: IpConfiguration) -> None:
        for pool in wanted.pools:
            balancer = self.arm.store.get(pool.rsplit("/", 2)[0])
            known = balancer.properties.get("backendAddressPools", []) if balancer is not None else []
            if pool.lower() not in {one["id"].lower() for one in known}:
                raise Refusal(400, "InvalidResourceReference", f"Resource {pool} referenced by resource {path} was not found.")

    def _release_public(self, interface: Resource) -> None:
        for configuration in interface.properties["ipConfigurations"]:
            public = self.arm.store.get(configuration["properties"].get("publicIPAddress", {}).get("id", ""))
            if public is not None:
                public.properties.pop("ipConfiguration", None)

    def _mac(self) -> str:
        """Addresses of the vendor prefix Azure has, counted up: no two interfaces of an estate share one."""
        self._made += 1
        return "-".join(("00", "0D", "3A", *(f"{part:02X}" for part in self._made.to_bytes(3, "big"))))


def _configurations(body: Json, path: str) -> list[IpConfiguration]:
    entries = read(body, "properties.ipConfigurations", list, [])
    if not entries:
        raise Refusal(
            400, "InvalidRequestFormat", f"Network interface {path} must have at least one IP configuration.", details=[]
        )
    return [_configuration(entry, primary=at == 0, path=path) for at, entry in enumerate(entries)]


def _configuration(entry: Any, *, primary: bool, path: str) -> IpConfiguration:
    if not isinstance(entry, dict):
        raise Refusal(
            400, "InvalidRequestContent", f"The request content was invalid: IP configurations of {path} must be objects."
        )
    static = read(entry, "properties.privateIPAllocationMethod", str, "Dynamic").lower() == "static"
    subnet = read(entry, "properties.subnet.id", str)
    if subnet is None:
        raise Refusal(
            400, "SubnetIsRequired", f"IP configuration {path} must reference a subnet in a virtual network.", details=[]
        )
    return IpConfiguration(
        name=read(entry, "name", str, required=True),
        subnet_id=subnet,
        address=read(entry, "properties.privateIPAddress", str, "") if static else "",
        primary=read(entry, "properties.primary", bool, primary),
        public_address_id=read(entry, "properties.publicIPAddress.id", str, ""),
        pools=tuple(
            read(pool, "id", str, required=True) for pool in read(entry, "properties.loadBalancerBackendAddressPools", list, [])
        ),
    )


def _held(arm: Arm, interface: Resource) -> dict[tuple[str, str], str]:
    """The addresses an interface has: (subnet id, address) to the holding IP configuration."""
    held = {}
    for configuration in interface.properties.get("ipConfigurations", []):
        subnet_id, address = configuration["properties"]["subnet"]["id"], configuration["properties"]["privateIPAddress"]
        if arm.store.get(subnet_id) is not None:
            held[subnet_id, address] = configuration["id"]
    return held


def _holder(path: str, wanted: IpConfiguration) -> str:
    return f"{path}/ipConfigurations/{wanted.name}"


def _check_unused(interface: Resource) -> None:
    user = interface.properties.get("virtualMachine", {}).get("id")
    if user is not None:
        raise Refusal(
            400,
            "NicInUse",
            f"Network Interface {interface.id} is used by existing resource {user}. In order to delete the network interface, it "
            "must be dissociated from the resource. To learn more, see aka.ms/deletenic.",
            details=[],
        )
