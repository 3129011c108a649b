"""Azurite as a child process: the storage of an embedded estate, on disk, over TLS, with the estate's accounts and time."""

import base64
import json
import queue
import subprocess
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from emulators.blob_storage.azure import AzureBlobs
from emulators.blob_storage.contract import BLOB_SUFFIX, QUEUE_SUFFIX, STORAGE_PORT
from emulators.blob_storage.node import AzuriteError
from emulators.blob_storage.transport import HostTransport
from emulators.clock import Clock
from emulators.network import Host

#: Real seconds: to answer after its start, to take a list of accounts, to write its index at the end.
START_PATIENCE, ANSWER_PATIENCE, STOP_PATIENCE = 60.0, 20.0, 10.0
#: Real seconds between the end of a process's connections and its own.
ENDING_PATIENCE = 0.5

WRAPPER = Path(__file__).with_name("azurite.js")


class Azurite:
    """One Azurite process: blob and queue service of all accounts on one TLS port, data in `folder`.

    `address` and `actual` tell after `start` where it listens: at `port` if the system allows it, else at a free one;
    `queue_port` is where it serves queues alone, for clients that name the account in the path.
    `certificate` and `key` are PEM files for `*.blob.drillbed` and `*.queue.drillbed`, `authority` is who signed them. `secret`
    proves to it that a request may set its time. `on_death` is called with a message, on another thread, when it ends without
    having been asked to. It ends with this process, however that ends.
    """

    def __init__(
        self,
        folder: Path,
        *,
        address: str,
        port: int = STORAGE_PORT,
        certificate: Path,
        key: Path,
        authority: Path,
        node: str,
        package: Path,
        secret: str,
        on_death: Callable[[str], None] | None = None,
    ):
        self.folder, self.address, self.port, self.secret = folder, address, port, secret
        self.actual = self.queue_port = 0
        self.failure: str | None = None
        self._command = [node, str(WRAPPER)]
        self._files = {"certificate": str(certificate), "key": str(key), "authority": str(authority), "package": str(package)}
        self._on_death = on_death
        self._process: subprocess.Popen[str] | None = None
        self._said: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._reader: threading.Thread | None = None
        self._lock = threading.Lock()
        self._stopping = False

    @property
    def pid(self) -> int:
        """The process id; 0 when it was not started."""
        return self._process.pid if self._process else 0

    def start(self) -> None:
        """Start and wait until it answers. Raises `AzuriteError` with what to do."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._stopping = False
        with (self.folder / "azurite.log").open("wb") as log:
            try:
                self._process = subprocess.Popen(  # noqa: S603
                    self._command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    start_new_session=True,  # Ctrl-C is for the estate, which stops it in order
                )
            except OSError as error:
                raise AzuriteError(f"Azurite cannot be started with {self._command[0]}: {error}") from error
        self._reader = threading.Thread(target=self._listen, args=(self._process,), name="azurite", daemon=True)
        self._reader.start()
        nobody = (
            f"nobody:{base64.b64encode(self.secret.encode()).decode()}"  # without one Azurite knows its public default account
        )
        self._tell(
            json.dumps(
                self._files
                | {
                    "folder": str(self.folder),
                    "address": self.address,
                    "port": self.port,
                    "secret": self.secret,
                    "accounts": nobody,
                }
            )
        )
        try:
            said = self._hear(START_PATIENCE)
        except AzuriteError:
            self.stop()
            raise
        if "ready" not in said:
            self.stop()
            raise AzuriteError(self._start_failure(said))
        self.address, self.actual, self.queue_port = said["address"], said["port"], int(said["queues"])

    def set_accounts(self, accounts: Mapping[str, tuple[str, str]]) -> None:
        """Make exactly these accounts known, with their keys (base64). Returns when they are."""
        line = ";".join(f"{name}:{first}:{second}" for name, (first, second) in accounts.items())
        with self._lock:
            self._tell(line or f"nobody:{base64.b64encode(self.secret.encode()).decode()}")
            self._hear(ANSWER_PATIENCE)

    def check(self) -> None:
        """Raise `AzuriteError` if it ended without having been asked to."""
        process, reader = self._process, self._reader
        if self.failure is None and not self._stopping and process is not None and _has_ended(process) and reader is not None:
            reader.join(ANSWER_PATIENCE)  # it writes down why
        if self.failure:
            raise AzuriteError(self.failure)

    def peak_memory(self) -> int:
        """The most memory the process has had so far, bytes; 0 where the system does not tell."""
        with suppress(OSError, StopIteration):
            status = Path(f"/proc/{self.pid}/status").read_text()
            peak = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
            return int(peak.split()[1]) * 1024
        return 0

    def stop(self) -> None:
        """End the process: in order first, by force if that takes too long. May be called at any time."""
        self._stopping = True
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(OSError):
            if process.stdin:
                process.stdin.close()
        process.terminate()
        try:
            process.wait(STOP_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._reader is not None:
            self._reader.join(STOP_PATIENCE)
        if process.stdout:
            process.stdout.close()

    def _tell(self, line: str) -> None:
        self.check()
        process = self._process
        if process is None or process.stdin is None:
            raise AzuriteError("Azurite is not running")
        with suppress(BrokenPipeError):  # it has just ended: hearing from it tells why
            process.stdin.write(line + "\n")
            process.stdin.flush()

    def _hear(self, patience: float) -> dict[str, Any]:
        try:
            said = self._said.get(timeout=patience)
        except queue.Empty:
            raise AzuriteError(
                f"Azurite did not answer within {patience:.0f} s; its log: {self._log_tail() or 'empty'}"
            ) from None
        if "ended" in said:
            raise AzuriteError(str(said["ended"]))
        return said

    def _listen(self, process: "subprocess.Popen[str]") -> None:
        """Runs on its own thread as long as the process does."""
        for line in process.stdout or ():
            try:
                self._said.put(json.loads(line))
            except ValueError:
                continue  # Azurite itself prints a word now and then
        code = process.wait()
        if self._stopping:
            return
        self.failure = message = self._epitaph(process.pid, code)
        self._said.put({"ended": message})
        if self._on_death is not None:
            self._on_death(message)

    def _epitaph(self, pid: int, code: int) -> str:
        """How the process ended, and what to do about it."""
        if code < 0:
            return (
                f"Azurite (process {pid}), the storage of this estate, was killed by signal {-code}: run it again; "
                "if nobody killed it the machine may be out of memory (`dmesg | tail` tells)"
            )
        tail = self._log_tail()
        return (
            f"Azurite (process {pid}), the storage of this estate, ended by itself with exit code {code}: run it again"
            f"{'; its last words: ' + tail if tail else ''}"
        )

    def _start_failure(self, said: Mapping[str, Any]) -> str:
        if said.get("code") == "EADDRINUSE":
            return (
                f"port {self.port} on {self.address} is taken by another program: "
                f"stop it (`ss -ltnp | grep :{self.port}` names it)"
            )
        return f"Azurite could not start: {said.get('error', said)}"

    def _log_tail(self) -> str:
        with suppress(OSError):
            lines = (self.folder / "azurite.log").read_text(errors="replace").strip().splitlines()
            return " / ".join(lines[-3:])
        return ""


def _has_ended(process: "subprocess.Popen[str]") -> bool:
    """Its connections break a moment before the system tells that it has ended: who asks because of them waits that moment."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(ENDING_PATIENCE)
    return process.returncode is not None


class AzuriteStorage:
    """The `StorageService` of an embedded estate, over a started Azurite."""

    def __init__(self, azurite: Azurite, clock: Clock):
        self.azurite = azurite
        self._clock = clock
        self._accounts: dict[str, tuple[str, str]] = {}
        self._transports: dict[int, HostTransport] = {}  # by the host's identity: each keeps its host alive
        self._lock = threading.Lock()

    def create_account(self, name: str, key1: str, key2: str) -> None:
        """Make an account; one that exists keeps what it holds and gets the keys."""
        self._change(name, (key1, key2))

    def set_keys(self, name: str, key1: str, key2: str) -> None:
        self._change(name, (key1, key2))

    def delete_account(self, name: str) -> None:
        self._change(name, None)

    def blob_endpoint(self, name: str) -> str:
        return f"https://{name}.{BLOB_SUFFIX}/"

    def queue_endpoint(self, name: str) -> str:
        return f"https://{name}.{QUEUE_SUFFIX}/"

    def open_store(self, host: Host, store: Mapping[str, str]) -> AzureBlobs:
        """A client of the account that a `{store}` of the component protocol names, as seen from `host`."""
        with self._lock:
            transport = self._transports.get(id(host))
            if transport is None:
                transport = self._transports[id(host)] = HostTransport(host, self._time)
        return AzureBlobs(
            host, store["account"], store["key"], store["blobEndpoint"], store["queueEndpoint"], transport=transport
        )

    def close(self) -> None:
        """Close the connections that clients keep. The process is not touched."""
        with self._lock:
            transports, self._transports = self._transports, {}
        for transport in transports.values():
            transport.close()

    def _change(self, name: str, keys: tuple[str, str] | None) -> None:
        with self._lock:
            accounts = {known: value for known, value in self._accounts.items() if known != name}
            if keys is not None:
                accounts[name] = keys
            self.azurite.set_accounts(accounts)
            self._accounts = accounts

    def _time(self) -> dict[str, str]:
        """Tells Azurite the estate's time, so that leases, visibility and time stamps are those of the estate."""
        return {"X-Drillbed-Clock": f"{int(self._clock.now() * 1000)} {self.azurite.secret}"}
