"""Push installation of the mobility agent through the machine's own install door (DIS-007, DIS-008, DIS-009)."""

import json

from reference_impl.configuration_server.credentials import credential
from reference_impl.configuration_server.service import Service
from reference_impl.configuration_server.site import AGENT, ONPREM, Document, RunAs, Site, Work, WorkRefused
from reference_impl.outside import Process
from reference_impl.wire import JSON_TYPE, parse

#: Door, and the vendor's error numbers for an account that is refused and for a door that does not open.
DOORS = {"WINDOWS": (135, "95107", "95103"), "LINUX": (22, "95108", "95117")}

#: A door that does not open (ERR-002) is tried so often, with these seconds between; not for ever (DIS-009).
TRIES, RETRY_SECONDS = 3, 20.0

#: An agent that was installed has to be heard within this time.
REGISTER_SECONDS = 600.0


def ensure_agent(site: Site, machine: Document, account_id: str, *, install: bool, anew: bool = False) -> Process:
    """Rest until the machine's agent is registered and speaks; returns it. Pushes one where there is none.

    With `anew` also where there is one: it reports to another server then (TOP-017).

    `WorkRefused`: `push-install-failed`, or `agent-silent` when the agent is there and does not speak.
    """
    machine_id = machine["machineId"]
    agent = site.agent_of(machine_id)
    known = agent is not None and ONPREM in agent["seats"]
    if install and (anew or not (known and site.rules.push_once)):
        yield from _push(site, machine, account_id)
    spoken = yield from site.until(lambda: not site.silent(site.agent_of(machine_id), ONPREM), REGISTER_SECONDS)
    if not spoken:
        raise WorkRefused("agent-silent", f"the mobility agent of {machine['name']} has not spoken to the configuration server")
    return site.agent_of(machine_id)


def update_agent(site: Site, service: Service, item: Work) -> Process:
    """DIS-012: push the agent again to a machine that has one, and rest until it speaks anew."""
    machine = site.machine(item.machine_id)
    if machine is None:
        raise WorkRefused("machine-missing", f"no machine {item.machine_id} has been discovered")
    if not machine["poweredOn"]:
        raise WorkRefused("machine-powered-off", f"{machine['name']} is powered off")
    yield from _push(site, machine, str(item.input.get("runAsAccountId") or ""))
    service.running(item, 50)
    agent = site.agent_of(item.machine_id)
    if not (yield from site.heard_again(agent, ONPREM, seconds=REGISTER_SECONDS)):
        raise WorkRefused("agent-silent", f"the mobility agent of {machine['name']} has not spoken since it was installed")
    agent = site.agent_of(item.machine_id)
    return {"agentVersion": agent["seats"][ONPREM]["version"] if agent else ""}


def _push(site: Site, machine: Document, account_id: str) -> Process:
    account = site.accounts.get(account_id)
    if account is None:
        raise WorkRefused("push-install-failed", f"the configuration server has no account {account_id!r} to install with")
    port, _, code = DOORS[machine["osType"]]
    reason = "it has no address"
    for _ in range(TRIES):
        for address in _addresses(machine):
            try:
                _install(site, machine, address, account)
                return
            except OSError as error:
                reason = str(error)
        yield RETRY_SECONDS
    raise WorkRefused("push-install-failed", f"cannot reach {machine['name']} on port {port}: {reason}", code)


def _addresses(machine: Document) -> list[str]:
    """What the machine may be reached at: the addresses that its tools report, or its name where they report none."""
    reported = [address for address in machine["ipAddresses"] if "." in address]
    return reported[:1] or [name for name in (machine["hostName"], machine["name"]) if name][:1]


def _install(site: Site, machine: Document, address: str, account: RunAs) -> None:
    """One installation. `OSError` when the door does not open, `WorkRefused` when it says no."""
    port, refused, _ = DOORS[machine["osType"]]
    settings = {
        "configurationServer": site.url,
        "passphrase": credential(site, AGENT, machine["machineId"]),
        "version": site.version,
    }
    body = json.dumps({"user": account.user, "password": account.password, "settings": settings}).encode()
    reply = site.host.request("POST", f"https://{address}:{port}/install", headers={"Content-Type": JSON_TYPE}, body=body)
    if reply.status in (401, 403):
        raise WorkRefused("push-install-failed", f"{machine['name']} refuses the account {account.name}", refused)
    if reply.status >= 400:
        error = parse(reply).get("error") or {}
        said = error.get("message", reply.status) if isinstance(error, dict) else error
        raise WorkRefused("push-install-failed", f"the installation on {machine['name']} failed: {said}")


def installed(site: Site, machine_id: str) -> bool:
    """Whether an agent of the machine is registered from on premises."""
    return any(agent["machineId"] == machine_id and ONPREM in agent["seats"] for agent in site.components(AGENT))
