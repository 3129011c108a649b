"""The face to agents, process servers and master targets: they register with the passphrase, report in heartbeats, and get
what they have to do as the answer. There is no call in the other direction (NET-001)."""

import hashlib
import hmac
from collections.abc import Callable
from typing import Any

from reference_impl.configuration_server.credentials import credential
from reference_impl.configuration_server.facts import note_points
from reference_impl.configuration_server.site import (
    AGENT,
    AZURE,
    FORWARD,
    MASTER_TARGET,
    ONPREM,
    PROCESS_SERVER,
    REVERSE,
    SIDE,
    Document,
    Report,
    Site,
    component_key,
)
from reference_impl.identity import KEY_BYTES, Authority, new_authority
from reference_impl.wire import Refusal, Request, Route, WireApp

HEARTBEAT_SECONDS = 30

#: Roles that are installed together with a configuration server, on its machine.
BUILT_IN = (PROCESS_SERVER, MASTER_TARGET)

#: Fields of a heartbeat that are read later, with their types.
HEARTBEAT_FIELDS: dict[str, dict[str, type | tuple[type, ...]]] = {
    AGENT: {"protection": (dict, type(None)), "symptoms": list},
    PROCESS_SERVER: {"machines": list, "symptoms": list},
    MASTER_TARGET: {"machines": list, "diskSerials": list, "symptoms": list},
}

#: What is kept of a registration, with the value when it is not said.
SEAT_FIELDS: dict[str, Any] = {
    "name": "", "address": "", "version": "", "osType": "", "port": 0, "disks": [], "dataStores": [], "retentionVolumes": [],
}  # fmt: skip


def application(site: Site) -> WireApp:
    """The WSGI application of port 443. Tokens given out before a kill stay good."""
    for component in site.documents.all("component").values():
        for zone, seat in component["seats"].items():
            site.tokens[seat["token"]] = (component_key(component["role"], component["id"]), zone)

    def authorize(request: Request) -> tuple[Document, str]:
        return _caller(site, request.token)

    return WireApp(
        [
            Route("POST", "/register", lambda request: _register(site, request), public=True, limit=1 << 16),
            Route("POST", "/heartbeat/{id}", lambda request: _heartbeat(site, request)),
        ],
        authorize,
    )


# registering ---------------------------------------------------------------------------------------------------------


def _register(site: Site, request: Request) -> Document:
    """DIS-011: nobody without the passphrase, or the credential of his machine."""
    said = request.json()
    role, machine_id, zone = request.field("role"), str(request.field("machineId")).lower(), said.get("zone", ONPREM)
    if not hmac.compare_digest(str(request.field("passphrase")).encode(), credential(site, str(role), machine_id).encode()):
        raise Refusal(401, "WrongPassphrase", "the passphrase is not that of this configuration server")
    if role not in HEARTBEAT_FIELDS or zone not in (ONPREM, AZURE) or not machine_id:
        raise Refusal(400, "Malformed", "role, machineId or zone has no meaning here")
    shown = said.get("publicKey")
    seat = {name: said.get(name) or default for name, default in SEAT_FIELDS.items()}
    for name, default in SEAT_FIELDS.items():
        if not isinstance(seat[name], type(default)):
            raise Refusal(400, "Malformed", f"{name} is not of type {type(default).__name__}")
    token = site.clock.random_bytes(32).hex()
    with site.lock:
        component = _component(site, role, machine_id)
        key = component_key(role, component["id"])
        site.tokens.pop(component["seats"].get(zone, {}).get("token", ""), None)
        component["seats"][zone] = seat | {"token": _digest(token), "registered": site.clock.now()}
        component["zone"] = zone
        site.documents.put("component", key, component)
        site.tokens[_digest(token)] = (key, zone)
        site.reports[key, zone] = Report(site.clock.now(), {"machines": [], "symptoms": [], "protection": None})
    answer = {"id": component["id"], "token": token, "heartbeatSeconds": HEARTBEAT_SECONDS}
    return answer | _certificate(site, f"{role} {machine_id}", shown)


def _certificate(site: Site, name: str, public_key: object) -> Document:
    """Who gets in on 9443: the authority's own certificate, and one for the key of the component (NET-012)."""
    authority = _authority(site)
    if not isinstance(public_key, str):
        return {"authority": authority.certificate}
    try:
        signed = authority.sign(public_key, name, site.clock.random_bytes(16))
    except ValueError:
        raise Refusal(400, "Malformed", "publicKey is not an Ed25519 key in base64") from None
    return {"authority": authority.certificate, "certificate": signed}


def _authority(site: Site) -> Authority:
    """The authority of this configuration server; it is made once and stays with its documents."""
    with site.lock:
        kept = site.documents.get("authority", "clients")
        if kept is None:
            seed = site.clock.random_bytes(KEY_BYTES)
            made = new_authority(seed, site.clock.random_bytes(16), f"components of {site.name}")
            kept = {"seed": seed.hex(), "certificate": made.certificate}
            site.documents.put("authority", "clients", kept)
        return Authority(bytes.fromhex(kept["seed"]), kept["certificate"])


def _component(site: Site, role: str, machine_id: str) -> Document:
    """What is known of a component, or a new one. The roles that come with the configuration server have one id (TOP-003)."""
    fresh: Document = {"id": site.clock.uuid(), "role": role, "machineId": machine_id, "seats": {}}
    built_in = BUILT_IN if role in BUILT_IN and machine_id == site.machine_id.lower() else (role,)
    for wanted in (role, *built_in):
        known = next((entry for entry in site.components(wanted) if entry["machineId"] == machine_id), None)
        if known is not None and wanted == role:
            return site.component(role, known["id"]) or fresh
        if known is not None:
            return fresh | {"id": known["id"]}
    return fresh


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _caller(site: Site, token: str) -> tuple[Document, str]:
    with site.lock:
        name, zone = site.tokens.get(_digest(token), ("", ""))
        component = site.documents.get("component", name)
    if component is not None:
        return component, zone
    raise Refusal(401, "Unauthorized", "the token is not known: register again")


# heartbeats ----------------------------------------------------------------------------------------------------------


def _heartbeat(site: Site, request: Request) -> Document:
    component, zone = request.caller
    if component["id"] != request.params["id"]:
        raise Refusal(403, "NotYours", "the token belongs to another component")
    body = request.json()
    for name, kind in HEARTBEAT_FIELDS[component["role"]].items():
        if not isinstance(body.setdefault(name, None if isinstance(kind, tuple) else []), kind):
            raise Refusal(400, "Malformed", f"{name} is not what it has to be")
    if not all(isinstance(entry, dict) for entry in body.get("machines", [])):
        raise Refusal(400, "Malformed", "machines has entries that are no objects")
    with site.lock:
        site.reports[component_key(component["role"], component["id"]), zone] = Report(site.clock.now(), body)
        note_points(site, [str(entry.get("machineId")) for entry in body.get("machines", [])])
        return ANSWERS[component["role"]](site, component, zone)


def _agent_answer(site: Site, agent: Document, zone: str) -> Document:
    """Settings of the machine's replication, for the agent on the side that writes now."""
    protection = site.documents.get("protection", agent["machineId"])
    if protection is None or protection["stage"] == "installing" or SIDE[protection["direction"]] != zone:
        return {"protection": None, "resynchronize": False}
    server = site.component(PROCESS_SERVER, protection.get("movesTo") or protection["processServerId"])
    seat = _seat(server)
    if seat is None or not _others_ready(site, protection, server):
        return {"protection": None, "resynchronize": False}
    resynchronize = bool(protection.get("resynchronize"))
    if resynchronize:
        site.documents.change("protection", agent["machineId"], resynchronize=False)
    site.delivered(protection, AGENT)
    settings = {
        "generation": protection["generation"],
        "direction": protection["direction"],
        "disks": protection["disks"],
        "processServer": {
            "address": _address(seat),
            "port": seat["port"] or site.rules.data_port,
            "token": protection["agentToken"],
        },
        "policy": protection["policy"],
        "group": _group(site, protection),
        "stop": protection["stage"] == "stopped",
    }
    return {"protection": settings, "resynchronize": resynchronize}


def _others_ready(site: Site, protection: Document, server: Document | None) -> bool:
    """The process server gets its settings first, so that it knows the agent's token; a silent one is not waited for."""
    if protection["stage"] == "stopped" or AGENT in protection["delivered"] or protection.get("movesTo"):
        return True
    heard = site.report(server, server["zone"]) if server else None
    quiet = heard is None or site.clock.now() - heard.at > 3 * HEARTBEAT_SECONDS
    return quiet or PROCESS_SERVER in protection["delivered"]


def _group(site: Site, protection: Document) -> Document | None:
    """MVM-002: the members that replicate in the same direction now; for each the token to call it with on 20004, and the one
    it calls with. Each ordered pair of members has a token of its own."""
    wanted = protection["group"]
    if wanted is None:
        return None
    members = []
    for other in sorted(site.documents.all("protection").values(), key=lambda entry: str(entry["machineId"])):
        same = other["group"] is not None and other["group"]["groupId"] == wanted["groupId"]
        agent = site.agent_of(other["machineId"])
        seat = agent["seats"].get(SIDE[other["direction"]]) if agent else None
        if same and seat and other["direction"] == protection["direction"] and other["stage"] != "stopped":
            members.append(
                {"machineId": other["machineId"], "name": seat["name"], "address": _address(seat)}
                | {"token": _pair_token(other, protection), "accept": _pair_token(protection, other)}
            )
    coordinator = members[0]["machineId"] if members else protection["machineId"]
    return {"groupId": wanted["groupId"], "members": members, "coordinator": coordinator}


def _pair_token(called: Document, caller: Document) -> str:
    secret = bytes.fromhex(called["groupToken"])
    return hmac.new(secret, str(caller["machineId"]).encode(), hashlib.sha256).hexdigest()


def _process_server_answer(site: Site, server: Document, zone: str) -> Document:
    machines = []
    for protection in site.documents.all("protection").values():
        if protection["processServerId"] != server["id"] or protection["stage"] in ("installing", "stopped", "committing"):
            continue
        sink = _sink(site, protection)
        if sink is None:
            continue
        site.delivered(protection, PROCESS_SERVER)
        names = ("machineId", "generation", "direction", "agentToken", "disks", "dataKey")
        machines.append({name: protection[name] for name in names} | {"sink": sink, "flush": bool(protection.get("flush"))})
    return {"machines": machines}


def _sink(site: Site, protection: Document) -> Document | None:
    if protection["direction"] == FORWARD:
        return {"kind": "storage", "cache": protection["cache"]}
    seat = _seat(site.component(MASTER_TARGET, protection["masterTargetId"]))
    if seat is None or MASTER_TARGET not in protection["delivered"]:
        return None
    port = seat["port"] or site.rules.data_port
    return {"kind": "master-target", "address": _address(seat), "port": port, "token": protection["targetToken"]}


def _master_target_answer(site: Site, target: Document, zone: str) -> Document:
    machines = []
    for protection in site.documents.all("protection").values():
        if protection["direction"] != REVERSE or protection["masterTargetId"] != target["id"]:
            continue
        if protection["stage"] == "installing":
            continue
        site.delivered(protection, MASTER_TARGET)
        machines.append(
            {
                "machineId": protection["machineId"],
                "generation": protection["generation"],
                "psToken": protection["targetToken"],
                "disks": [
                    {"diskId": disk["diskId"], "serial": disk["diskId"], "sizeBytes": disk["sizeBytes"]}
                    for disk in protection["disks"]
                ],
                "retentionVolume": protection["retentionVolume"],
                "dataKey": protection["dataKey"],
                "settle": bool(protection.get("settle")),
                "release": bool(protection.get("release")),
                "commit": protection["stage"] == "committing",
                "forget": False,
            }
        )
    return {"machines": machines}


def _seat(component: Document | None) -> Document | None:
    """Where a component was last registered."""
    return None if component is None else component["seats"].get(component["zone"])


def _address(seat: Document) -> str:
    return str(seat["address"] or seat["name"])


ANSWERS: dict[str, Callable[[Site, Document, str], Document]] = {
    AGENT: _agent_answer,
    PROCESS_SERVER: _process_server_answer,
    MASTER_TARGET: _master_target_answer,
}
