"""Microsoft.OffAzure: what a replication appliance discovered, as VMware sites with machines and run-as accounts.

`VMwareSites(service)` reads the state of Site Recovery; nothing is made or changed here.
"""

from emulators.azure.offazure.sites import VMwareSites

__all__ = ["VMwareSites"]
