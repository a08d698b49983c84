"""CONNECT that ends at the proxy or is passed on, connections through a further proxy, and redirects that the proxy follows."""

import json

import pytest

import envoykit
import proxykit
from proxykit import Client, cluster, free_port, http_filter, listener, tcp_filter

CONNECT = {"match": {"connect_matcher": {}}}
ASK = b"CONNECT there:443 HTTP/1.1\r\nHost: there:443\r\n\r\n"


def upgrade(**more):
    return {"upgrade_configs": [{"upgrade_type": "CONNECT", **more}]}


def raw(peer):
    """Gives back what it gets; ends when the other side has ended."""
    peer.send(b"hello ")
    while piece := peer.connection.recv(65536):
        peer.origin.take(peer.index, piece)
        peer.send(piece)
    peer.send(b" bye")


def proxied(peer):
    """A proxy that agrees to `yes` hosts, and then gives back what it gets."""
    head = peer.until(b"\r\n\r\n")
    if b"refuse" in head:
        peer.answer(b"no", status="403 No")
        return
    peer.send(b"HTTP/1.1 200 Sure\r\nx-from: proxy\r\n\r\nfirst ")
    peer.send(peer.buffer)
    while piece := peer.connection.recv(65536):
        peer.origin.take(peer.index, piece)
        peer.send(piece)


@pytest.fixture(scope="module", params=["weft-proxy", "envoy"])
def proxy(request):
    """One proxy with listeners for all cases: a function from a name to its port."""
    kind = proxykit.Proxy if request.param == "weft-proxy" else envoykit.Envoy
    with proxykit.Origin(raw) as plain, proxykit.Origin(proxied) as further, proxykit.Origin(redirecting) as origin:
        routes = {
            "terminated": [{**CONNECT, "route": {"cluster": "raw", **upgrade(connect_config={})}}],
            "passed": [{**CONNECT, "route": {"cluster": "further", **upgrade()}}],
            "refused": [{**CONNECT, "route": {"cluster": "raw", **upgrade(enabled=False)}}, proxykit.route("origin")],
            "redirects": [
                {"match": {"prefix": "/none"}, "direct_response": {"status": 200}},
                {"match": {"prefix": "/plain"}, "route": {"cluster": "origin"}},
                proxykit.route({"cluster": "origin", "internal_redirect_policy": {
                    "max_internal_redirects": 2, "redirect_response_codes": [302, 303, 307],
                    "response_headers_to_copy": ["x-copied"]}})],
        }
        ports = {name: free_port() for name in [*routes, "tunnel"]}
        listeners = [listener(ports[name], http_filter(
            routes[name], upgrade_configs=[{"upgrade_type": "CONNECT"}], use_remote_address=True), name=name)
            for name in routes]
        listeners.append(listener(ports["tunnel"], tcp_filter("further", tunneling_config={
            "hostname": "far:1", "headers_to_add": [{"header": {"key": "x-who", "value": "me"}}]}), name="tunnel"))
        with kind(listeners, [cluster("raw", plain.port), cluster("further", further.port),
                              cluster("origin", origin.port)]) as running:
            running.is_ours = request.param == "weft-proxy"
            running.ports, running.raw, running.further, running.origin = ports, plain, further, origin
            yield running


def test_connect_ends_at_the_proxy_and_the_endpoint_gets_bytes_alone(proxy):
    with Client(proxy.ports["terminated"]) as client:
        head = client.send(ASK).until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"transfer-encoding" not in head and b"content-length" not in head
        assert client.exactly(6) == b"hello "
        assert client.send(b"0123").exactly(4) == b"0123"
        if proxy.is_ours:
            assert client.finish().rest() == b" bye"
    assert proxy.raw.received[-1] == b"0123"


def test_connect_is_passed_on_with_its_answer(proxy):
    with Client(proxy.ports["passed"]) as client:
        head = client.send(ASK).until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ") and b"x-from: proxy" in head
        assert client.exactly(6) == b"first "
        assert client.send(b"0123").exactly(4) == b"0123"
    assert proxy.further.received[-1].startswith(b"CONNECT there:443 HTTP/1.1\r\nhost: there:443\r\n")


def test_a_refusal_of_the_endpoint_reaches_the_client(proxy):
    with Client(proxy.ports["passed"]) as client:
        client.send(ASK.replace(b"there", b"refuse"))
        status, _, body = client.response()
        assert (status, body) == (403, b"no")


def test_connect_is_for_its_own_routes_alone(proxy):
    with Client(proxy.ports["refused"]) as client:
        assert client.send(ASK).response()[0] in (403, 404, 405)
    with Client(proxy.ports["terminated"]) as client:
        assert client.send(b"GET / HTTP/1.1\r\nHost: there:443\r\n\r\n").response()[0] == 404


def test_tcp_goes_through_a_further_proxy(proxy):
    with Client(proxy.ports["tunnel"]) as client:
        client.send(b"early ")
        received = b""
        # What comes first, the proxy's own greeting or the echo, is the proxy's business.
        while len(received) < 12:
            received += client.exactly(1)
        assert sorted([received[:6], received[6:]]) == [b"early ", b"first "]
        assert client.send(b"late").exactly(4) == b"late"
    head = proxy.further.received[-1].split(b"\r\n\r\n")[0].lower().split(b"\r\n")
    assert head[0] == b"connect far:1 http/1.1" and b"host: far:1" in head and b"x-who: me" in head


# --- Redirects -------------------------------------------------------------------------------------------------------

def redirecting(peer):
    while True:
        head, body = peer.request()
        line, *fields = head.decode().split("\r\n")[:-2]
        method, target, _ = line.split(" ")
        table = dict(field.lower().split(": ", 1) for field in fields)
        step, _, rest = target.partition("?to=")
        if rest:
            peer.answer(b"gone", f"{step[2:5]} X", b"location: %s\r\nx-copied: c\r\n" % rest.encode())
        else:
            peer.answer(json.dumps([method, target, table.get("host"), body.decode(), table.get("x-copied"),
                                    table.get("x-envoy-original-url")]).encode())


RESULTS = {}


@pytest.mark.parametrize("method,target,body", [
    ("GET", "/r302?to=http://first/b?c=d", ""), ("GET", "/r302?to=http://other:8/b", ""), ("GET", "/r302?to=/b", ""),
    ("GET", "/r301?to=http://a/b", ""), ("GET", "/r302?to=https://other/b", ""), ("GET", "/r302?to=http://a/none", ""),
    ("POST", "/r303?to=http://a/b", "abc"), ("POST", "/r307?to=http://a/b", "abc"),
    ("GET", "/r302?to=http://a/r302?to=http://b/b", ""),
    ("GET", "/r302?to=http://a/r302?to=http://b/r302?to=http://c/b", ""), ("GET", "/r302?to=http://a", ""),
])
def test_redirects_are_followed_as_in_envoy(proxy, method, target, body):
    with Client(proxy.ports["redirects"]) as client:
        status, fields, text = client.send(
            f"{method} {target} HTTP/1.1\r\nhost: first\r\ncontent-length: {len(body)}\r\n\r\n{body}").response()
    result = [status, fields.get("location"), text.decode()]
    # Envoy comes second: it must say the same.
    assert RESULTS.setdefault((method, target), result) == result
