"""The resource types of Microsoft.Automation that are built, and where they are."""

from emulators.azure.tracked import Kind

ACCOUNT = Kind(
    "Microsoft.Automation/automationAccounts",
    r"[A-Za-z][A-Za-z0-9-]{4,48}[A-Za-z0-9]",
    "Automation account names have 6 to 50 letters, digits and hyphens, start with a letter and end with a letter or digit.",
    code="BadRequest",
)
RUNBOOK = Kind(
    "Microsoft.Automation/automationAccounts/runbooks",
    r"[A-Za-z][A-Za-z0-9_-]{0,62}",
    "Runbook names have 1 to 63 letters, digits, underscores and hyphens and start with a letter.",
    code="BadRequest",
)
VARIABLE = Kind(
    "Microsoft.Automation/automationAccounts/variables",
    r"[^<>*%&:\\?.+/#\s][^<>*%&:\\?.+/#]{0,127}",
    "Variable names have 1 to 128 characters, none of them one of <>*%&:\\?.+/#.",
    code="BadRequest",
)

#: Templates below an account.
RUNBOOKS = ACCOUNT.template + "/runbooks"
RUNBOOK_PATH = RUNBOOKS + "/{runbookName}"
JOBS = ACCOUNT.template + "/jobs"
JOB_PATH = JOBS + "/{jobName}"
VARIABLES = ACCOUNT.template + "/variables"
VARIABLE_PATH = VARIABLES + "/{variableName}"


def account_of(path: str) -> str:
    """The account's id in the path of something below it."""
    return "/".join(path.split("/")[:9])
