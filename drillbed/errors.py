"""Errors a user can cause. Each is one clear line that says what to do; none is shown with a traceback."""


class UsageError(Exception):
    """Something given to drillbed cannot be used. Exit code 2."""


class TroubleError(Exception):
    """The machine does not let drillbed work (no Node, no space, a taken port). Exit code 3."""
