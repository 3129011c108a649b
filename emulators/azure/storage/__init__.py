"""Microsoft.Storage: storage accounts over the estate's blob and queue service."""

from emulators.azure.storage.accounts import StorageAccounts

__all__ = ["StorageAccounts"]
