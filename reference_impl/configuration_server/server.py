"""The configuration server as one program: put together, started, stopped, killed."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from reference_impl.configuration_server import discovery, facts, vcenters, work
from reference_impl.configuration_server.components import application
from reference_impl.configuration_server.service import Service
from reference_impl.configuration_server.site import Document, RunAs, Site, Work
from reference_impl.documents import Documents
from reference_impl.outside import Clock, Host, Listener, Process
from reference_impl.rules import Rules
from reference_impl.wire import Refused


class ConfigurationServer:
    """Registers with the vault, discovers vCenters, does the service's work, and is what agents, process servers and master
    targets report to. What it has to remember is in `folder`; another one on the same folder goes on where this one ended."""

    def __init__(
        self,
        host: Host,
        clock: Clock,
        folder: Path,
        *,
        service_url: str,
        registration_key: str,
        passphrase: str,
        name: str,
        version: str,
        run_as_accounts: Mapping[str, tuple[str, str, str]],
        machine_id: str,
        rules: Rules,
        url: str = "",
        role: str = "configuration-server",
        own_vcenters: Sequence[Document] = (),
    ):
        """`run_as_accounts` is account id -> (name, user, password). `url` is what agents are told to report to; unless
        given, the host's name. `role` is what it registers as; `own_vcenters` are those it was set up with (an appliance is; the
        fields are those of `add-vcenter`, with `id`). Nothing happens before `start`. Raises `OSError` when the state cannot be
        read."""
        folder.mkdir(parents=True, exist_ok=True)
        self._site = Site(
            host=host,
            clock=clock,
            rules=rules,
            name=name,
            url=url or f"https://{host.name}",
            version=version,
            passphrase=passphrase,
            machine_id=machine_id,
            accounts={key: RunAs(*account) for key, account in run_as_accounts.items()},
            documents=Documents(folder / "configuration-server.sqlite"),
            started=clock.now(),
        )
        self._service = Service(self._site, service_url, registration_key, role=role)
        self._own_vcenters = own_vcenters
        self._listener: Listener | None = None

    def start(self) -> None:
        """Listen on 443 and begin. Raises `OSError` when the port is taken."""
        site = self._site
        self._listener = site.host.listen(site.rules.control_port, application(site))
        site.clock.spawn(self._live(), name="registration")
        site.clock.spawn(discovery.rounds(site, self._service), name="discovery")

    def stop(self) -> None:
        """Nothing is running or listening any more; what it knows is in its folder. The same as a kill."""
        if self._listener is not None:
            self._listener.close()
        self._site.clock.cancel_all()
        with self._site.lock:
            self._site.documents.close()

    kill = stop

    # looking at it ---------------------------------------------------------------------------------------------------

    @property
    def registration(self) -> Document | None:
        """What the service answered: componentId, vault, fabric, ...; None before that."""
        return self._service.registration

    @property
    def refusal(self) -> Refused | None:
        """Why the service last said no, or None."""
        return self._service.refusal

    @property
    def url(self) -> str:
        """Where components report to."""
        return self._site.url

    def facts(self) -> Document:
        """What the next heartbeat to the service will say."""
        return facts.heartbeat(self._site)

    # work ------------------------------------------------------------------------------------------------------------

    def _live(self) -> Process:
        yield from self._service.register()
        for item in work.unfinished(self._site):
            self._take(item)
        self._site.clock.spawn(self._service.heartbeats(), name="heartbeat")
        self._site.clock.spawn(self._service.polls(self._take), name="work")
        self._site.clock.spawn(vcenters.keep(self._site, self._service, self._own_vcenters), name="vCenters")

    def _take(self, item: Work) -> None:
        self._site.clock.spawn(work.do(self._site, self._service, item), name=f"work {item.kind}")
