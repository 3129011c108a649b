"""The configuration server: the only on-premises part that orchestrates with Azure (TOP-003).

server = ConfigurationServer(host, scope, folder, service_url=..., registration_key=..., passphrase=..., name="cs1",
                             version="9.13.0.0", run_as_accounts={"1": ("vcenter", "user", "secret")},
                             machine_id=..., rules=Rules())
server.start()
"""

from reference_impl.configuration_server.server import ConfigurationServer

__all__ = ["ConfigurationServer"]
