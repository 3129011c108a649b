"""The resource types of Microsoft.Storage that are built."""

from emulators.azure.tracked import Kind

NAME_RULE = "Storage account name must be between 3 and 24 characters in length and use numbers and lower-case letters only."
ACCOUNT = Kind("Microsoft.Storage/storageAccounts", r"[a-z0-9]{3,24}", NAME_RULE, code="AccountNameInvalid")
