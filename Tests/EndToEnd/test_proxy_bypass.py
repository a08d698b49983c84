"""Spellings of a path and of a field that a policy may read otherwise than the endpoint: no endpoint gets what the policy forbids."""

import contextlib
import itertools
import json
import re
import time
import urllib.parse

import jwt
import pytest

from h2kit import H2Client
from proxykit import Client, Origin, Proxy, cluster, free_ports, http_filter, listener, route

FILTERS = "type.googleapis.com/envoy.extensions.filters.http."
NAMES = ("admin", "%61dmin", "adm%69n", "admi%6E", "%2561dmin", "ADMIN", "admin%00", "admin.", "adm\u00efn", "x/../admin", "x/%2e%2E/admin")
BEFORE = ("/", "//", "///", "/./", "/%2e/", "/.//", "/open/../", "/open/%2e%2e/", "/open/.%2E/", "/open/..//", "/../", "/%2f", "/%5c", "/\\",
          "/open/..%2f", "/open/..%5c", "/open/..\\", "/open/..;/", "/open//../../", "/open/%252e%252e/")
AFTER = ("", "/", "/x", "//x", "/./x", "/../admin/x", "%2fx", "?/../open", "/x?open", ";/x", "#/open")
SECRET = "0123456789abcdef0123456789abcdef"


def spellings():
    """Each of the tricks with the plain forms of the others, and all that stand before with all names: once each."""
    found = dict.fromkeys(before + name for before, name in itertools.product(BEFORE, NAMES))
    found.update(dict.fromkeys(before + "admin" + after for before, after in itertools.product(BEFORE[:8], AFTER)))
    return list(found)


def meaning(path):
    """What an endpoint makes of a path that undoes escapes once, takes `\\` for `/`, and walks through dots and empty parts."""
    path = urllib.parse.unquote_to_bytes(re.split(r"[?#]", path)[0]).replace(b"\\", b"/")
    parts = []
    for part in path.split(b"/"):
        if part == b"..":
            parts[-1:] = []
        elif part not in (b"", b"."):
            parts.append(part)
    return parts


def is_secret(path):
    return meaning(path)[:1] == [b"admin"]


def told(peer):
    """An authority: no for what it takes for the secret, and in either case what it was told."""
    while True:
        head, _ = peer.request()
        path = head.split(b" ")[1].decode("latin-1").removeprefix("/check")
        status = "403 Forbidden" if is_secret(path) else "200 OK"
        peer.answer(b"", status, b"x-told: " + path.encode("latin-1") + b"\r\n")


def tells(peer):
    """The endpoint answers with the head that it got."""
    while True:
        head, _ = peer.request()
        peer.answer(head)


def step(kind, **config):
    return {"name": kind, "typed_config": {"@type": FILTERS + kind, **config}}


def rbac(action, permission):
    return step("rbac.v3.RBAC", rules={"action": action, "policies": {"one": {"permissions": [permission], "principals": [{"any": True}]}}})


def path(prefix):
    return {"url_path": {"path": {"prefix": prefix}}}


def policies():
    """Each keeps /admin from those that may not: by a rule against it, a rule for the rest, a token, an authority."""
    keys = {"keys": [{"kty": "oct", "kid": "one", "alg": "HS256", "k": jwt.utils.base64url_encode(SECRET.encode()).decode()}]}
    tokens = {"providers": {"one": {"issuer": "one", "local_jwks": {"inline_string": json.dumps(keys)}}},
              "rules": [{"match": {"prefix": "/admin"}, "requires": {"provider_name": "one"}}]}
    asked = {"server_uri": {"uri": "http://authority", "cluster": "authority", "timeout": "5s"}, "path_prefix": "/check",
             "authorization_response": {"allowed_upstream_headers": {"patterns": [{"exact": "x-told"}]}}}
    return {
        "deny": [rbac("DENY", path("/admin"))], "allow": [rbac("ALLOW", path("/open"))],
        "token": [step("jwt_authn.v3.JwtAuthentication", **tokens)], "authority": [step("ext_authz.v3.ExtAuthz", http_service=asked)],
        "field": [rbac("DENY", {"header": {"name": "x-role", "string_match": {"contains": "admin", "ignore_case": True}}})],
    }


SLASHES = {"unescaped": "UNESCAPE_AND_FORWARD", "refused": "REJECT_REQUEST"}


@pytest.fixture(scope="module")
def run():
    wanted = [(policy, slashes) for policy in policies() for slashes in SLASHES]
    ports = free_ports(wanted)
    with Origin(tells) as origin, Origin(told) as authority:
        listeners = []
        for policy, slashes in wanted:
            chain = http_filter([route()], normalize_path=True, merge_slashes=True, path_with_escaped_slashes_action=SLASHES[slashes],
                                common_http_protocol_options={"headers_with_underscores_action": "REJECT_REQUEST"})
            chain["typed_config"]["http_filters"][:0] = policies()[policy]
            listeners.append(listener(ports[policy, slashes], chain, name=f"{policy}-{slashes}"))
        with Proxy(listeners, [cluster("origin", origin.port), cluster("authority", authority.port)]):
            yield ports


class Asking:
    """One kept connection, made anew when the proxy ended it."""

    def __init__(self, port):
        self.port, self.client = port, None

    def ask(self, target, fields=""):
        """(status, the head that the endpoint got or "")."""
        for _ in range(2):
            try:
                self.client = self.client or Client(self.port)
                self.client.send(f"GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n".encode())
                status, answer, body = self.client.response()
                if answer.get("connection") == "close":
                    self.close()
                return status, body.decode("latin-1") if status == 200 else ""
            except (EOFError, ConnectionError):
                self.close()
        return 0, ""

    def close(self):
        if self.client:
            self.client.socket.close()
        self.client = None


@contextlib.contextmanager
def asking(port):
    one = Asking(port)
    try:
        yield one
    finally:
        one.close()


@pytest.mark.parametrize("slashes", SLASHES)
@pytest.mark.parametrize("policy", ["deny", "allow", "token", "authority"])
def test_no_spelling_gets_past_a_policy(run, policy, slashes):
    passed = 0
    with asking(run[policy, slashes]) as proxy:
        for target in spellings():
            status, head = proxy.ask(target)
            assert status in (200, 400, 401, 403, 404) or not status and "#" in target, (target, status)
            if status != 200:
                continue
            passed += 1
            got = head.split(" ")[1]
            assert not is_secret(got), f"{target} came to the endpoint as {got}"
            if policy == "allow":
                assert meaning(got)[:1] == [b"open"], f"{target} came to the endpoint as {got}"
            if policy == "authority":
                assert f"\r\nx-told: {got}\r\n" in head, f"{target}: the authority was told of another path than {got}"
        assert proxy.ask("/open/admin")[0] == 200
    # They are not simply all refused: /ADMIN and its like are other paths.
    assert passed > (0 if policy == "allow" else 5)


@pytest.mark.parametrize("policy", ["deny", "token"])
def test_no_spelling_gets_past_a_policy_over_http2(run, policy):
    targets = [target for target in spellings() if target.isascii()]
    with H2Client(run[policy, "unescaped"]) as client:
        for first in range(0, len(targets), 50):
            streams = {client.request(target): target for target in targets[first:first + 50]}
            for stream, target in streams.items():
                one = client.answer(stream)
                got = one.body.decode("latin-1").split(" ")[1] if one.status == 200 else "/"
                assert not is_secret(got), f"{target} came to the endpoint as {got}"


def test_a_token_opens_what_it_is_for(run):
    token = jwt.encode({"iss": "one", "exp": int(time.time()) + 600}, SECRET, "HS256", headers={"kid": "one"})
    with asking(run["token", "unescaped"]) as proxy:
        for target in ("/admin", "//admin/x", "/%61dmin"):
            status, head = proxy.ask(target, f"Authorization: Bearer {token}\r\n")
            assert status == 200 and is_secret(head.split(" ")[1]), target
            assert proxy.ask(target)[0] == 401


def test_no_spelling_of_a_field_gets_past_a_policy(run):
    """What an endpoint may take for the field x-role with the value admin."""
    fields = ("x-role: admin\r\n", "X-ROLE: ADMIN\r\n", "x-role:admin\r\n", "x-role: \t admin \r\n", "x-role: user\r\nx-role: admin\r\n",
              "x-role: admin\r\nx-role: user\r\n", "x-role: user, admin\r\n", "x-role : admin\r\n", " x-role: admin\r\n", "x-role: user\r\n admin\r\n",
              "x_role: admin\r\n", "X_Role: admin\r\n", "x-role: user\r\nx_role: admin\r\n", "x-role\t: admin\r\n", "x-role:\r\n admin\r\n",
              "x-role: us\rer\nx-role: admin\r\n", "x-role: admin\0\r\n", "Connection: x-role\r\nx-role: admin\r\n")
    with asking(run["field", "unescaped"]) as proxy:
        for field in fields:
            status, head = proxy.ask("/", field)
            assert status != 200 or "admin" not in head.lower(), (field, head)
        assert proxy.ask("/", "x-role: user\r\n")[0] == 200
