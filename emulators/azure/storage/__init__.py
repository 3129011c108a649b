"""Microsoft.Storage: storage accounts with live keys, shared access signatures, properties of their services."""

from emulators.azure.storage.accounts import StorageAccounts
from emulators.azure.storage.services import Services

__all__ = ["Services", "StorageAccounts"]
