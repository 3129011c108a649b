"""Entra: discovery, tokens, what is refused, and what Resource Manager thinks of a token."""

from typing import Any

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from emulators.azure.cloud import CLIENT, TENANT

MANAGEMENT = "https://management.azure.com/.default"


def parsed(reply: Any) -> Any:
    return orjson.loads(reply.body)


def test_discovery_leads_to_tokens_that_the_published_keys_verify(world: Any) -> None:
    for path in (f"/{TENANT}/v2.0", "/common/v2.0", "/adfs", f"/{TENANT}"):
        document = parsed(world.owner.host.request("GET", f"https://login.drillbed{path}/.well-known/openid-configuration"))
        assert {"issuer", "authorization_endpoint", "token_endpoint", "device_authorization_endpoint", "jwks_uri"} <= set(
            document
        )
    token = world.owner.token()
    keys = parsed(world.owner.host.request("GET", f"https://login.drillbed/{TENANT}/discovery/v2.0/keys"))["keys"]
    public = jwt.PyJWK(keys[0]).key
    claims = jwt.decode(
        token, public, algorithms=["RS256"], audience="https://management.azure.com", options={"verify_exp": False}
    )
    assert claims["iss"] == f"https://sts.windows.net/{TENANT}/"
    assert (claims["tid"], claims["appid"], claims["oid"]) == (TENANT, CLIENT, claims["sub"])
    assert claims["exp"] - claims["iat"] == 86_399
    assert claims["iat"] == int(world.clock.now())


def test_version_one_answers_strings_and_takes_any_resource(world: Any) -> None:
    fields = {
        "grant_type": "client_credentials",
        "client_id": CLIENT,
        "client_secret": world.owner.secret,
        "resource": "https://x/",
    }
    for tenant in (TENANT, "adfs"):
        answer = parsed(world.owner.form(f"/{tenant}/oauth2/token", **fields))
        assert answer["expires_in"] == "86399"
        assert answer["expires_on"] == str(int(world.clock.now()) + 86_399)
        assert jwt.decode(answer["access_token"], options={"verify_signature": False})["aud"] == "https://x/"
    second = parsed(world.owner.form(f"/{TENANT}/oauth2/v2.0/token", **fields, scope=MANAGEMENT))
    assert second["expires_in"] == 86_399


@pytest.mark.parametrize(
    ("path", "change", "status", "error", "code"),
    [
        (TENANT, {"client_secret": "wrong"}, 401, "invalid_client", 7000215),
        (TENANT, {"client_id": "nobody"}, 400, "unauthorized_client", 700016),
        (TENANT, {"client_secret": ""}, 401, "invalid_client", 7000218),
        (TENANT, {"grant_type": "device_code"}, 400, "unsupported_grant_type", 70003),
        (TENANT, {"grant_type": ""}, 400, "invalid_request", 900144),
        (TENANT, {"scope": ""}, 400, "invalid_request", 900144),
        (TENANT, {"scope": "   "}, 400, "invalid_request", 900144),
        ("99999999-0000-0000-0000-000000000000", {}, 400, "invalid_request", 90002),
        (TENANT, {"scope": "x" * 100_000}, 400, "invalid_request", 900144),
    ],
)  # fmt: skip
def test_what_the_token_endpoint_refuses(
    world: Any, path: str, change: dict[str, str], status: int, error: str, code: int
) -> None:
    fields = {"grant_type": "client_credentials", "client_id": CLIENT, "client_secret": world.owner.secret, "scope": MANAGEMENT}
    reply = world.owner.form(f"/{path}/oauth2/v2.0/token", **{**fields, **change})
    answer = parsed(reply)
    assert (reply.status, answer["error"], answer["error_codes"]) == (status, error, [code])
    assert answer["error_description"].startswith(f"AADSTS{code}: ")


def test_each_estate_signs_with_a_key_of_its_own(world: Any) -> None:
    other = type(world.azure.login.issuer)(world.clock, TENANT, seconds=100)
    token = other.issue(CLIENT, "object", "https://management.azure.com", version="1.0")
    assert world.error(world.owner("GET", "/subscriptions", Authorization=f"Bearer {token}")) == (
        401,
        "InvalidAuthenticationToken",
    )


def test_a_rotated_secret_replaces_the_old_one(world: Any) -> None:
    world.azure.login.rotate(CLIENT, "new")
    fields = {"grant_type": "client_credentials", "client_id": CLIENT, "scope": MANAGEMENT}
    assert world.owner.form(f"/{TENANT}/oauth2/v2.0/token", **fields, client_secret=world.owner.secret).status == 401
    assert world.owner.form(f"/{TENANT}/oauth2/v2.0/token", **fields, client_secret="new").status == 200


def test_unknown_paths_and_methods_are_answered_in_entras_form(world: Any) -> None:
    get = world.owner.host.request
    assert get("GET", "https://login.drillbed/").status == 404
    assert get("GET", f"https://login.drillbed/{TENANT}/oauth2/v2.0/token").status == 405
    assert parsed(get("GET", "https://login.drillbed/nope/v2.0/.well-known/openid-configuration"))["error_codes"] == [90002]


def forged(world: Any, key: Any, **change: Any) -> str:
    now = int(world.clock.now())
    claims = {
        "iss": f"https://sts.windows.net/{TENANT}/",
        "aud": "https://management.azure.com",
        "tid": TENANT,
        "oid": "o",
        "nbf": now,
        "exp": now + 3600,
        **change,
    }
    return jwt.encode({name: value for name, value in claims.items() if value is not None}, key, algorithm="RS256")


def test_resource_manager_refuses_each_kind_of_wrong_token(world: Any) -> None:
    own = world.azure.login.issuer._key
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    cases = {
        "InvalidAuthenticationToken": [
            forged(world, other),
            "nonsense",
            "a.b.c",
            jwt.encode({"oid": "o"}, key="", algorithm="none"),
            forged(world, own, exp=None),
            forged(world, own, exp="late"),
            forged(world, own, nbf=int(world.clock.now()) + 4000),
        ],
        "InvalidAuthenticationTokenTenant": [
            forged(world, own, tid="99999999-0000-0000-0000-000000000000"),
            forged(world, own, iss="https://sts.windows.net/other/"),
        ],
        "InvalidAuthenticationTokenAudience": [forged(world, own, aud="https://storage.azure.com"), forged(world, own, aud=None)],
        "ExpiredAuthenticationToken": [forged(world, own, exp=int(world.clock.now()))],
    }
    for code, tokens in cases.items():
        for token in tokens:
            reply = world.owner("GET", "/subscriptions", Authorization=f"Bearer {token}")
            assert world.error(reply) == (401, code), token
            assert reply.headers["www-authenticate"].startswith("Bearer ")
            assert f"https://login.drillbed/{TENANT}" in reply.headers["www-authenticate"]
    for header in ("", "Basic abc", "Bearer", "Bearer "):
        assert world.error(world.owner("GET", "/subscriptions", Authorization=header)) == (401, "AuthenticationFailed")


def test_a_token_lasts_as_long_as_the_estates_clock_says(world: Any) -> None:
    assert world.owner("GET", "/subscriptions").status == 200
    world.clock.wait(86_398)
    assert world.owner("GET", "/subscriptions").status == 200
    world.clock.wait(1)
    reply = world.owner("GET", "/subscriptions")
    assert world.error(reply) == (401, "ExpiredAuthenticationToken")
    assert 'error="insufficient_claims"' in reply.headers["www-authenticate"]


# secrets changed over Graph ------------------------------------------------------------------------------------------------


def graph(world: Any, caller: Any, method: str, path: str, body: Any = None) -> Any:
    token = caller.token("https://graph.microsoft.com/.default")
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    data = b"" if body is None else orjson.dumps(body)
    return caller.host.request(method, f"https://login.drillbed/v1.0/{path}", headers=headers, body=data)


def login(world: Any, client_id: str, secret: str) -> tuple[int, list[int]]:
    fields = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret, "scope": MANAGEMENT}
    reply = world.owner.form(f"/{TENANT}/oauth2/v2.0/token", **fields)
    return reply.status, parsed(reply).get("error_codes", [])


def test_a_secret_is_rotated_without_interruption(world: Any) -> None:
    somebody = world.caller("Reader")
    old = somebody.secret
    by_app = f"applications(appId='{somebody.client_id}')"
    made = parsed(graph(world, world.owner, "POST", f"{by_app}/addPassword", {"passwordCredential": {"displayName": "new"}}))
    assert (made["displayName"], made["secretText"][:3]) == ("new", made["hint"])
    assert login(world, somebody.client_id, old) == login(world, somebody.client_id, made["secretText"]) == (200, [])
    shown = parsed(graph(world, somebody, "GET", by_app))
    assert [one["displayName"] for one in shown["passwordCredentials"]] == [None, "new"]
    assert {one["secretText"] for one in shown["passwordCredentials"]} == {None}
    first = shown["passwordCredentials"][0]["keyId"]
    assert graph(world, somebody, "POST", f"applications/{shown['id']}/removePassword", {"keyId": first}).status == 204
    assert login(world, somebody.client_id, old) == (401, [7000215])
    assert login(world, somebody.client_id, made["secretText"])[0] == 200


def test_a_secret_ends_when_it_says(world: Any) -> None:
    end = {"passwordCredential": {"endDateTime": "2018-06-04T09:00:00Z"}}
    made = parsed(graph(world, world.owner, "POST", f"applications(appId='{CLIENT}')/addPassword", end))
    assert login(world, CLIENT, made["secretText"])[0] == 200
    world.clock.wait(3600)
    assert login(world, CLIENT, made["secretText"]) == (401, [7000222])


def test_principals_are_found_and_strangers_change_nothing(world: Any) -> None:
    world.azure.add_user("operator@drillbed.example", "secret", ["Reader"])
    reader = world.caller("Reader")
    for text in (f"appId eq '{CLIENT}'", f"servicePrincipalNames/any(c:c eq '{CLIENT}')"):
        (found,) = parsed(graph(world, reader, "GET", f"servicePrincipals?$filter={text.replace(' ', '%20')}"))["value"]
        assert found["id"] == world.azure.login.clients[CLIENT].object_id
    user = parsed(graph(world, reader, "GET", "users/operator@drillbed.example"))
    found = parsed(graph(world, reader, "POST", "directoryObjects/getByIds", {"ids": [user["id"]]}))["value"]
    assert [one["userPrincipalName"] for one in found] == ["operator@drillbed.example"]
    refused = graph(world, reader, "POST", f"applications(appId='{CLIENT}')/addPassword", {})
    assert (refused.status, parsed(refused)["error"]["code"]) == (403, "Authorization_RequestDenied")
    for method, path, body, status in (
        ("GET", "me", None, 400),
        ("GET", "users/nobody", None, 404),
        ("GET", "users?$filter=colour%20ne%20'red'", None, 400),
        ("POST", f"applications(appId='{CLIENT}')/addPassword", ["x"], 400),
        ("POST", f"applications(appId='{CLIENT}')/removePassword", {"keyId": "none"}, 400),
        ("DELETE", "users/nobody", None, 404),
    ):
        assert graph(world, world.owner, method, path, body).status == status, path
    wrong = world.owner.host.request(
        "GET", "https://login.drillbed/v1.0/users", headers={"Authorization": f"Bearer {world.owner.token('https://x/.default')}"}
    )
    assert (wrong.status, parsed(wrong)["error"]["code"]) == (401, "InvalidAuthenticationTokenAudience")


# login on another device ---------------------------------------------------------------------------------------------------

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


def test_a_code_typed_in_elsewhere_logs_a_client_in(world: Any) -> None:
    object_id, password = world.azure.add_user("operator@drillbed.example")
    begun = parsed(
        world.owner.form("/organizations/oauth2/v2.0/devicecode", client_id="cli", scope=f"{MANAGEMENT} offline_access")
    )
    assert begun["user_code"] in begun["message"]
    page = world.owner.host.request("GET", begun["verification_uri"])
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")

    def poll() -> Any:
        fields = {"grant_type": DEVICE, "client_id": "cli", "device_code": begun["device_code"]}
        return parsed(world.owner.form("/organizations/oauth2/v2.0/token", **fields))

    def type_in(**change: str) -> int:
        fields = {"user_code": begun["user_code"].lower(), "username": "operator@drillbed.example", "password": password}
        return int(world.owner.form("/organizations/oauth2/deviceauth", **{**fields, **change}).status)

    assert poll()["error"] == "authorization_pending"
    assert type_in(password="wrong") == type_in(user_code="XXXXXXXXX") == 400
    assert poll()["error"] == "authorization_pending"
    assert type_in() == 200
    answer = poll()
    claims = jwt.decode(answer["access_token"], options={"verify_signature": False})
    assert (claims["oid"], claims["upn"], claims["aud"]) == (
        object_id,
        "operator@drillbed.example",
        "https://management.azure.com",
    )
    assert {"refresh_token", "id_token"} <= set(answer)
    assert poll()["error"] == "bad_verification_code", "a code is good once"
    assert type_in() == 400


def test_a_code_expires(world: Any) -> None:
    _, password = world.azure.add_user("operator@drillbed.example")
    begun = parsed(world.owner.form("/common/oauth2/v2.0/devicecode", client_id="cli", scope=MANAGEMENT))
    world.clock.wait(begun["expires_in"])
    fields = {"user_code": begun["user_code"], "username": "operator@drillbed.example", "password": password}
    assert world.owner.form("/common/oauth2/deviceauth", **fields).status == 400
    grant = {"grant_type": DEVICE, "client_id": "cli", "device_code": begun["device_code"]}
    assert parsed(world.owner.form("/common/oauth2/v2.0/token", **grant))["error"] == "expired_token"
    assert world.owner.form("/common/oauth2/v2.0/devicecode", client_id="cli").status == 400
