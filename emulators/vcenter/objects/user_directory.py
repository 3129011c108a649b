"""UserDirectory: who can be given permissions."""

from typing import Any

from emulators.vcenter.inventory import Call
from emulators.vcenter.records import Record


def search(call: Call, _directory: Any, args: Any) -> list[Record]:
    """RetrieveUserGroups: users by (part of) their name; there are no groups."""
    wanted = args["searchStr"].lower()
    domain = (args.get("domain") or "").lower()
    found = []
    for user in sorted(call.inventory.authorization.users) if args["findUsers"] else []:
        name, _, home = user.partition("@")
        matches = wanted in (user, name) if args["exactMatch"] else wanted in user
        if matches and (not domain or domain == home) and not args.get("belongsToGroup"):
            found.append(Record("UserSearchResult", principal=user, fullName=name, group=False))
    return found


DIRECTORY_OPERATIONS = {"RetrieveUserGroups": search}
