"""What a component has to know to register (DIS-011): the site's passphrase, or what an appliance issued for one machine."""

import hashlib
import hmac

from reference_impl.configuration_server.site import AGENT, Site


def credential(site: Site, role: str, machine_id: str) -> str:
    """For an agent of an appliance it is of its machine alone: with it no other machine can be registered."""
    if role != AGENT or not site.rules.credentials_for_each_machine:
        return site.passphrase
    return hmac.new(site.passphrase.encode(), machine_id.lower().encode(), hashlib.sha256).hexdigest()
