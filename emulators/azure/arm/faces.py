"""Ways in: under which URLs a client knows this cloud. What an answer says of other endpoints follows the way it was asked."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Face:
    """One way in. `blob` and `queue` are endpoints with `{account}`; empty: what the storage service itself says."""

    management: str
    login: str
    blob: str = ""
    queue: str = ""
    suffix: str = "drillbed"  #: of storage endpoints
    name: str = "drillbed"  #: of the cloud, in its own words

    def endpoints(self, account: str) -> dict[str, str]:
        """Endpoints of a storage account that a client of this way in can reach."""
        found = {"blob": self.blob, "queue": self.queue}
        return {kind: template.format(account=account) for kind, template in found.items() if template}


class Faces:
    """All ways in of one estate; the first one is for callers that came by an unknown name."""

    def __init__(self, first: Face, others: Iterable[Face] = ()):
        self.all = [first, *others]

    def of(self, base_url: str) -> Face:
        """The way in that a request to `base_url` has used."""
        wanted = base_url.rstrip("/").lower()
        return next((face for face in self.all if face.management.lower() == wanted), self.all[0])

    def add(self, face: Face) -> None:
        self.all.append(face)

    def blob_endpoints(self, account: str) -> list[str]:
        """Every URL under which an account's blobs are known to somebody."""
        return [endpoints["blob"] for face in self.all if "blob" in (endpoints := face.endpoints(account))]
