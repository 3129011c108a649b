"""The environment browser of a cluster: machines point at it."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from emulators.vcenter.entity import Property
from emulators.vcenter.records import Ref


@dataclass(slots=True)
class EnvironmentBrowser:
    """What a cluster can run."""

    moid: str
    owner: Ref
    cache: dict[str, Any] = field(default_factory=dict)
    kind: ClassVar[str] = "EnvironmentBrowser"


ENVIRONMENT_PROPERTIES: dict[str, Property] = {"datastoreBrowser": lambda _inventory, _browser: None}
