"""The emulated Azure: Resource Manager, Entra, compute, network, storage, vaults."""

from emulators.azure.cloud import Azure

__all__ = ["Azure"]
