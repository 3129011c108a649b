"""The queues of one account in memory. What was received and not deleted becomes visible again on the estate's clock."""

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from emulators.blob_storage.contract import QueueMessage
from emulators.blob_storage.errors import storage_error

QUEUE_NAME = re.compile(r"[a-z0-9](?:-?[a-z0-9]){2,62}")
MOST_TEXT = 64 * 1024
MOST_MESSAGES = 32
LIFE_SECONDS = 7 * 86400


@dataclass(slots=True)
class Stored:
    """A message of a queue; times are emulated."""

    id: str
    text: str
    visible: float
    expires: float
    receipt: str = ""
    dequeue_count: int = 0


@dataclass(slots=True)
class MemoryQueues:
    """All queues of one account. The caller holds the service's lock."""

    now: Callable[[], float]
    random: Random
    _queues: dict[str, list[Stored]] = field(default_factory=dict)

    def create(self, queue: str) -> None:
        """Creating a queue again is no error, as with Azure."""
        if not QUEUE_NAME.fullmatch(queue):
            raise storage_error("InvalidResourceName")
        self._queues.setdefault(queue, [])

    def send(self, queue: str, text: str) -> None:
        if len(text.encode()) > MOST_TEXT:
            raise storage_error("RequestBodyTooLarge")
        now = self.now()
        self._live(queue).append(Stored(self._id(), text, now, now + LIFE_SECONDS))

    def receive(self, queue: str, visibility: int, most: int) -> list[QueueMessage]:
        """The oldest visible messages first."""
        if not 1 <= most <= MOST_MESSAGES or not 1 <= visibility <= LIFE_SECONDS:
            raise storage_error("OutOfRangeQueryParameterValue")
        now = self.now()
        taken = []
        for message in [kept for kept in self._live(queue) if kept.visible <= now][:most]:
            message.visible = now + visibility
            message.receipt = self._id()
            message.dequeue_count += 1
            taken.append(QueueMessage(message.id, message.receipt, message.text, message.dequeue_count))
        return taken

    def delete(self, queue: str, message: QueueMessage) -> None:
        messages = self._live(queue)
        found = next((kept for kept in messages if kept.id == message.id), None)
        if found is None:
            raise storage_error("MessageNotFound")
        if found.receipt != message.receipt:
            raise storage_error("PopReceiptMismatch")
        messages.remove(found)

    def _live(self, queue: str) -> list[Stored]:
        """The messages of a queue, after those that outlived their time are gone."""
        if queue not in self._queues:
            raise storage_error("QueueNotFound")
        now = self.now()
        messages = self._queues[queue]
        messages[:] = [kept for kept in messages if kept.expires > now]
        return messages

    def _id(self) -> str:
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))
