"""Storage policies, asked by pyVmomi with the session of its vCenter."""

import pytest
from pyVmomi import VmomiSupport, pbm, vmodl
from vcenter_lab import stub_over

REQUIREMENT = "REQUIREMENT"


def service(site, si=None):
    """The service instance of PBM, with the session of `si`."""
    stub = stub_over(site.client, version="pbm.version.version2")
    stub.path = "/pbm/sdk"
    context = VmomiSupport.GetRequestContext()
    context.pop("vcSessionCookie", None)
    if si is not None:
        context["vcSessionCookie"] = si._stub.cookie.split("=", 1)[1].split(";")[0]
    return pbm.ServiceInstance("ServiceInstance", stub)


@pytest.fixture(autouse=True)
def without_context():
    yield
    VmomiSupport.GetRequestContext().pop("vcSessionCookie", None)


def storage():
    return pbm.profile.ResourceType(resourceType="STORAGE")


def spec(name):
    unique = pbm.capability.CapabilityMetadata.UniqueId(namespace="tags", id="gold")
    value = pbm.capability.PropertyInstance(id="tier", value="gold")
    capability = pbm.capability.CapabilityInstance(
        id=unique, constraint=[pbm.capability.ConstraintInstance(propertyInstance=[value])]
    )
    rules = pbm.profile.SubProfileCapabilityConstraints(
        subProfiles=[pbm.profile.SubProfileCapabilityConstraints.SubProfile(name="one", capability=[capability])]
    )
    return pbm.profile.CapabilityBasedProfileCreateSpec(
        name=name, description="fast", category=REQUIREMENT, resourceType=storage(), constraints=rules
    )


def test_policies_are_made_found_changed_and_deleted(site, si):
    manager = service(site, si).PbmRetrieveServiceContent().profileManager
    assert manager.PbmQueryProfile(storage(), REQUIREMENT) == []
    made = manager.PbmCreate(spec("gold"))
    (found,) = manager.PbmQueryProfile(storage(), REQUIREMENT)
    assert found.uniqueId == made.uniqueId
    (profile,) = manager.PbmRetrieveContent([made])
    assert (profile.name, profile.createdBy, profile.isDefault) == ("gold", "administrator@vsphere.local", False)
    assert profile.constraints.subProfiles[0].capability[0].constraint[0].propertyInstance[0].value == "gold"
    with pytest.raises(pbm.fault.DuplicateName):
        manager.PbmCreate(spec("gold"))
    manager.PbmUpdate(made, pbm.profile.CapabilityBasedProfileUpdateSpec(name="silver"))
    (profile,) = manager.PbmRetrieveContent([made])
    assert (profile.name, profile.generationId) == ("silver", 1)
    assert [outcome.fault for outcome in manager.PbmDelete([made])] == [None]
    assert isinstance(manager.PbmDelete([made])[0].fault, vmodl.fault.InvalidArgument)
    assert manager.PbmQueryProfile(storage(), REQUIREMENT) == []
    with pytest.raises(vmodl.fault.InvalidArgument):
        manager.PbmRetrieveContent([made])


RAW = (
    '<S:Envelope xmlns:S="http://schemas.xmlsoap.org/soap/envelope/"><S:Header><vcSessionCookie>{}</vcSessionCookie></S:Header>'
    '<S:Body><{} xmlns="{}"><_this type="PbmProfileProfileManager">{}</_this>{}</{}></S:Body></S:Envelope>'
)
CREATE = (
    "<createSpec><name>gold</name><resourceType><resourceType>STORAGE</resourceType></resourceType>"
    '<constraints xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="PbmCapabilitySubProfileConstraints"/>'
    "</createSpec>"
)


def ask(site, method, content="", cookie="", namespace="urn:pbm", moid="ProfileManager"):
    """Status and text of a call; the vendor's client cannot read faults of the other namespace."""
    connection = site.client.connection("vcenter", 443)
    body = RAW.format(cookie, method, namespace, moid, content, method)
    connection.request("POST", "/pbm/sdk", body=body.encode(), headers={"Content-Type": "text/xml"})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_policies_ask_for_a_session_and_its_privileges(site, si):
    manager = service(site, si).PbmRetrieveServiceContent().profileManager
    status, text = ask(site, "PbmCreate", CREATE)
    assert (status, "NotAuthenticatedFault" in text) == (500, True)
    reader = site.login("reader")
    cookie = reader._stub.cookie.split("=", 1)[1].split(";")[0].strip('"')
    status, text = ask(site, "PbmCreate", CREATE, cookie)
    assert (status, "NoPermissionFault" in text, "StorageProfile.Update" in text) == (500, True, True)
    assert manager.PbmQueryProfile(storage(), REQUIREMENT) == []
    admin = si._stub.cookie.split("=", 1)[1].split(";")[0].strip('"')
    assert ask(site, "PbmCreate", CREATE, admin)[0] == 200
    assert len(manager.PbmQueryProfile(storage(), REQUIREMENT)) == 1


@pytest.mark.parametrize(
    ("asked", "fault"),
    [
        ({"method": "PbmExplode"}, "MethodNotFoundFault"),
        ({"method": "PbmQueryProfile", "namespace": "urn:vim25"}, "InvalidRequestFault"),
        ({"method": "PbmQueryProfile", "moid": "ServiceInstance"}, "InvalidRequestFault"),
        ({"method": "PbmCreate", "content": "<createSpec/>"}, "InvalidArgumentFault"),
    ],
)
def test_calls_that_cannot_be(site, si, asked, fault):
    admin = si._stub.cookie.split("=", 1)[1].split(";")[0].strip('"')
    status, text = ask(site, cookie=admin, **asked)
    assert (status, fault in text) == (500, True), text


def test_what_is_not_built_is_named(site, si):
    manager = service(site, si).PbmRetrieveServiceContent().profileManager
    with pytest.raises(vmodl.fault.NotSupported, match="PbmFetchVendorInfo"):
        manager.PbmFetchVendorInfo()
