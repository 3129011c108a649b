"""The master target: receives replication data on the way back and writes it to the machines' VMDKs."""

from reference_impl.master_target.server import MasterTarget

__all__ = ["MasterTarget"]
