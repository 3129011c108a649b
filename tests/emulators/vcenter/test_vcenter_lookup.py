"""The lookup service: it says where the other services are, and there they answer."""

import pytest
from lxml import etree

NAMESPACES = {"l": "urn:lookup"}
CALL = (
    '<S:Envelope xmlns:S="http://schemas.xmlsoap.org/soap/envelope/"><S:Body><{0} xmlns="urn:lookup">'
    '<_this type="LookupServiceRegistration">ServiceRegistration</_this>{1}</{0}></S:Body></S:Envelope>'
)
OF_TYPE = "<filterCriteria><serviceType><product>com.vmware.cis</product><type>{}</type></serviceType></filterCriteria>"
OF_PROTOCOL = "<filterCriteria><endpointType><protocol>{}</protocol><type>{}</type></endpointType></filterCriteria>"


def post(site, path, body):
    connection = site.client.connection("vcenter", 443)
    connection.request("POST", path, body=body, headers={"Content-Type": "text/xml", "Host": "vcenter.corp"})
    answer = connection.getresponse()
    return answer.status, answer.read()


def asked(site, method, content=""):
    status, text = post(site, "/lookupservice/sdk", CALL.format(method, content).encode())
    assert status == 200, text
    return etree.fromstring(text)


def urls(site, content=""):
    return asked(site, "List", content).xpath("//l:serviceEndpoints/l:url/text()", namespaces=NAMESPACES)


def test_services_are_found_by_type_and_by_endpoint(site):
    assert len(urls(site)) == 4
    assert urls(site, OF_TYPE.format("cs.identity")) == ["https://vcenter.corp/sts/STSService/vsphere.local"]
    assert urls(site, OF_PROTOCOL.format("vmomi", "com.vmware.vim")) == ["https://vcenter.corp/sdk"]
    assert urls(site, OF_TYPE.format("cs.none")) == []
    assert urls(site, "<filterCriteria><siteId>elsewhere</siteId></filterCriteria>") == []


def test_what_is_listed_is_served(site):
    for url in urls(site):
        status, _ = post(site, url.removeprefix("https://vcenter.corp"), b"<no/>")
        assert status in (200, 500), f"{url} answers calls"


def test_one_service_by_its_id(site):
    everything = asked(site, "List")
    identifier = everything.xpath("//l:serviceId/text()", namespaces=NAMESPACES)[1]
    one = asked(site, "Get", f"<serviceId>{identifier}</serviceId>")
    assert one.xpath("//l:serviceType/l:type/text()", namespaces=NAMESPACES) == ["cs.identity"]
    status, text = post(site, "/lookupservice/sdk", CALL.format("Get", "<serviceId>none</serviceId>").encode())
    assert (status, b"InvalidArgumentFault" in text) == (500, True)
    content = asked(site, "RetrieveServiceContent")
    assert content.xpath("//l:serviceRegistration/text()", namespaces=NAMESPACES) == ["ServiceRegistration"]


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"<a", b"InvalidRequestFault"),
        (b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', b"InvalidRequestFault"),
        (CALL.format("Create", "").encode(), b"NotSupportedFault"),
        (CALL.replace("urn:lookup", "urn:other").format("List", "").encode(), b"InvalidRequestFault"),
    ],
)
def test_calls_that_cannot_be(site, body, fault):
    status, text = post(site, "/lookupservice/sdk", body)
    assert (status, fault in text) == (500, True)
