"""Microsoft.Automation: accounts, runbooks and the jobs that run them.

What a runbook does is not in here: the composition hands in `RunbookPrograms`, which runs a Python callable or a script.
"""

from emulators.azure.automation.accounts import AutomationAccounts
from emulators.azure.automation.jobs import RunbookJobs
from emulators.azure.automation.runbooks import Runbooks
from emulators.azure.automation.variables import Variables

__all__ = ["AutomationAccounts", "RunbookJobs", "Runbooks", "Variables"]
