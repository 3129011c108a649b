"""The face to the Site Recovery service: register, heartbeat, inventory, take work, report on it. Outbound 443 only (NET-003)."""

from collections.abc import Callable

from reference_impl.configuration_server import facts
from reference_impl.configuration_server.site import Document, Site, Work
from reference_impl.outside import Process
from reference_impl.times import iso
from reference_impl.wire import Client, Refused, part

#: Rest between two tries to register or to report.
RETRY_SECONDS = 30.0

#: Reports on work that cannot be delivered are given up after this time: the service has failed the work by then.
REPORT_SECONDS = 1800.0


class Service:
    """The service as one configuration server sees it. `refusal` is why it does not take us, or None."""

    def __init__(self, site: Site, url: str, registration_key: str, *, role: str = "configuration-server"):
        self._site, self._url, self._key, self._role = site, url.rstrip("/"), registration_key, role
        self.refusal: Refused | None = None
        self.reached = False

    @property
    def registration(self) -> Document | None:
        with self._site.lock:
            return self._site.documents.get("service", "registration")

    def register(self) -> Process:
        """Rest until the service has taken us. What was registered before a kill stays so."""
        while self.registration is None:
            try:
                answer = Client(self._site.host, self._url).call("POST", "/components/register", self._introduction())
                if not all(isinstance(answer.get(name), str) for name in ("componentId", "token")):
                    raise Refused(200, "Malformed", "the answer to the registration names no component", answer, {})
                self.refusal = None
                with self._site.lock:
                    self._site.documents.put("service", "registration", answer)
            except Refused as refusal:
                self.refusal = refusal
                yield RETRY_SECONDS
            except OSError:
                yield RETRY_SECONDS

    def _introduction(self) -> Document:
        site = self._site
        accounts = [{"accountId": name, "accountName": account.name} for name, account in site.accounts.items()]
        return {
            "registrationKey": self._key,
            "role": self._role,
            "name": site.name,
            "machineId": site.machine_id,
            "address": site.host.address or site.host.name,
            "version": site.version,
            "time": iso(site.clock.now()),
            "runAsAccounts": accounts,
        }

    def _call(self, path: str, body: Document) -> Document:
        registration = self.registration
        if registration is None:
            raise OSError("not registered with the Site Recovery service")
        client = Client(self._site.host, self._url, registration["token"])
        try:
            answer = client.call("POST", f"/components/{part(registration['componentId'])}/{path}", body)
        except OSError:
            self.reached = False
            raise
        self.reached, self.refusal = True, None
        return answer

    def _interval(self, name: str, default: float) -> float:
        value = (self.registration or {}).get(name)
        return float(value) if isinstance(value, int | float) and value > 0 else default

    def heartbeats(self) -> Process:
        """Never ends: a heartbeat each `heartbeatSeconds`."""
        while True:
            self.heartbeat()
            yield self._interval("heartbeatSeconds", 60.0)

    def heartbeat(self) -> None:
        """One heartbeat. A service that cannot be reached hears the next one."""
        try:
            self._call("heartbeat", facts.heartbeat(self._site))
        except Refused as refusal:
            self.refusal = refusal
        except OSError:
            return

    def inventory(self, vcenter: Document, machines: list[Document]) -> bool:
        """Send a whole discovery; whether it arrived."""
        body = {"vCenterId": vcenter["id"], "vCenterVersion": vcenter["version"], "machines": machines}
        try:
            self._call("inventory", body)
        except Refused as refusal:
            self.refusal = refusal
            return False
        except OSError:
            return False
        return True

    def polls(self, take: Callable[[Work], None]) -> Process:
        """Never ends: ask for work each `pollSeconds` and hand it to `take`."""
        while True:
            for item in self._ask():
                take(item)
            yield self._interval("pollSeconds", 10.0)

    def _ask(self) -> list[Work]:
        try:
            given = self._call("work", {"waitSeconds": 0}).get("work")
        except Refused as refusal:
            self.refusal = refusal
            return []
        except OSError:
            return []
        items = [entry for entry in given if isinstance(entry, dict)] if isinstance(given, list) else []
        return [Work(str(entry.get("workId")), str(entry.get("kind")), _object(entry.get("input"))) for entry in items]

    def running(self, item: Work, progress: int) -> None:
        """Tell how far work is; nothing depends on its arrival."""
        try:
            self._call(f"work/{part(item.work_id)}", {"state": "running", "progress": progress, "output": {}})
        except (Refused, OSError):
            return

    def ended(self, item: Work, result: Document) -> Process:
        """Rest until the service knows the result; it is final when the service refuses it or after half an hour."""
        end = self._site.clock.now() + REPORT_SECONDS
        while True:
            try:
                self._call(f"work/{part(item.work_id)}", result)
                return
            except Refused:
                return
            except OSError:
                if self._site.clock.now() >= end:
                    return
                yield RETRY_SECONDS


def _object(value: object) -> Document:
    return dict(value) if isinstance(value, dict) else {}
