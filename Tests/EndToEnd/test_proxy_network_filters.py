"""Filters that look at connections: who is let in, and how many. The same script against weft-proxy and, where there is one, Envoy."""

import contextlib
import json
import re
import ssl
import subprocess

import pytest

import envoykit
import proxykit
from proxykit import DEADLINE, Client, Origin, cluster, echo, eventually, free_ports, http_filter, listener, route, tcp_filter
from test_proxy_tls import SHOP, connected, context_for, made, server_tls, trusting  # noqa: F401

NETWORK = "type.googleapis.com/envoy.extensions.filters.network."
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def policies(principal, action="ALLOW", permission=None):
    return {"action": action, "policies": {"one": {"permissions": [permission or {"any": True}], "principals": [principal]}}}


def rbac(name, **fields):
    return {"name": "rbac", "typed_config": {"@type": NETWORK + "rbac.v3.RBAC", "stat_prefix": f"{name}.", **fields}}


def block(address, length):
    return {"direct_remote_ip": {"address_prefix": address, "prefix_len": length}}


def rate(name, tokens):
    return {"name": "rate", "typed_config": {"@type": NETWORK + "local_ratelimit.v3.LocalRateLimit", "stat_prefix": name,
            "token_bucket": {"max_tokens": tokens, "fill_interval": "3600s"}}}


def most(name, count):
    return {"name": "limit", "typed_config": {
        "@type": NETWORK + "connection_limit.v3.ConnectionLimit", "stat_prefix": name, "max_connections": count}}


CHAINS = {
    "near": [rbac("near", rules=policies(block("127.0.0.0", 8)))],
    "far": [rbac("far", rules=policies(block("10.0.0.0", 8)))],
    "banned": [rbac("banned", rules=policies({"any": True}, "DENY", {"destination_port_range": {"start": 1, "end": 60_000}}))],
    "shadow": [rbac("shadow", shadow_rules=policies(block("10.0.0.0", 8)), shadow_rules_stat_prefix="trial.")],
    "log": [rbac("log", rules=policies(block("10.0.0.0", 8), "LOG"))],
    "both": [rbac("first", rules=policies(block("127.0.0.0", 8))), rbac("second", rules=policies(block("10.0.0.0", 8)))],
    "always": [rbac("always", rules=policies(block("127.0.0.0", 8)), enforcement_type="CONTINUOUS")],
    "rate": [rate("rate", 2)],
    "most": [most("most", 1)],
}


class Run:
    def __init__(self, kind, made):  # noqa: F811
        self.stack = contextlib.ExitStack()
        origin = self.stack.enter_context(Origin(echo))
        bytes_back = self.stack.enter_context(Origin(lambda peer: [peer.more() or peer.send(peer.buffer) for _ in range(9)]))
        # What the destination's port is compared with lies below that of any outgoing connection.
        self.ports = {**free_ports([*CHAINS, "secure"]), "banned": proxykit.quiet_port(), "http": proxykit.quiet_port()}
        ends = {name: tcp_filter("bytes") for name in CHAINS}
        listeners = [listener(self.ports[name], *filters, ends[name], name=name) for name, filters in CHAINS.items()]
        listeners.append(listener(self.ports["http"], *CHAINS["banned"], http_filter([route()]), name="http"))
        who = {"authenticated": {"principal_name": {"exact": SHOP}}}
        listeners.append(listener(self.ports["secure"], name="secure", filter_chains=[{
            "filters": [rbac("secure", rules=policies(who)), http_filter([route()])], "transport_socket": server_tls(
                made.pair("server"), require_client_certificate=True, common=trusting(made))}]))
        program = envoykit.Envoy if kind == "envoy" else proxykit.Proxy
        self.proxy = self.stack.enter_context(program(
            listeners, [cluster("origin", origin.port), cluster("bytes", bytes_back.port)]))

    def speak(self, name):
        """What comes back for a word; empty: the connection was closed."""
        with Client(self.ports[name]) as client, contextlib.suppress(OSError):
            client.send(b"hello")
            return client.socket.recv(100)
        return b""

    def stats(self, *prefixes):
        lines = self.proxy.admin("/stats").splitlines()
        found = (re.fullmatch(rf"((?:{'|'.join(prefixes)})\..*(?:allowed|denied|limited|connections)): (\d+)", line) for line in lines)
        return {match.group(1): int(match.group(2)) for match in found if match and match.group(2) != "0"}


@pytest.fixture(scope="module", params=["weft-proxy", "envoy"])
def run(request, made):  # noqa: F811
    one = Run(request.param, made)
    with one.stack:
        yield one


def test_connections_are_let_in_by_who_opens_them(run):
    assert run.speak("near") == b"hello" and run.speak("far") == b"" and run.speak("banned") == b""
    assert run.speak("shadow") == run.speak("log") == run.speak("always") == b"hello"
    assert run.speak("both") == b""
    # Envoy counts anew with each read where it judges continuously.
    assert run.stats("near", "far", "banned", "shadow", "log", "first", "second") == {
        "near.rbac.allowed": 1, "far.rbac.denied": 1, "banned.rbac.denied": 1, "shadow.rbac.trial.shadow_denied": 1,
        "log.rbac.allowed": 1, "first.rbac.allowed": 1, "second.rbac.denied": 1}


def test_requests_do_not_come_past_it(run):
    with Client(run.ports["http"]) as client:
        with contextlib.suppress(OSError):
            client.send(GET)
        assert client.is_closed()


def test_a_certificate_tells_who_it_is(run, made):  # noqa: F811
    def status(pair):
        with connected(run.ports["secure"], context_for(made, pair)) as client:
            try:
                client.sendall(GET)
                return client.recv(1000)[9:12]
            except (ConnectionError, ssl.SSLError):
                return b""
    assert (status("shop"), status("other")) == (b"200", b"")
    assert run.stats("secure") == {"secure.rbac.allowed": 1, "secure.rbac.denied": 1}


def test_so_many_begin_in_a_time(run):
    assert [run.speak("rate") for _ in range(4)] == [b"hello", b"hello", b"", b""]
    assert run.stats("local_rate_limit") == {"local_rate_limit.rate.rate_limited": 2}


def test_so_many_are_open(run):
    with Client(run.ports["most"]) as client:
        client.send(b"hello")
        assert client.exactly(5) == b"hello"
        assert run.speak("most") == b""
        assert run.stats("connection_limit") == {
            "connection_limit.most.active_connections": 1, "connection_limit.most.limited_connections": 1}
    assert eventually(lambda: "connection_limit.most.active_connections" not in run.stats("connection_limit"))


def test_who_is_not_let_in_may_be_held_for_a_while():
    with Origin(echo) as origin:
        slow = rbac("slow", rules=policies(block("10.0.0.0", 8)), delay_deny="60s")
        with proxykit.simple_proxy(origin.port, filters=[slow, tcp_filter()]) as (proxy, port), Client(port) as client:
            assert eventually(lambda: "slow.rbac.denied: 1" in proxy.admin("/stats"))
            client.socket.settimeout(0.05)
            with pytest.raises(TimeoutError):
                client.socket.recv(1)
            assert origin.received == []


@pytest.mark.parametrize("field, rules", [
    ("rules", policies({"header": {"name": "a", "present_match": True}})),
    ("shadow_rules", policies({"any": True}, permission={"not_rule": {"url_path": {"path": {"exact": "/"}}}}))])
def test_what_connections_do_not_have_is_refused_by_its_path(tmp_path, field, rules):
    settings = [listener(1, rbac("bad", **{field: rules}), tcp_filter())]
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"static_resources": {"listeners": settings, "clusters": [cluster("origin", 1)]}}))
    done = subprocess.run(
        [proxykit.program(), "--mode", "validate", "-c", str(path)], capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode != 0 and f"filters[0].typed_config.{field}: header and url_path" in done.stderr
