"""Tokens in requests: what passes, what is denied and how, beside a real Envoy."""

import base64
import contextlib
import hashlib
import hmac
import json
import re
import time

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from envoykit import Envoy
from proxykit import Client, Origin, Proxy, cluster, eventually, free_port, http_filter, listener, route

AUTHN = "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3."
ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
BOTH = pytest.mark.parametrize("program", [Proxy, Envoy], ids=["weft-proxy", "envoy"])
RSA = rsa.generate_private_key(65537, 2048)
OTHER = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())


def text(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value, size=None):
    return text(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


def key_set(*entries):
    return json.dumps({"keys": list(entries)})


def rsa_key(key, kid):
    public = key.public_key().public_numbers()
    return {"kty": "RSA", "kid": kid, "alg": "RS256", "n": number(public.n), "e": number(public.e)}


def ec_key(key, kid):
    public = key.public_key().public_numbers()
    return {"kty": "EC", "kid": kid, "crv": "P-256", "x": number(public.x, 32), "y": number(public.y, 32)}


def token(key=RSA, algorithm="RS256", kid="one", **claims):
    claims = {"iss": "https://one.example", "sub": "ann", "exp": int(time.time()) + 3600, **claims}
    return jwt.encode({k: v for k, v in claims.items() if v is not None}, key, algorithm,
                      headers={"kid": kid} if kid else None)


def unsigned(**header):
    """A token that nobody signed, or with a public key for a secret."""
    parts = [text(json.dumps({"typ": "JWT", **header}).encode()),
             text(json.dumps({"iss": "https://one.example", "aud": "shop", "exp": int(time.time()) + 3600}).encode())]
    secret = RSA.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    sum = hmac.new(secret, ".".join(parts).encode(), hashlib.sha256).digest()
    return ".".join([*parts, "" if header["alg"] == "none" else text(sum)])


def spoiled(made):
    """With another signature of the same length."""
    place = made.rindex(".") + 20
    return made[:place] + ("A" if made[place] != "A" else "B") + made[place + 1:]


def provider(issuer, *keys, **more):
    return {"issuer": issuer, "local_jwks": {"inline_string": key_set(*keys)}, **more}


PROVIDERS = {
    "one": provider("https://one.example", rsa_key(RSA, "one"), audiences=["shop"], forward_payload_header="x-payload",
                    claim_to_headers=[{"header_name": "x-sub", "claim_name": "sub"},
                                      {"header_name": "x-level", "claim_name": "role.level"}]),
    "two": provider("https://two.example", ec_key(EC, "two"), forward=True, from_params=["token"], from_cookies=["session"],
                    from_headers=[{"name": "x-token"}, {"name": "x-scheme", "value_prefix": "Token "}]),
    "any": {**provider("", rsa_key(RSA, "one")), "clock_skew_seconds": 10, "require_expiration": True},
}


def named(name):
    return {"provider_name": name}


def all_of(*requirements):
    return {"requires_all": {"requirements": list(requirements)}}


def any_of(*requirements):
    return {"requires_any": {"requirements": list(requirements)}}


RULES = [
    ({"path": "/open"}, None),
    ({"prefix": "/one"}, named("one")),
    ({"prefix": "/two"}, named("two")),
    ({"prefix": "/strict"}, named("any")),
    ({"prefix": "/stock"}, {"provider_and_audiences": {"provider_name": "one", "audiences": ["stock"]}}),
    ({"prefix": "/both"}, all_of(named("one"), named("two"))),
    ({"prefix": "/either"}, any_of(named("one"), named("two"))),
    ({"prefix": "/maybe"}, any_of(named("one"), {"allow_missing": {}})),
    ({"prefix": "/lax"}, {"allow_missing_or_failed": {}}),
]


def rules(*more):
    return [{"match": match, **({"requires": requires} if requires else {})} for match, requires in [*RULES, *more]]


@contextlib.contextmanager
def guarded(program, settings, routes=None, clusters=()):
    """A proxy that asks for tokens in front of an origin that answers with the head it got; gives (proxy, port)."""
    def tells(peer):
        while True:
            head, _ = peer.request()
            peer.answer(head)

    with Origin(tells) as origin:
        front = free_port()
        filters = [{"name": "jwt", "typed_config": {"@type": AUTHN + "JwtAuthentication", **settings}},
                   {"name": "router", "typed_config": {"@type": ROUTER}}]
        hcm = http_filter(routes or [route()], http_filters=filters)
        with program([listener(front, hcm)], [cluster("origin", origin.port), *clusters]) as proxy:
            yield proxy, front


def ask(client, path, bearer=None, fields="", method="GET"):
    fields += f"authorization: Bearer {bearer}\r\n" if bearer is not None else ""
    client.send(f"{method} {path} HTTP/1.1\r\nhost: house\r\n{fields}\r\n")
    return client.response()


def good(**claims):
    return token(aud="shop", **claims)


def cases():
    """Path, bearer, further fields, status, words of the denial."""
    old = int(time.time()) - 3600
    two = token(EC, "ES256", "two", iss="https://two.example")
    form = "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections"
    return [
        ("/open", None, "", 200, None),
        ("/elsewhere", None, "", 200, None),
        ("/one", None, "", 401, "Jwt is missing"),
        ("/one", good(), "", 200, None),
        ("/one?access_token=" + good(), None, "", 200, None),
        ("/one", good(exp=old), "", 401, "Jwt is expired"),
        ("/one", good(nbf=int(time.time()) + 3600), "", 401, "Jwt not yet valid"),
        ("/one", good(exp=int(time.time()) - 30), "", 200, None),
        ("/one", good(iss="https://evil.example"), "", 401, "Jwt issuer is not configured"),
        ("/one", token(aud="stock"), "", 403, "Audiences in Jwt are not allowed"),
        ("/one", token(aud=["x", "https://shop/"]), "", 200, None),
        ("/one", spoiled(good()), "", 401, "Jwt verification fails"),
        ("/one", token(OTHER, aud="shop"), "", 401, "Jwt verification fails"),
        ("/one", token(kid="nobody", aud="shop"), "", 401, "Jwks doesn't have key to match kid or alg from Jwt"),
        ("/one", token(kid=None, aud="shop"), "", 200, None),
        ("/one", unsigned(alg="none"), "", 401, form),
        ("/one", unsigned(alg="none") + "AAAA", "", 401, "Jwt header [alg] is not supported"),
        ("/one", unsigned(alg="HS256", kid="one"), "", 401, "Jwks doesn't have key to match kid or alg from Jwt"),
        ("/one", "not-a-token", "", 401, form),
        ("/two?token=" + two, None, "", 200, None),
        ("/two", None, f"cookie: a=b; session={two}\r\n", 200, None),
        ("/two", None, f"x-token: {two}\r\n", 200, None),
        ("/two", None, f"x-scheme: Token {two}\r\n", 200, None),
        ("/two", two, "", 401, "Jwt is missing"),
        ("/strict", token(exp=None), "", 401, "Jwt verification fails"),
        ("/strict", token(exp=int(time.time()) - 30), "", 401, "Jwt is expired"),
        ("/strict", token(iss="anybody"), "", 200, None),
        ("/stock", token(aud="stock"), "", 200, None),
        ("/stock", good(), "", 403, "Audiences in Jwt are not allowed"),
        ("/both", good(), "", 401, "Jwt is missing"),
        ("/both", good(), f"x-token: {two}\r\n", 200, None),
        ("/either", None, f"x-token: {two}\r\n", 200, None),
        ("/either", None, "", 401, "Jwt is missing"),
        ("/either", good(exp=old), "", 401, "Jwt is expired"),
        ("/maybe", None, "", 200, None),
        ("/maybe", good(), "", 200, None),
        ("/maybe", good(exp=old), "", 401, "Jwt is expired"),
        ("/lax", None, "", 200, None),
        ("/lax", good(exp=old), "", 200, None),
    ]


@BOTH
def test_only_good_tokens_pass(program):
    """Providers, places, claims, requirements; who is denied hears why, in Envoy's words."""
    with guarded(program, {"providers": PROVIDERS, "rules": rules()}) as (proxy, port), Client(port) as client:
        wanted = cases()
        for path, bearer, fields, status, words in wanted:
            got, answer, body = ask(client, path, bearer, fields)
            shown = (path[:20], fields[:20], status, words)
            assert (got, body.decode() if words else None) == (status, words), shown
            realm = f'Bearer realm="http://house{path}"'
            if status == 401:
                error = "" if words == "Jwt is missing" else ', error="invalid_token"'
                assert answer["www-authenticate"] == realm + error, shown
        counted = proxy.admin("/stats?filter=jwt_authn")
        passed = sum(case[3] == 200 for case in wanted)
        assert f"http.test.jwt_authn.allowed: {passed}\n" in counted, counted
        assert f"http.test.jwt_authn.denied: {len(wanted) - passed}\n" in counted


@BOTH
def test_the_endpoint_hears_claims_from_the_proxy_only(program):
    """The payload and claims in fields of their own, which no client can forge; the token stays behind unless forwarded."""
    with guarded(program, {"providers": PROVIDERS, "rules": rules()}) as (_, port), Client(port) as client:
        forged = "x-payload: forged-payload\r\nx-sub: forged-sub\r\nx-level: forged-level\r\n"
        head = ask(client, "/one", good(role={"level": 3}), forged)[2].decode().lower()
        assert "forged-" not in head and "\r\nauthorization:" not in head
        assert "\r\nx-sub: ann\r\n" in head and "\r\nx-level: 3\r\n" in head
        head = ask(client, "/one", good())[2].decode()
        payload = re.search(r"\r\nx-payload: ([^\r]+)", head).group(1)
        assert json.loads(base64.urlsafe_b64decode(payload + "=="))["sub"] == "ann"
        two = token(EC, "ES256", "two", iss="https://two.example")
        assert f"x-token: {two}" in ask(client, "/two", None, f"x-token: {two}\r\n")[2].decode()


@BOTH
def test_routes_choose_their_requirement(program):
    """By name, or none; a name that there is not closes; CORS preflights may pass."""
    per_route = lambda **more: {"typed_per_filter_config": {"jwt": {"@type": AUTHN + "PerRouteConfig", **more}}}
    routes = [{**route(prefix="/off"), **per_route(disabled=True)}, {**route(prefix="/named"), **per_route(requirement_name="two")},
              {**route(prefix="/lost"), **per_route(requirement_name="nobody")}, route()]
    settings = {"providers": PROVIDERS, "rules": [{"match": {"prefix": "/"}, "requirement_name": "one"}],
                "requirement_map": {"one": named("one"), "two": named("two")}, "bypass_cors_preflight": True,
                "strip_failure_response": True}
    preflight = "origin: a\r\naccess-control-request-method: GET\r\n"
    with guarded(program, settings, routes) as (_, port), Client(port) as client:
        two = token(EC, "ES256", "two", iss="https://two.example")
        for path, bearer, fields, method, status in [
                ("/off", None, "", "GET", 200), ("/named", None, f"x-token: {two}\r\n", "GET", 200),
                ("/named", good(), "", "GET", 401), ("/lost", good(), "", "GET", 403), ("/x", good(), "", "GET", 200),
                ("/x", None, "", "GET", 401), ("/x", None, preflight, "OPTIONS", 200), ("/x", None, "", "OPTIONS", 401)]:
            got, answer, body = ask(client, path, bearer, fields, method)
            assert got == status, (path, method)
            assert status != 401 or (body == b"" and "www-authenticate" not in answer)


@pytest.mark.one_worker
@BOTH
def test_keys_are_fetched_when_they_are_wanted(program):
    """Requests wait for the keys of a cluster; several wait for one fetch; without keys nothing passes."""
    answers = {"/good": key_set(rsa_key(RSA, "one")).encode(), "/bad": b"no keys at all"}

    def serves(peer):
        while True:
            head, _ = peer.request()
            peer.answer(answers[head.split(b" ")[1].decode()])

    def remote(path):
        return {"http_uri": {"uri": f"http://keys.example{path}", "cluster": "keys", "timeout": "5s"}, "cache_duration": "300s"}

    with Origin(serves) as keys:
        providers = {name: {"issuer": "https://one.example", "remote_jwks": remote(f"/{name}")} for name in ("good", "bad")}
        settings = {"providers": providers, "rules": [{"match": {"prefix": f"/{name}"}, "requires": named(name)}
                                                      for name in providers]}
        with guarded(program, settings, clusters=[cluster("keys", keys.port)]) as (proxy, port):
            clients = [Client(port) for _ in range(4)]
            for client in clients:
                client.send(f"POST /good HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token()}\r\ncontent-length: 4\r\n\r\nbody")
            for client in clients:
                assert client.response()[0] == 200
            assert ask(clients[0], "/good", token())[0] == 200
            assert keys.bytes.count(b"GET /good") == (1 if program is Proxy else keys.bytes.count(b"GET /good"))
            assert ask(clients[0], "/good", token(OTHER))[2] == b"Jwt verification fails"
            status, _, body = ask(clients[0], "/bad", token())
            assert (status, body) == (401, b"Jwks remote fetch is failed")
            counted = proxy.admin("/stats?filter=jwks_fetch")
            assert "http.test.jwt_authn.jwks_fetch_failed: 1\n" in counted
            for client in clients:
                client.socket.close()


@BOTH
def test_keys_are_fetched_before_they_are_wanted(program):
    """With async_fetch: at once, again after a failure, and anew when they have become old, all without a request."""
    answers = [b"not yet", key_set(rsa_key(RSA, "one")).encode()]

    def serves(peer):
        while True:
            peer.request()
            peer.answer(answers.pop(0) if len(answers) > 1 else answers[0])

    with Origin(serves) as keys:
        remote = {"http_uri": {"uri": "http://keys.example/", "cluster": "keys", "timeout": "5s"}, "cache_duration": "0.2s",
                  "async_fetch": {"failed_refetch_duration": "0.1s", "fast_listener": True}}
        settings = {"providers": {"one": {"issuer": "https://one.example", "remote_jwks": remote}},
                    "rules": [{"match": {"prefix": "/"}, "requires": named("one")}]}
        with guarded(program, settings, clusters=[cluster("keys", keys.port)]) as (proxy, port):
            assert eventually(lambda: keys.bytes.count(b"GET /") >= 3)
            with Client(port) as client:
                assert ask(client, "/", token())[0] == 200
                assert ask(client, "/", token(OTHER))[0] == 401
            assert int(proxy.stat("envoy_http_jwt_authn_jwks_fetch_failed")) == 1
