"""SAML tokens: asked for by pyVmomi's own client of the token service, taken by SOAP and by the Automation API."""

import base64
import gzip
import ssl
import urllib.error
import urllib.request
from types import SimpleNamespace

import pytest
import requests
from com.vmware.vapi.std import errors_client as errors
from lxml import etree
from pyVim.sso import SoapException, SsoAuthenticator
from pyVmomi import SoapStubAdapter, vim, vmodl
from vcenter_lab import USERS
from vmware.vapi.vsphere.client import create_vsphere_client

from emulators.clock import Clock
from emulators.http.sockets import Sockets
from emulators.network import ONPREM, Network
from emulators.vcenter import VCenter

ADMIN = "administrator@vsphere.local"
#: The vendor's client of the token service never closes its connections.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokens")
    clock = Clock(seed=3, flow=1.0)
    network = Network(clock, Sockets(folder / "certificates"))
    vcenter = VCenter(clock, folder / "site", users=USERS)
    listener = network.host("vcenter", ONPREM, address="127.0.0.1").listen(0, vcenter.wsgi, asgi=vcenter.asgi)
    bundle = str(network.transport.authorities.bundle())
    context = ssl.create_default_context(cafile=bundle)
    where = f"127.0.0.1:{listener.actual}"
    sts = SsoAuthenticator(f"https://{where}/sts/STSService/vsphere.local")

    def token(user=ADMIN, password=None, seconds=600):
        given = USERS[user][0] if password is None else password
        return sts.get_bearer_saml_assertion(user, given, token_duration=seconds, ssl_context=context)

    def instance(assertion):
        stub = SoapStubAdapter(
            "127.0.0.1", listener.actual, sslContext=context, samlToken=assertion, version="vim.version.version11"
        )
        return vim.ServiceInstance("ServiceInstance", stub)

    yield SimpleNamespace(token=token, instance=instance, where=where, bundle=bundle, context=context, clock=clock)
    vcenter.close()
    network.transport.close()


def test_a_token_opens_a_session_of_its_user(served):
    for user in (ADMIN, "reader"):
        content = served.instance(served.token(user)).content
        assert content.sessionManager.LoginByToken().userName == user
        assert content.sessionManager.currentSession.userName == user
        content.sessionManager.Logout()


def test_a_wrong_password_gets_no_token(served):
    with pytest.raises((SoapException, Exception), match="FailedAuthentication"):
        served.token(password="wrong")


def altered(token):
    return token.replace("reader", ADMIN)


def unsigned(token):
    root = etree.fromstring(token)
    for signature in root.findall("{http://www.w3.org/2000/09/xmldsig#}Signature"):
        root.remove(signature)
    return etree.tostring(root).decode()


def wrapped(token):
    """A right assertion inside one that says something else."""
    outer = etree.fromstring(unsigned(altered(token)))
    outer.set("ID", "_other")
    outer.append(etree.fromstring(token))
    return etree.tostring(outer).decode()


@pytest.mark.parametrize("change", [altered, unsigned, wrapped, lambda token: token[: len(token) // 2], lambda _token: "<a/>"])
def test_a_token_that_was_changed_opens_nothing(served, change):
    token = served.token("reader")
    instance = served.instance(change(token))
    with pytest.raises((vim.fault.InvalidLogin, vmodl.fault.InvalidRequest)):
        instance.content.sessionManager.LoginByToken()


def test_a_token_is_taken_until_its_time_is_over(served):
    token = served.token(seconds=2)
    served.clock.wait(3)
    with pytest.raises(vim.fault.InvalidLogin):
        served.instance(token).content.sessionManager.LoginByToken()


def test_who_may_nothing_has_a_token_but_no_session(served):
    with pytest.raises(vim.fault.NoPermission):
        served.instance(served.token("nobody")).content.sessionManager.LoginByToken()


def test_the_sdk_logs_in_with_a_token(served):
    session = requests.Session()
    session.trust_env, session.verify = False, served.bundle
    client = create_vsphere_client(served.where, bearer_token=served.token("reader"), session=session)
    assert client.session_svc.get().user == "reader"
    with pytest.raises(errors.Unauthenticated):
        create_vsphere_client(served.where, bearer_token=altered(served.token("reader")), session=session)
    client.session_svc.delete()
    session.close()
    del client.session_svc


@pytest.mark.parametrize(("change", "status"), [(lambda token: token, 200), (altered, 401)])
def test_rest_takes_a_packed_token(served, change, status):
    packed = base64.b64encode(gzip.compress(change(served.token("reader")).encode())).decode()
    asked = urllib.request.Request(f"https://{served.where}/rest/com/vmware/cis/session", method="POST")
    asked.add_header("Authorization", f'SIGN token="{packed}"')
    handlers = urllib.request.HTTPSHandler(context=served.context), urllib.request.ProxyHandler({})
    try:
        with urllib.request.build_opener(*handlers).open(asked) as answer:
            found = answer.status
    except urllib.error.HTTPError as error:
        with error:
            found = error.code
    assert found == status


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"<a", "InvalidRequest"),
        (b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', "InvalidRequest"),
        (b"<Envelope/>", "InvalidRequest"),
    ],
)
def test_requests_that_are_none(served, body, code):
    asked = urllib.request.Request(f"https://{served.where}/sts/STSService", data=body, method="POST")
    handlers = urllib.request.HTTPSHandler(context=served.context), urllib.request.ProxyHandler({})
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.build_opener(*handlers).open(asked)
    with raised.value as error:
        assert error.code == 500
        assert f"<faultcode>ns0:{code}</faultcode>" in error.read().decode()
