"""Access tokens: signed by the estate's own RSA key, read back and judged by the estate's clock."""

import base64
import threading
from functools import cached_property
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from emulators.azure.arm import Json, Refusal
from emulators.clock import Clock

#: Audiences that mean Resource Manager whatever URL it listens on.
MANAGEMENT = frozenset({"https://management.azure.com", "https://management.core.windows.net"})

#: Verified tokens that are remembered, so that a client's next call costs no signature check.
_REMEMBERED = 256


class Issuer:
    """Signs and checks the tokens of one tenant. Tokens are valid for `seconds` of emulated time; without `key` one is made."""

    def __init__(self, clock: Clock, tenant: str, *, seconds: int, key: rsa.RSAPrivateKey | None = None):
        self.tenant, self.seconds = tenant, seconds
        self.issuer = f"https://sts.windows.net/{tenant}/"
        self._clock, self._given = clock, key
        self._lock = threading.Lock()
        self._seen: dict[str, Json] = {}

    @cached_property
    def _key(self) -> rsa.RSAPrivateKey:
        return self._given or rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @cached_property
    def key_id(self) -> str:
        numbers = self._key.public_key().public_numbers()
        return _base64url(numbers.n)[:27]

    def keys(self) -> Json:
        """The JSON Web Key Set that lets others check the signatures."""
        with self._lock:
            numbers = self._key.public_key().public_numbers()
            key = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.key_id, "x5t": self.key_id}
            return {"keys": [{**key, "n": _base64url(numbers.n), "e": _base64url(numbers.e), "issuer": self.issuer}]}

    def issue(self, client_id: str, object_id: str, audience: str, *, version: str, **more: str) -> str:
        """A signed token for a service principal; `more` are further claims, such as those of a user."""
        now = int(self._clock.now())
        claims = {
            "aud": audience,
            "iss": self.issuer,
            "iat": now,
            "nbf": now,
            "exp": now + self.seconds,
            "appid": client_id,
            "appidacr": "1",
            "idp": self.issuer,
            "idtyp": "app",
            "oid": object_id,
            "sub": object_id,
            "tid": self.tenant,
            "uti": self._clock.uuid(),
            "ver": version,
            **more,
        }
        with self._lock:
            return jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": self.key_id, "x5t": self.key_id})

    def check(self, token: str, base_url: str, audiences: frozenset[str] = MANAGEMENT) -> Json:
        """The claims of a token for Resource Manager (or whom `audiences` name) at `base_url`.

        Raises `Refusal` 401 with the code Azure has for what is wrong.
        """
        claims = self._genuine(token)
        if claims.get("iss") != self.issuer or claims.get("tid") != self.tenant:
            raise Refusal(
                401,
                "InvalidAuthenticationTokenTenant",
                f"The access token is from the wrong issuer '{claims.get('iss')}'. It must match the tenant '{self.issuer}' "
                "associated with this subscription. Please use the authority (URL) of that tenant to get the token.",
            )
        audience = str(claims.get("aud", "")).rstrip("/")
        if audience not in audiences and audience.lower() != base_url.lower():
            raise Refusal(
                401,
                "InvalidAuthenticationTokenAudience",
                f"The access token has been obtained for wrong audience or resource '{claims.get('aud')}'. "
                f"It should exactly match with one of the allowed audiences '{base_url}/','https://management.azure.com/'.",
            )
        now = self._clock.now()
        if now >= claims["exp"]:
            raise Refusal(
                401,
                "ExpiredAuthenticationToken",
                f"The access token expiry UTC time '{claims['exp']}' is earlier than current UTC time '{int(now)}'.",
            )
        if now < claims["nbf"] - 300:
            raise Refusal(401, "InvalidAuthenticationToken", "The access token is not valid yet.")
        return claims

    def _genuine(self, token: str) -> Json:
        with self._lock:
            known = self._seen.get(token)
            if known is not None:
                return known
            try:
                claims: dict[str, Any] = jwt.decode(
                    token,
                    self._key.public_key(),
                    algorithms=["RS256"],
                    # Time and audience are judged above: by the estate's clock, and with Azure's own error codes.
                    options={
                        "verify_exp": False,
                        "verify_nbf": False,
                        "verify_iat": False,
                        "verify_aud": False,
                        "require": ["exp", "nbf"],
                    },
                )
            except jwt.PyJWTError:
                raise Refusal(401, "InvalidAuthenticationToken", "The access token is invalid.") from None
            if not all(isinstance(claims[name], int) for name in ("exp", "nbf")):
                raise Refusal(401, "InvalidAuthenticationToken", "The access token is invalid.")
            if len(self._seen) >= _REMEMBERED:
                self._seen.pop(next(iter(self._seen)))
            self._seen[token] = claims
            return claims


def audience_of(scope: str) -> str:
    """The resource a v2 scope asks for: `https://management.azure.com/.default` asks for `https://management.azure.com`."""
    first = next((part for part in scope.split() if part.endswith("/.default")), scope.split()[0] if scope.split() else "")
    return first.removesuffix("/.default")


def _base64url(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes((number.bit_length() + 7) // 8, "big")).rstrip(b"=").decode()
