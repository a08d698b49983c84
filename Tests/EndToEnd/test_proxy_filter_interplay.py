"""Filters beside all else that may happen to a request: mirrors, redirects, upgrades, retries, changes of the configuration, clients
that leave, a drain. The same script against weft-proxy and, where there is one, a real Envoy."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import tempfile
import threading

import pytest

import envoykit
import proxykit
from grpckit import http2_cluster
from h2kit import H2Client
from h2origin import H2Origin
from proxykit import DEADLINE, HCM, ROUTER, Client, Origin, cluster, eventually, free_ports, listener
from protokit import dig, message, server
from test_filter_services import CHECK, FIRST, LIMIT, Counter, grpc_authz, limiter, ok, option
from test_proxy_filters import step
from test_proxy_http import UPGRADE
from test_proxy_hedging import HTTP2
from test_proxy_jwt import RSA, key_set, rsa_key, token

LEAVE = b"\x01\0\0\0\0\0\0\0"


class Authority:
    """Says yes and changes the request, or no; holds up what it is told to."""

    def __init__(self):
        self.asked, self.free = [], threading.Event()

    def check(self, data, context):
        path = (dig(data, 1, 4, 2, 4) or b"").decode()
        self.asked.append(path)
        if path.startswith("/held"):
            assert self.free.wait(DEADLINE)
        if path.startswith("/denied"):
            return message((1, message((1, 7))), (2, message((1, message((1, 403))), (3, "no"))))
        return ok((2, option("x-authority", "yes")))


class Keys:
    """Where the keys of tokens come from; holds the answer up until it is free."""

    def __init__(self):
        self.asked, self.free = threading.Event(), threading.Event()

    def __call__(self, peer):
        while True:
            peer.request()
            self.asked.set()
            assert self.free.wait(DEADLINE)
            peer.answer(key_set(rsa_key(RSA, "one")).encode())


def tells(name):
    """Answers with its name and the fields that filters made; by the path with a redirect, a failure first, or an upgrade."""
    tries = {}

    def behaviour(peer):
        while True:
            head, body = peer.request()
            path = head.split(b" ")[1]
            if b"upgrade: websocket" in head:
                peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
                while True:
                    peer.send(b"<" + peer.exactly(4) + b">")
            if path.startswith(b"/redirect"):
                peer.answer(b"", "302 Found", b"location: http://a" + path[9:] + b"\r\n")
                continue
            if path.startswith(b"/fails"):
                tries[path] = tries.get(path, 0) + 1
                if tries[path] == 1:
                    peer.answer(b"", "503 Service Unavailable")
                    continue
            fields = sorted(line.lower() for line in head.split(b"\r\n")[1:] if re.match(rb"(?i)x-(authority|chain|try)", line))
            peer.answer(name.encode() + b" " + b",".join(fields) + b" %d" % len(body))
    return behaviour


PASSED = b"x-authority: yes,x-chain: a"


def steps():
    tokens = {"providers": {"one": {"issuer": "https://one.example", "remote_jwks": {
        "http_uri": {"uri": "http://keys/keys", "cluster": "keys", "timeout": "9s"}}}},
        "rules": [{"match": {"prefix": "/tokens"}, "requires": {"provider_name": "one"}}]}
    authz = grpc_authz()
    authz["typed_config"]["grpc_service"]["timeout"] = "9s"
    changes = {"request_mutations": [{"append": {"header": {"key": "x-chain", "value": "a"}}}],
               "response_mutations": [{"append": {"header": {"key": "x-answered", "value": "b"}}}]}
    return [step("tokens", "jwt_authn.v3.JwtAuthentication", **tokens), limiter(timeout="9s"), authz,
            step("changes", "header_mutation.v3.HeaderMutation", mutations=changes),
            {"name": "router", "typed_config": {"@type": ROUTER}}]


def table(name, target):
    """All routes lead to a cluster of this name."""
    action = {"cluster": target, "timeout": "9s"}
    limits = {"rate_limits": [{"actions": [FIRST]}]}
    tunnel = {"match": {"connect_matcher": {}}, "route": {"cluster": "raw", "upgrade_configs": [
        {"upgrade_type": "CONNECT", "connect_config": {}}]}}
    routes = [
        ("/mirrored", {"request_mirror_policies": [{"cluster": "mirror"}]}),
        ("/redirect", {"internal_redirect_policy": {"max_internal_redirects": 1}}),
        ("/fails", {"retry_policy": {"retry_on": "5xx", "num_retries": 1}}),
        ("/limited", limits), ("/", {})]
    return {"name": name, "virtual_hosts": [{
        "name": "all", "domains": ["*"], "include_request_attempt_count": True,
        "routes": [tunnel, *({"match": {"prefix": prefix}, "route": {**action, **more}} for prefix, more in routes)]}]}


class Run:
    def __init__(self, kind):
        self.is_envoy = kind == "envoy"
        self.stack = contextlib.ExitStack()
        self.authority, self.counter, self.keys = Authority(), Counter(), Keys()
        services = self.stack.enter_context(server(**{CHECK: self.authority.check, LIMIT: self.counter.should}))
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="weft-interplay-", dir="/tmp"))
        self.stack.callback(shutil.rmtree, self.folder)
        self.origin = self.stack.enter_context(Origin(tells("origin")))
        other = self.stack.enter_context(Origin(tells("other")))
        raw = self.stack.enter_context(Origin(lambda peer: [peer.send(b"<" + peer.exactly(4) + b">") for _ in range(9)]))
        self.mirror = self.stack.enter_context(Origin(tells("mirror")))
        keys = self.stack.enter_context(Origin(self.keys))
        self.streams = self.stack.enter_context(H2Origin(
            whole=lambda one: one.answer(one.body + one.fields.get("x-authority", "").encode(), trailers=[("x-end", "1")])))
        self.ports = free_ports(["plain", "streams"])
        more = {"http_filters": steps(), "upgrade_configs": [{"upgrade_type": "websocket"}, {"upgrade_type": "CONNECT"}], "codec_type": "AUTO"}
        self.put("plain", "origin")
        self.put("streams", "streams")
        program = envoykit.Envoy if self.is_envoy else proxykit.Proxy
        self.proxy = self.stack.enter_context(program(
            [listener(self.ports[name], self.manager(name, **more), name=name) for name in ("plain", "streams")],
            [cluster("origin", self.origin.port), cluster("other", other.port),
             cluster("mirror", self.mirror.port), cluster("keys", keys.port), cluster("raw", raw.port), cluster("streams", self.streams.port, **HTTP2),
             http2_cluster("authority", services), http2_cluster("counter", services)]))

    def manager(self, name, **more):
        """A connection manager with the routes of a file."""
        source = {"path_config_source": {"path": str(self.folder / name)}, "resource_api_version": "V3"}
        return {"name": "http", "typed_config": {
            "@type": HCM, "stat_prefix": name, "rds": {"route_config_name": name, "config_source": source}, **more}}

    def put(self, name, target):
        kind = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
        fresh = self.folder / f"{name}.new"
        fresh.write_text(json.dumps({"resources": [{"@type": kind, **table(name, target)}]}))
        os.replace(fresh, self.folder / name)

    def ask(self, path, fields="", name="plain", method="GET", body=b""):
        client = Client(self.ports[name])
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        return client.send(f"{method} {path} HTTP/1.1\r\nHost: a\r\n{fields}{length}\r\n".encode() + body)

    def get(self, *arguments, **more):
        with self.ask(*arguments, **more) as client:
            return client.response()

    def stat(self, name):
        found = re.search(rf"^{re.escape(name)}: (\d+)$", self.proxy.admin("/stats"), re.M)
        return int(found.group(1)) if found else 0

    def is_quiet(self):
        """Nothing is in work: neither requests nor what filters asked for them."""
        names = [f"http.{name}.downstream_rq_active" for name in self.ports]
        names += [f"cluster.{name}.upstream_rq_active" for name in ("authority", "counter", "keys", "origin", "streams")]
        return not any(self.stat(name) for name in names)


@pytest.fixture(scope="module", params=["weft-proxy", "envoy"])
def run(request):
    made = Run(request.param)
    with made.stack:
        yield made
        for event in (made.authority.free, made.counter.hold, made.keys.free):
            event.set()


# Each way to wait: the request, where it is seen to wait, and what lets it go on.
WAITS = {
    "authority": ("/held", "", lambda run, seen: len(run.authority.asked) > seen[0], lambda run: run.authority.free.set()),
    "limits": ("/limited", "x-key: hang\r\n", lambda run, seen: len(run.counter.asked) > seen[1], lambda run: run.counter.hold.set()),
    "keys": ("/tokens", f"authorization: Bearer {token()}\r\n", lambda run, seen: run.keys.asked.is_set(),
             lambda run: run.keys.free.set()),
}


def seen(run):
    return len(run.authority.asked), len(run.counter.asked)


def forget(run):
    for event in (run.authority.free, run.counter.hold):
        event.clear()


@pytest.mark.parametrize("way", [*WAITS])
def test_a_client_that_leaves_while_a_filter_waits_leaves_nothing_behind(run, way):
    path, fields, is_waiting, _ = WAITS[way]
    before = seen(run)
    with run.ask(f"{path}/left", fields) as client:
        assert eventually(lambda: is_waiting(run, before))
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LEAVE)
    before = seen(run)
    with H2Client(run.ports["streams"]) as client:
        client.request(f"{path}/left", fields=[tuple(line.split(": ")) for line in fields.split("\r\n")[:-1]])
        assert eventually(lambda: is_waiting(run, before))
    if way == "keys":
        # The fetch of keys is of no request alone: it goes on.
        assert eventually(lambda: run.stat("http.plain.downstream_rq_active") + run.stat("http.streams.downstream_rq_active") == 0)
    else:
        assert eventually(run.is_quiet)
    assert b"/left" not in run.origin.bytes and not any("/left" in one.path for one in run.streams.requests)


def test_the_configuration_changes_while_requests_wait(run):
    forget(run)
    before = seen(run)
    with contextlib.ExitStack() as stack:
        clients = {way: stack.enter_context(run.ask(path, fields)) for way, (path, fields, _, _) in WAITS.items()}
        streams = stack.enter_context(H2Client(run.ports["streams"]))
        held = streams.request("/held", "POST", b"body")
        for _, _, is_waiting, _ in WAITS.values():
            assert eventually(lambda: is_waiting(run, before))
        assert eventually(lambda: len(run.authority.asked) >= before[0] + 2)
        assert eventually(lambda: run.stat("http.plain.downstream_rq_active") == 3)
        run.put("plain", "other")
        assert eventually(lambda: run.get("/now")[2].startswith(b"other"))
        for _, _, _, let_go in WAITS.values():
            let_go(run)
        for way, client in clients.items():
            # The route was found before the filters: it is the old one's.
            status, fields, body = client.response()
            assert (status, body, fields["x-answered"]) == (200, b"origin " + PASSED + b" 0", "b"), way
        stream = streams.answer(held)
        assert (stream.status, stream.body, stream.trailers) == (200, b"bodyyes", {"x-end": "1"})
    run.put("plain", "origin")
    assert eventually(lambda: run.get("/now")[2].startswith(b"origin")) and eventually(run.is_quiet)


def test_a_copy_has_what_filters_changed_and_they_are_asked_once(run):
    before = seen(run)
    assert run.get("/mirrored", method="POST", body=b"12345")[2] == b"origin " + PASSED + b" 5"
    assert eventually(lambda: b"x-authority: yes" in run.mirror.bytes and run.mirror.bytes.endswith(b"12345"))
    assert run.mirror.bytes.count(b"x-chain: a") == 1 and seen(run)[0] == before[0] + 1


def test_a_redirect_that_is_followed_is_a_request_of_its_own(run):
    before = seen(run)
    status, fields, body = run.get("/redirect/next")
    # Each of them passes through the filters; what was changed for the first one stays.
    assert (status, body) == (200, b"origin " + PASSED + b",x-chain: a 0") and run.authority.asked[before[0]:] == ["/redirect/next", "/next"]
    assert run.get("/redirect/denied")[0] == 403


def test_another_try_has_what_filters_changed_and_they_are_asked_once(run):
    before = seen(run)
    assert run.get("/fails", method="POST", body=b"123")[::2] == (200, b"origin " + PASSED + b" 3")
    assert seen(run)[0] == before[0] + 1 and run.origin.bytes.count(b"x-envoy-attempt-count: 2") >= 1


def test_an_upgrade_passes_through_the_filters(run):
    before = seen(run)
    with Client(run.ports["plain"]) as client:
        client.send(UPGRADE)
        status, fields, _ = client.response(to_head=True)
        assert (status, fields["x-answered"]) == (101, "b") and client.send("ping").exactly(6) == b"<ping>"
        assert seen(run)[0] == before[0] + 1
    with Client(run.ports["plain"]) as client:
        assert client.send(UPGRADE.replace("GET / ", "GET /denied-upgrade ")).response()[0] == 403
    assert b"x-authority: yes" in run.origin.bytes and b"/denied-upgrade" not in run.origin.bytes


def test_a_tunnel_passes_through_the_filters(run):
    before = seen(run)
    with Client(run.ports["plain"]) as client:
        client.send("CONNECT raw:1 HTTP/1.1\r\nHost: raw:1\r\n\r\n")
        status, fields, _ = client.response(to_head=True)
        assert (status, fields["x-answered"]) == (200, "b") and client.send("ping").exactly(6) == b"<ping>"
    assert seen(run)[0] == before[0] + 1
    assert eventually(run.is_quiet)


def test_a_drain_waits_for_requests_that_wait():
    made = Run("weft-proxy")
    with made.stack:
        with made.ask("/held") as client, H2Client(made.ports["streams"]) as streams:
            held = streams.request("/held")
            assert eventually(lambda: len(made.authority.asked) == 2)
            made.proxy.post("/drain_listeners?graceful")
            assert json.loads(made.proxy.admin("/server_info"))["state"] == "DRAINING"
            made.authority.free.set()
            status, fields, body = client.response()
            assert (status, body, fields.get("connection")) == (200, b"origin " + PASSED + b" 0", "close")
            assert streams.answer(held).status == 200
