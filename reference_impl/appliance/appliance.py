"""The appliance as one program: its parts, the vCenter it was given, and the tunnel by which Azure reaches it.

All its roles are registered with the vault under one id. It needs outbound 443 only: machines in Azure reach it through a tunnel
that it keeps open to a relay in Azure, so that neither a VPN nor a process server or master target in Azure is needed (RPR-025).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reference_impl.configuration_server import ConfigurationServer
from reference_impl.master_target import MasterTarget
from reference_impl.outside import Clock, Guest, Host, OpenStore, Tunnels
from reference_impl.process_server import ProcessServer
from reference_impl.rules import Rules
from reference_impl.wire import Refused

#: Where the reprotect agent listens; the process server beside it has 9443.
REPROTECT_PORT = 9444

#: The disk of the appliance that holds what came until a recovery point is complete.
CACHE_VOLUME: Mapping[str, Any] = {
    "volumeName": "E:",
    "capacityInBytes": 620 << 30,
    "freeSpaceInBytes": 600 << 30,
    "thresholdPercentage": 5,
}


@dataclass(frozen=True, slots=True)
class VCenterLogin:
    """The vCenter that was given to the appliance when it was set up (DIS-013). `account` is a run-as account's id."""

    name: str
    address: str
    account: str
    port: int = 443


def appliance_rules(rules: Rules) -> Rules:
    """What holds for an appliance: its own process server takes the way back, for machines of every system (RPR-025); a
    failback can be cancelled (FB-008)."""
    return replace(
        rules, process_server_in_azure=False, match_os_family=False, snapshot_before_start=True, credentials_for_each_machine=True
    )


class ReplicationAppliance:
    """All roles of one appliance. What each has to remember is below `folder`; another one on the same folder goes on."""

    def __init__(
        self,
        host: Host,
        guest: Guest,
        clock: Clock,
        folder: Path,
        *,
        service_url: str,
        registration_key: str,
        passphrase: str,
        name: str,
        version: str,
        run_as_accounts: Mapping[str, tuple[str, str, str]],
        vcenters: Sequence[VCenterLogin],
        open_store: OpenStore,
        rules: Rules,
        url: str,
        tunnels: Tunnels | None = None,
        relay: str = "",
        sync: bool = True,
    ):
        """`guest` is the machine it runs in, whose disks of others the reprotect agent writes. `url` is what agents report to.
        `tunnels` and `relay`: how and through whom hosts in Azure reach it. Nothing happens before `start`."""
        folder.mkdir(parents=True, exist_ok=True)
        own = appliance_rules(rules)
        self._host, self._tunnels, self._relay = host, tunnels, relay
        self._control = ConfigurationServer(
            host,
            clock,
            folder / "control",
            service_url=service_url,
            registration_key=registration_key,
            passphrase=passphrase,
            name=name,
            version=version,
            run_as_accounts=run_as_accounts,
            machine_id=guest.machine_id,
            rules=own,
            url=url,
            role="appliance",
            own_vcenters=[
                {
                    "id": one.name,
                    "friendlyName": one.name,
                    "address": one.address,
                    "port": one.port,
                    "runAsAccountId": one.account,
                }
                for one in vcenters
            ],
        )
        self._process_server = ProcessServer(
            host,
            clock,
            folder / "process-server",
            configuration_server_url=url,
            passphrase=passphrase,
            machine_id=guest.machine_id,
            name=name,
            zone="onprem",
            open_store=open_store,
            rules=own,
            sync=sync,
        )
        self._reprotect_agent = MasterTarget(
            host,
            guest,
            clock,
            folder / "reprotect-agent",
            configuration_server_url=url,
            passphrase=passphrase,
            name=name,
            os_type=guest.os_type,
            retention_volumes=[CACHE_VOLUME],
            rules=own,
            port=REPROTECT_PORT,
        )

    def start(self) -> None:
        """Listen on 443, 9443 and 9444 and begin. Raises `OSError` when a port is taken."""
        self._control.start()
        self._process_server.start()
        self._reprotect_agent.start()
        if self._tunnels is not None:
            self._tunnels.keep(self._host, self._relay)

    def stop(self) -> None:
        """Nothing is running or listening any more. The same as a kill."""
        if self._tunnels is not None:
            self._tunnels.end(self._host)
        for part in (self._reprotect_agent, self._process_server, self._control):
            part.stop()

    kill = stop

    @property
    def refusal(self) -> Refused | None:
        """Why the service last said no, or None."""
        return self._control.refusal
