"""The reference product for the harness: its driver (`Reference`), and an estate as the world around it (`EstateWorlds`).

    drillbed conform                       # reference in an estate, virtual time
    drillbed conform --way embedded        # the same over TLS sockets

Entry points name both: `drillbed.products: reference`, `drillbed.worlds: estate`. Another product may be judged in an estate too.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from drillbed.product.arm import ArmSession
from drillbed.product.estate_lab import EstateLab
from drillbed.product.words import CAPABILITIES
from drillbed.product.world import EstateWorld, EstateWorlds
from harness.product import Description, Setup

__all__ = ["ArmSession", "EstateLab", "EstateWorld", "EstateWorlds", "Reference"]


class Reference:
    """The product that is built from `reference_impl` and the emulated Site Recovery service."""

    def describe(self) -> Description:
        claims = ("core", "failback", "plans", "multi-vm")
        return Description("reference", "0.1.0", claims=claims, capabilities=CAPABILITIES, world="estate")

    @contextmanager
    def open(self, world: EstateWorld, setup: Setup) -> Iterator[ArmSession]:
        """The driver operates the estate that is the world, through Resource Manager."""
        yield ArmSession(EstateLab(world))
