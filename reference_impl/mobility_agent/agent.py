"""The mobility agent: the program in a protected machine. It asks the configuration server what to do and does it.

Nobody calls it but members of its own replication group (NET-001, NET-006). It comes back after a restart with what it kept in
its folder; when it cannot know whether the guest wrote meanwhile it says so, and a resync is due (REP-013).
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reference_impl import identity, wire
from reference_impl.mobility_agent.replication import Replication
from reference_impl.mobility_agent.stream import write_file
from reference_impl.outside import Clock, Guest, Host, Process
from reference_impl.rules import Rules
from reference_impl.times import iso

REGISTER_AGAIN_SECONDS = (5.0, 15.0, 30.0)
JOURNAL_BYTES = 512 << 20
#: Answers to a heartbeat after which only a new registration helps.
UNKNOWN_TO_SERVER = (401, 403, 404)


class Agent:
    """One agent in one machine. `stop` is orderly, `kill` is a kill -9; after either a new `Agent` takes up the folder."""

    def __init__(
        self,
        host: Host,
        guest: Guest,
        clock: Clock,
        folder: Path,
        *,
        configuration_server_url: str,
        passphrase: str,
        side: str,
        version: str,
        rules: Rules,
        journal_bytes: int = JOURNAL_BYTES,
    ):
        """`side` is `onprem` or `azure`. `clock` is a scope of its own: it ends with this agent."""
        self.host, self.guest, self.clock, self.folder, self.rules = host, guest, clock, folder, rules
        self.side, self.version, self._passphrase, self._journal_bytes = side, version, passphrase, journal_bytes
        self._server = wire.Client(host, configuration_server_url.rstrip("/"))
        self.id, self._heartbeat_seconds, self._failures = "", 30.0, 0
        self.replication: Replication | None = None
        self.stopped_generation = 0  #: of the protection that was stopped, 0 for none
        self._clean, self._saved = False, ""
        self._identity: identity.Identity | None = None
        self._killed = False

    # life ------------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin: capture at once if this machine was protected before, then talk to the configuration server."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._identity = identity.kept(self.folder / "identity.json")
        self._restore()
        self.guest.on_shutdown(self._shutting_down)
        self.clock.spawn(self._control(), name="control")

    def stop(self) -> None:
        """End in order. Writes that come later are in the driver's map, as long as the machine runs."""
        if self._killed:
            return
        if self.replication is not None:
            self.replication.detach()
            self._clean = self.replication.stream.save() and self._clean
        self._save()
        self.clock.cancel_all()

    def hand_over(self) -> None:
        """End in order for a newer agent on the same folder that starts before the machine writes again (DIS-012)."""
        self._clean = self.replication is not None and not self.replication.resync_required
        self.stop()
        self.replication = None

    def kill(self) -> None:
        """End as by kill -9: what is not in the folder is gone, and no shutdown of the machine hears from it."""
        self._killed = True
        if self.replication is not None:
            self.replication.detach()
        self.clock.cancel_all()

    def _shutting_down(self) -> None:
        if self.replication is not None and not self._killed:
            self._clean = self.replication.finish()

    # configuration server --------------------------------------------------------------------------------------------

    def _control(self) -> Process:
        while True:
            if not self._server.token and not self._register():
                pause = REGISTER_AGAIN_SECONDS[min(self._failures, len(REGISTER_AGAIN_SECONDS) - 1)]
                self._failures += 1
                yield pause
                continue
            self._failures = 0
            self._beat()
            yield self._heartbeat_seconds if self._server.token else REGISTER_AGAIN_SECONDS[0]

    def _register(self) -> bool:
        said = {"passphrase": self._passphrase, "role": "agent", "machineId": self.guest.machine_id, "name": self.guest.name}
        said |= {"address": self.host.address or self.host.name, "version": self.version, "osType": self.guest.os_type}
        seed = self.clock.random_bytes(identity.KEY_BYTES)
        listing = {"zone": self.side, "port": self.rules.group_port, "disks": self._listing()}
        try:
            answer = self._server.call("POST", "/register", said | listing | {"publicKey": identity.public_key(seed)})
            self._take_identity(seed, answer.get("certificate"))
        except (OSError, wire.Refused, ValueError):
            return False
        self.id, self._server.token = str(answer["id"]), str(answer["token"])
        self._heartbeat_seconds = float(answer.get("heartbeatSeconds", 30))
        return True

    def _take_identity(self, seed: bytes, certificate: object) -> None:
        """What is shown on 9443; it outlives a restart of the agent, as its settings do. Raises `ValueError`, `OSError`."""
        if not isinstance(certificate, str):
            return
        self._identity = identity.identity_of(seed, certificate)
        if self.replication is not None:
            self.replication.shipping.identity = self._identity
        identity.keep(self.folder / "identity.json", self._identity)

    def _beat(self) -> None:
        try:
            answer = self._server.call("POST", f"/heartbeat/{wire.part(self.id)}", self._state())
        except OSError:
            return
        except wire.Refused as no:
            if no.status in UNKNOWN_TO_SERVER:
                self._server.token = ""
            return
        self._apply(answer.get("protection"))
        if answer.get("resynchronize") and self.replication is not None:
            self.replication.copy(resync=True)

    def _listing(self) -> list[dict[str, Any]]:
        return [{"unit": disk.unit, "serial": disk.serial, "sizeBytes": disk.size} for disk in self.guest.disks()]

    def _state(self) -> dict[str, Any]:
        state: dict[str, Any] = {"time": iso(self.clock.now()), "version": self.version, "side": self.side}
        state |= {"disks": self._listing(), "protection": None, "symptoms": []}
        if self.replication is not None:
            self.replication.check_sizes()
            state |= {"protection": self.replication.progress(), "symptoms": self.replication.symptoms()}
        elif self.stopped_generation:
            state["protection"] = {
                "generation": self.stopped_generation,
                "stage": "stopped",
                "disks": [],
                "resyncRequired": False,
            }
        return state

    def _apply(self, settings: Mapping[str, Any] | None) -> None:
        """Do what the answer of a heartbeat says."""
        if settings is None or settings.get("stop"):
            self._forget(int(settings["generation"]) if settings is not None else 0)
        elif self.replication is None or self.replication.stream.generation != settings["generation"]:
            self._forget(0)
            self.replication = self._replicate(dict(settings))
            self.replication.copy(resync=False)
        elif self.replication.settings != settings:
            self.replication.adopt(dict(settings))
        self._save()

    def _replicate(self, settings: dict[str, Any]) -> Replication:
        replication = Replication(
            self.host,
            self.guest,
            self.clock,
            self.folder / "journal",
            self.rules,
            settings,
            journal_bytes=self._journal_bytes,
            changed=self._save,
        )
        replication.shipping.identity = self._identity
        replication.attach()
        return replication

    def _forget(self, stopped_generation: int) -> None:
        """Replicate nothing (any more)."""
        changed = self.replication is not None or self.stopped_generation != stopped_generation
        if self.replication is not None:
            self.replication.detach()
            self.replication.stream.clear()
            self.replication.driver.forget()
        self.replication, self.stopped_generation = None, stopped_generation
        if changed:
            self._save()

    # state folder ----------------------------------------------------------------------------------------------------

    def _save(self) -> None:
        kept = {"machineId": self.guest.machine_id, "clean": self._clean, "stopped": self.stopped_generation}
        if self.replication is not None:
            kept |= self.replication.kept()
        text = json.dumps(kept)
        if text == self._saved:
            return
        partial = self.folder / "state.tmp"
        try:
            partial.touch(mode=0o600)
            write_file(partial, text.encode())
            os.replace(partial, self.folder / "state.json")
        except OSError:
            return  # the disk is full: the next heartbeat tries again, and until then the older state stands
        self._saved = text

    def _restore(self) -> None:
        try:
            kept = json.loads((self.folder / "state.json").read_text())
        except (OSError, ValueError):
            return
        if kept.get("machineId") != self.guest.machine_id:
            return  # CFG-020: the disks are those of a clone, and what they remember is another machine's
        self.stopped_generation = int(kept.get("stopped", 0))
        if kept.get("settings"):
            self.replication = self._replicate(kept["settings"])
            self.replication.take_up(kept, clean=bool(kept.get("clean")))
            self._save()
