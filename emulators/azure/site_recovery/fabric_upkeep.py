"""What is asked of a fabric besides reading and removing it: consistency, its certificate, its infrastructure, its providers."""

from collections.abc import Callable

from emulators.azure.arm import Answer, Call, operation, read
from emulators.azure.site_recovery.fabrics import Fabrics, certificate_ends
from emulators.azure.site_recovery.jobs import Job, Work
from emulators.azure.site_recovery.profiles import MODERNIZED
from emulators.azure.site_recovery.records import Fabric
from emulators.azure.site_recovery.refusals import refuse
from emulators.azure.site_recovery.service import Service
from emulators.azure.site_recovery.wire import FABRIC, Json

#: Kinds of fabric that a call makes in other scenarios.
_OTHER_FABRICS = ("Azure", "HyperVSite", "VMM", "FabricSpecificCreationInput")


class FabricUpkeep:
    """Fabrics come from registrations alone (TOP-008), so that making one by a call is refused."""

    namespace = "Microsoft.RecoveryServices"

    def __init__(self, service: Service):
        self.service, self._fabrics = service, Fabrics(service)

    @operation("PUT", FABRIC)
    def create(self, call: Call) -> Answer:
        self.service.vault(call)
        details = read(call.content(), "properties.customDetails", dict, {})
        kind = read(details, "instanceType", str, "")
        raise refuse("scenario-unsupported" if kind in _OTHER_FABRICS else "made-by-registration", activity=call.correlation_id)

    @operation("POST", FABRIC + "/checkConsistency")
    def check_consistency(self, call: Call) -> Answer:
        """Have the server tell anew all that it knows, and compare."""
        fabric = self.service.fabric(call)

        def work(job: Job) -> Work:
            with job.task(0):
                yield from self.service.ask(self.service.need_server(fabric), "refresh", {}, job=job)

        return self._start(call, fabric, "CheckConsistency", work)

    @operation("POST", FABRIC + "/migratetoaad")
    def migrate_to_aad(self, call: Call) -> Answer:
        """Nothing is left to migrate: servers that register today are known to the directory from the start."""
        fabric = self.service.fabric(call)

        def work(job: Job) -> Work:
            with job.task(0):
                yield from job.rest(1.0)
                self.service.need_server(fabric)

        return self._start(call, fabric, "MigrateToAad", work)

    @operation("POST", FABRIC + "/renewCertificate")
    def renew_certificate(self, call: Call) -> Answer:
        """TOP-014: three more years for a certificate that still holds; an expired one is renewed on the server only."""
        service, fabric = self.service, self.service.fabric(call)
        kind = read(call.content(), "properties.renewCertificateType", str, "Cloud")
        if kind != "Cloud":
            raise refuse("malformed", f"renewCertificateType is Cloud, not '{kind}'.", activity=call.correlation_id)
        if certificate_ends(service, fabric) <= service.now():
            raise refuse("certificate-expired", activity=call.correlation_id)

        def work(job: Job) -> Work:
            with job.task(0):
                service.need_server(fabric)
                yield from job.rest(2.0)
                fabric.certified = service.now()

        return self._start(call, fabric, "RenewCertificate", work)

    @operation("POST", FABRIC + "/removeInfra")
    def remove_infrastructure(self, call: Call) -> Answer:
        """Take the appliances of a modernized fabric away that protects nothing."""
        if self.service.fabric(call).profile is not MODERNIZED:
            raise refuse(
                "scenario-unsupported", "A configuration server is removed with its fabric.", activity=call.correlation_id
            )
        removed: Answer = self._fabrics.remove(call)
        return removed

    def _start(self, call: Call, fabric: Fabric, scenario: str, work: Callable[[Job], Work]) -> Answer:
        return self.service.start(
            call,
            self.service.vault(call),
            scenario,
            (fabric.component, fabric.friendly),
            work,
            resource=fabric.id,
            result=lambda: Answer(200, self._json(fabric)),
        )

    def _json(self, fabric: Fabric) -> Json:
        return self._fabrics.json(fabric)
