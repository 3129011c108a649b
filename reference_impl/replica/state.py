"""Where a replica stands: one small blob in the cache account, changed only under its lease.

Workers keep nothing else: whoever holds the lease can go on. The blob is written before anything later than a recovery point is
applied, so applying a log a second time can never change a point.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from reference_impl import hrl, stores
from reference_impl.outside import BlobStore
from reference_impl.replica.points import Point

LEASE_SECONDS = 60


@dataclass(slots=True)
class ReplicaState:
    """The state of one generation. `fresh`: the replica holds nothing yet. `log_first`: the log that is being applied."""

    processed: int = 0
    processed_time: float = 0.0
    log_first: int = 1
    chain: bytes = hrl.GENESIS
    fresh: bool = True
    open: set[int] = field(default_factory=set)  #: disks that are not exact
    #: Disk id to the number they were published at and the blob they are in (none: all zero).
    checksums: dict[str, tuple[int, str]] = field(default_factory=dict)
    points: list[Point] = field(default_factory=list)
    done: list[tuple[int, float]] = field(default_factory=list)  #: logs to delete, and when they were finished with
    fence: int = 0  #: the sequence number of the page blobs: rises with each hold that changes something
    preparing: bool = False  #: the page blobs are not all there yet
    pinned: dict[str, float] = field(default_factory=dict)  #: points that are being copied, and until when they must stay
    tag_time: float = 0.0  #: the latest time that a tag has claimed: no point before it (REP-017)
    damaged: int = 0  #: first number of a log that must not be applied; the process server sends it again

    def encode(self) -> bytes:
        return json.dumps(
            {
                "processedSequence": self.processed,
                "processedTime": self.processed_time,
                "logFirst": self.log_first,
                "chain": self.chain.hex(),
                "fresh": self.fresh,
                "open": sorted(self.open),
                "checksums": self.checksums,
                "points": [point.document() for point in self.points],
                "done": self.done,
                "fence": self.fence,
                "preparing": self.preparing,
                "damaged": self.damaged,
                "pinned": self.pinned,
                "tagTime": self.tag_time,
            }
        ).encode()

    @staticmethod
    def decode(said: Mapping[str, Any]) -> "ReplicaState":
        """Raises `ValueError` for a blob that is none of ours."""
        try:
            return ReplicaState(
                int(said["processedSequence"]),
                float(said["processedTime"]),
                int(said["logFirst"]),
                bytes.fromhex(said["chain"]),
                bool(said["fresh"]),
                set(said["open"]),
                {disk: (int(number), str(name)) for disk, (number, name) in said["checksums"].items()},
                [Point(**point) for point in said["points"]],
                [(int(first), float(when)) for first, when in said["done"]],
                int(said["fence"]),
                bool(said["preparing"]),
                damaged=int(said["damaged"]),
                pinned={str(point): float(until) for point, until in said.get("pinned", {}).items()},
                tag_time=float(said.get("tagTime", 0.0)),
            )
        except (KeyError, TypeError, AttributeError) as fault:
            raise ValueError(f"the state of the replica cannot be read: {fault}") from None


@dataclass(slots=True)
class Held:
    """The state while its lease is held. `save` fails when somebody else took over in between."""

    store: BlobStore
    container: str
    name: str
    lease: str
    state: ReplicaState
    fence: int = 0  #: that this hold writes pages with now; 0: it has raised none yet
    written: bool = False  #: pages have been written in this hold

    def save(self) -> None:
        self.store.put_blob(self.container, self.name, self.state.encode(), lease=self.lease)

    def renew(self) -> None:
        """Before pages are written: raises when the lease has gone to another worker."""
        self.store.renew_lease(self.container, self.name, self.lease)


@contextmanager
def held(store: BlobStore, container: str, machine_id: str, generation: int) -> Iterator[Held]:
    """The state of a generation under its lease. Raises what the store raises when it is not there or another has it."""
    name = stores.state_name(machine_id, generation)
    lease = store.acquire_lease(container, name, LEASE_SECONDS)
    try:
        said = json.loads(store.get_blob(container, name))
        yield Held(store, container, name, lease, ReplicaState.decode(said))
    finally:
        with suppress(*stores.STORE_ERRORS):  # it runs out by itself, or another worker has it by now
            store.release_lease(container, name, lease)
