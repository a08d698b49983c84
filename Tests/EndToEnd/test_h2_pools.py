"""HTTP/2 towards endpoints: which protocol is chosen, whom a connection serves, how long it lives, and what limits hold."""

import contextlib
import pathlib
import shutil
import ssl
import subprocess
import tempfile
import threading

import pytest

from envoykit import Envoy
from framekit import Peer
from grpckit import HTTP2, http2_cluster
from h2kit import H2Client
from h2origin import H2Origin
from proxykit import Client, Origin, Proxy, cluster, eventually, free_port, get, http_filter, listener, route, serving, tcp_filter
from test_proxy_tls import Authority, client_tls, trusting

PROTOCOL = next(iter(HTTP2["typed_extension_protocol_options"]))
TYPE = {"@type": "type.googleapis.com/" + PROTOCOL}
INTRODUCING = {"name": "proxy", "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport",
    "config": {"version": "V1"}, "transport_socket": {"name": "raw", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"}}}}


def speaking(**more):
    """Protocol options of a cluster."""
    return {"typed_extension_protocol_options": {PROTOCOL: {**TYPE, **more}}}


def explicit(http2=None, **more):
    return speaking(explicit_http_config={"http2_protocol_options": http2 or {}}, **more)


@pytest.fixture(scope="module")
def made():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="weft-h2-", dir="/tmp"))
    authority = Authority(folder)
    authority.leaf("server", "DNS:one.example,DNS:two.example,DNS:server.example")
    yield authority
    shutil.rmtree(folder)


def offering(made, *protocols):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.path("server.pem"), made.path("server.key"))
    context.set_alpn_protocols(list(protocols))
    return context


@pytest.fixture(scope="module")
def field(made):
    """One proxy in front of endpoints of every kind: (proxy, port, origins by name)."""
    def secured(**more):
        return {"transport_socket": client_tls(common=trusting(made), sni="server.example"), **more}

    def named(**more):
        return {"transport_socket": client_tls(common=trusting(made)), **more}
    auto = speaking(auto_config={"http2_protocol_options": {}})
    host = {"upstream_http_protocol_options": {"auto_sni": True, "auto_san_validation": True}}
    kinds = {
        "tls": ({"tls": ("h2",)}, secured(**explicit())),
        "auto2": ({"tls": ("h2", "http/1.1")}, secured(**auto)),
        "auto1": ({"tls": ("http/1.1",)}, secured(**auto)),
        "old": ({"tls": ("http/1.1",)}, secured(**explicit())),
        "follow": ({}, speaking(use_downstream_protocol_config={"http2_protocol_options": {}, "http_protocol_options": {}})),
        "intro": ({"introduces": True}, {"transport_socket": INTRODUCING, **explicit()}),
        "scarce": ({"introduces": True}, {"transport_socket": INTRODUCING, **explicit(), "circuit_breakers": {"thresholds": [
            {"max_connections": 1}]}}),
        "sni": ({"tls": ("h2",)}, named(**explicit(**host))),
        "autosni": ({"tls": ("h2", "http/1.1")}, named(**speaking(auto_config={"http2_protocol_options": {}}, **host))),
    }
    with contextlib.ExitStack() as stack:
        origins, clusters = {}, []
        for name, (more, settings) in kinds.items():
            tls = offering(made, *more["tls"]) if "tls" in more else None
            origins[name] = stack.enter_context(H2Origin(tls=tls, introduces=more.get("introduces", False)))
            clusters.append(cluster(name, origins[name].port, **settings))
        port = free_port()
        front = listener(port, http_filter([route(name, f"/{name}/") for name in kinds]))
        yield stack.enter_context(Proxy([front], clusters)), port, origins


@pytest.mark.one_worker
@pytest.mark.parametrize("name,protocol", [("tls", "h2"), ("auto2", "h2"), ("auto1", "http/1.1")])
def test_the_protocol_is_what_tls_agrees_on(field, name, protocol):
    """Clients of both versions share one connection of HTTP/2; those of HTTP/1 wait for none that is not needed."""
    _, port, origins = field
    for _ in range(3):
        status, _, body = get(port, f"/{name}/a")
        assert status == 200 and body == (b"ok" if protocol == "h2" else b"http/1.1")
    with H2Client(port) as client:
        streams = [client.request(f"/{name}/b") for _ in range(4)]
        assert [client.answer(stream).status for stream in streams] == [200] * 4
    assert {link.protocol for link in origins[name].links if link.requests} == {protocol}
    if protocol == "h2":
        assert len([link for link in origins[name].links if link.requests]) == 1


def test_an_endpoint_that_agrees_on_nothing_is_spoken_to_in_http2_all_the_same(field):
    """As in Envoy: the configuration says HTTP/2."""
    _, port, origins = field
    assert get(port, "/old/")[::2] == (200, b"ok")
    assert origins["old"].requests[0].link.protocol == "h2"


def test_the_endpoint_is_spoken_to_as_the_client_speaks(field):
    _, port, origins = field
    assert get(port, "/follow/1")[2] == b"http/1.1"
    with H2Client(port) as client:
        assert client.get("/follow/2").body == b"ok"
    assert get(port, "/follow/3")[2] == b"http/1.1"
    seen = {request.path: request.link.protocol for request in origins["follow"].requests}
    assert seen == {"/follow/1": "http/1.1", "/follow/2": "h2", "/follow/3": "http/1.1"}


def test_a_connection_that_is_told_of_its_client_serves_this_client_alone(field):
    """The PROXY protocol in front of HTTP/2: a client's streams share a connection, which ends with the client's."""
    _, port, origins = field
    with H2Client(port) as one, H2Client(port) as two:
        for client in (one, two):
            streams = [client.request("/intro/") for _ in range(3)]
            assert [client.answer(stream).status for stream in streams] == [200] * 3
        links = origins["intro"].links
        own = [f"PROXY TCP4 127.0.0.1 127.0.0.1 {c.connection.getsockname()[1]} {port}".encode() for c in (one, two)]
        assert [(link.header, len(link.requests)) for link in links] == [(own[0], 3), (own[1], 3)]
    assert eventually(lambda: not origins["intro"].open_links)


def test_an_idle_connection_of_one_client_makes_room_for_another(field):
    """With one connection allowed, clients take turns: none waits until the other is gone."""
    _, port, origins = field
    with H2Client(port) as one, H2Client(port) as two:
        for client in (one, two, one):
            assert client.get("/scarce/").status == 200
    assert len(origins["scarce"].links) == 3


@pytest.mark.parametrize("name", ["sni", "autosni"])
def test_a_connection_for_a_host_serves_this_host_alone(field, name):
    _, port, origins = field
    with H2Client(port) as client:
        hosts = ["one.example", "two.example", "one.example:80", "two.example", "wrong.example"]
        streams = [client.request(f"/{name}/", host=host) for host in hosts]
        assert [client.answer(stream).status for stream in streams] == [200, 200, 200, 200, 503]
    used = [link for link in origins[name].links if link.requests]
    assert {link.protocol for link in used} == {"h2"} and len(used) == 2
    assert {frozenset(r.fields[":authority"].split(":")[0] for r in link.requests.values()) for link in used} == {
        frozenset(["one.example"]), frozenset(["two.example"])}
    assert set(origins[name].names) == {"one.example", "two.example", "wrong.example"}


@pytest.mark.one_worker
def test_original_destinations_are_spoken_to_in_http2():
    """Each destination has a connection of its own, which further requests for it share."""
    port = free_port()
    target = {"name": "pod", "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED", "connect_timeout": "1s", **explicit()}
    front = listener(port, http_filter([route("pod")]), listener_filters=[{"name": "pp", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol"}}],
        metadata={"filter_metadata": {"weft.dev/proxy_protocol": {"trusted_networks": ["127.0.0.0/8"]}}})
    with H2Origin() as one, H2Origin() as two, Proxy([front], [target]):
        for origin in (one, two, one, two):
            with Client(port) as client:
                client.send(f"PROXY TCP4 127.0.0.1 127.0.0.1 5555 {origin.port}\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
                assert client.response()[0] == 200
        assert [[len(link.requests) for link in origin.links] for origin in (one, two)] == [[2], [2]]


# --- The life of connections -----------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def lives():
    """One proxy with a cluster for each rule about the life of connections."""
    def common(**more):
        return explicit(common_http_protocol_options=more)
    def keepalive(timeout):
        return {"connection_keepalive": {"interval": "0.05s", "timeout": timeout, "interval_jitter": {"value": 0}}}
    rules = {"requests": common(max_requests_per_connection=2), "age": common(max_connection_duration="0.2s"),
             "idle": common(idle_timeout="0.1s"), "pinged": explicit(keepalive("30s"))}
    with contextlib.ExitStack() as stack:
        origins = {name: stack.enter_context(H2Origin()) for name in rules}
        # Takes everything and says nothing, not even that it heard a PING.
        mute = stack.enter_context(Origin(lambda peer: [peer.send(b"\0\0\0\4\0\0\0\0\0"), [peer.more() for _ in iter(int, 1)]]))
        port, strict, patient = free_port(), free_port(), free_port()
        clusters = [cluster(name, origins[name].port, **rule) for name, rule in rules.items()]
        clusters.append(cluster("mute", mute.port, **explicit(keepalive("0.3s"))))
        routes = [route({"cluster": name, "timeout": "0s"}, f"/{name}/") for name in [*rules, "mute"]]
        listeners = [listener(port, http_filter(routes)),
                     listener(strict, http_filter(routes, http2_protocol_options=keepalive("0.3s")), name="strict"),
                     listener(patient, http_filter(routes, http2_protocol_options=keepalive("30s")), name="patient")]
        proxy = stack.enter_context(Proxy(listeners, clusters))
        yield proxy, port, (strict, patient), {**origins, "mute": mute}


def test_a_connection_ends_after_its_last_request(lives):
    _, port, _, origins = lives
    for _ in range(5):
        assert get(port, "/requests/")[0] == 200
    links = origins["requests"].links
    assert [len(link.requests) for link in links] == [2, 2, 1]
    assert eventually(lambda: [link.is_closed for link in links] == [True, True, False])


def test_an_old_connection_takes_no_requests_and_an_idle_one_is_closed(lives):
    """The answer that is under way when the time is over comes whole."""
    _, port, _, origins = lives
    age, hold = origins["age"], threading.Event()

    def late(request):
        hold.wait(10)
        with contextlib.suppress(Exception):
            request.answer(b"late")
    age.whole = lambda request: threading.Thread(target=late, args=(request,)).start()
    with H2Client(port) as client:
        first = client.request("/age/")
        assert eventually(lambda: age.requests)
        assert eventually(lambda: (client.request("/age/"), len(age.links) > 1)[1]), "new requests go to a new connection"
        hold.set()
        assert client.answer(first).body == b"late"
    assert eventually(lambda: age.links[0].is_closed)
    assert get(port, "/idle/")[0] == 200
    assert eventually(lambda: origins["idle"].links[0].is_closed)
    assert get(port, "/idle/")[0] == 200
    assert len(origins["idle"].links) == 2


@pytest.mark.one_worker
def test_endpoints_are_asked_whether_they_are_there(lives):
    """H2 keepalive: who answers PINGs keeps the connection; who does not loses it, and the request is answered."""
    proxy, port, _, origins = lives
    assert get(port, "/pinged/")[0] == 200
    link = origins["pinged"].links[0]
    assert eventually(lambda: link.pings > 2)
    assert get(port, "/pinged/")[0] == 200 and len(origins["pinged"].links) == 1
    status, fields, _ = get(port, "/mute/")
    assert status in (503, 504) and "x-weft-reason" in fields
    assert proxy.stat("http2_keepalive_timeout_total") >= 1


def test_clients_are_asked_whether_they_are_there(lives):
    _, _, (strict, patient), _ = lives
    with Peer(strict) as mute:
        # Says nothing to PINGs: its connection ends, without an error of its own.
        assert not mute.until(lambda peer: False) and mute.is_closed and mute.goaway == "NO_ERROR"
    with H2Client(patient) as well:
        for _ in range(10):
            assert well.more()
        assert well.get("/idle/").status == 200


# --- CONNECT and TCP over streams ------------------------------------------------------------------------------------

CONNECT = [{"upgrade_type": "CONNECT"}]


def relaying(request):
    """A further proxy: takes CONNECT, greets, and gives back what it gets."""
    if "refuse" in request.fields[":authority"]:
        request.answer(b"no", status=403)
        return
    request.head(200, [("x-from", "proxy")])
    request.data(b"first ")


@pytest.fixture(scope="module")
def further():
    """One proxy that passes CONNECT and TCP on to a further one that speaks HTTP/2."""
    def ended(request):
        if "refuse" not in request.fields[":authority"]:
            request.data(b"bye", ends=True)
    with H2Origin(whole=ended, begun=relaying, piece=lambda request, data: request.data(data)) as origin:
        passing, tunnel, refused = free_port(), free_port(), free_port()
        routes = [{"match": {"connect_matcher": {}}, "route": {"cluster": "further", "timeout": "0s"}}]
        front = listener(passing, http_filter(routes, upgrade_configs=CONNECT, http2_protocol_options={"allow_connect": True}))
        tcp = [listener(port, tcp_filter("further", tunneling_config={"hostname": name}), name=name)
               for port, name in ((tunnel, "far:1"), (refused, "refuse:1"))]
        with Proxy([front, *tcp], [http2_cluster("further", origin.port)]) as proxy:
            yield proxy, passing, tunnel, refused, origin


def test_connect_of_http1_becomes_a_stream(further):
    _, port, _, _, origin = further
    with Client(port) as client:
        head = client.send(b"CONNECT there:443 HTTP/1.1\r\nHost: there:443\r\n\r\nearly ").until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ") and b"x-from: proxy" in head and b"transfer-encoding" not in head
        assert sorted([client.exactly(6), client.exactly(6)]) == [b"early ", b"first "]
        for word in (b"0123", b"z" * 30_000):
            assert client.send(word).exactly(len(word)) == word
        assert client.finish().rest() == b"bye"
    request = origin.requests[-1]
    assert request.fields[":method"] == "CONNECT" and request.fields[":authority"] == "there:443"
    assert ":path" not in request.fields and ":scheme" not in request.fields


def test_connect_of_http2_becomes_a_stream(further):
    proxy, port, _, _, origin = further
    with H2Client(port) as client:
        stream = client.request(path=None, method="CONNECT", host="there:1", scheme=None, ends=False)
        client.until(lambda: client.streams[stream].body == b"first ")
        assert client.streams[stream].status == 200
        client.data(stream, b"0123")
        client.until(lambda: client.streams[stream].body == b"first 0123")
        client.data(stream, b"", ends=True)
        assert client.answer(stream).body == b"first 0123bye"
        # One that the client resets is reset at the endpoint.
        other = client.request(path=None, method="CONNECT", host="there:1", scheme=None, ends=False)
        client.until(lambda: client.streams[other].body == b"first ")
        client.state.reset_stream(other, 8)
        client.flush()
        assert eventually(lambda: origin.requests[-1].reset is not None)
    assert eventually(lambda: proxy.stat("downstream_requests_active") == 0)


def test_a_refusal_over_http2_reaches_the_client(further):
    _, port, _, refused, _ = further
    with Client(port) as client:
        client.send(b"CONNECT refuse:443 HTTP/1.1\r\nHost: refuse:443\r\n\r\n")
        status, _, body = client.response()
        assert (status, body) == (403, b"no")
    # The reset may come before connect() is back.
    with contextlib.suppress(ConnectionResetError), Client(refused) as client:
        assert client.is_closed()


def test_tcp_goes_through_a_further_proxy_of_http2(further):
    """Connections share one session; each direction ends on its own."""
    _, _, tunnel, _, origin = further
    with Client(tunnel) as one, Client(tunnel) as two:
        for client in (one, two):
            client.send(b"early ")
            assert sorted([client.exactly(6), client.exactly(6)]) == [b"early ", b"first "]
        for client in (one, two):
            assert client.send(b"late").exactly(4) == b"late"
        for client in (one, two):
            assert client.finish().rest() == b"bye"
    own = [request for request in origin.requests if request.fields[":authority"] == "far:1"]
    assert len(own) == 2 and own[0].link is own[1].link


def test_websockets_are_streams_all_the_way():
    """Extended CONNECT to an endpoint that takes it, from clients of both versions; one that does not take it is not asked."""
    upgrades = [{"upgrade_type": "websocket"}]
    port = free_port()

    def begun(request):
        request.head(200, [("x-from", "origin")])
    with H2Origin(begun=begun, piece=lambda request, data: request.data(data), whole=lambda request: request.data(b"", ends=True),
                  settings={"enable_connect_protocol": 1}) as willing, H2Origin() as unwilling:
        routes = [route({"cluster": name, "timeout": "0s"}, f"/{name}") for name in ("willing", "unwilling")]
        front = listener(port, http_filter(routes, upgrade_configs=upgrades, http2_protocol_options={"allow_connect": True}))
        with Proxy([front], [http2_cluster("willing", willing.port), http2_cluster("unwilling", unwilling.port)]):
            head = (b"GET /%s HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
                    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
            with Client(port) as client:
                answer = client.send(head % b"willing").until(b"\r\n\r\n")
                assert answer.startswith(b"HTTP/1.1 101 ") and b"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in answer
                assert client.send(b"abc").exactly(3) == b"abc"
            with Client(port) as client:
                assert client.send(head % b"unwilling").response()[0] == 502
            with H2Client(port) as client:
                fields = [(":protocol", "websocket"), ("sec-websocket-version", "13")]
                stream = client.request("/willing", method="CONNECT", fields=fields, ends=False)
                client.until(lambda: client.streams[stream].fields)
                client.data(stream, b"defg")
                client.until(lambda: client.streams[stream].body == b"defg")
                client.data(stream, b"", ends=True)
                assert client.answer(stream).status == 200
                other = client.request("/unwilling", method="CONNECT", fields=fields, ends=False)
                client.until(lambda: client.streams[other].fields)
                assert client.streams[other].status == 502
        seen = [request.fields for request in willing.requests]
        assert [fields[":protocol"] for fields in seen] == ["websocket"] * 2 and "sec-websocket-key" not in seen[0]
        assert unwilling.requests == []


# --- Limits ----------------------------------------------------------------------------------------------------------

def test_limits_of_a_cluster_hold_for_all_workers():
    """Eight clients on four workers: as many requests pass as one worker would let pass."""
    release = threading.Event()

    def behaviour(peer):
        while True:
            peer.request()
            release.wait(10)
            peer.answer()
    limits = {"thresholds": [{"max_requests": 3, "track_remaining": True}]}
    port = free_port()
    with Origin(behaviour) as origin, Proxy(
            [listener(port, http_filter([route("c")]))], [cluster("c", origin.port, circuit_breakers=limits)],
            "--concurrency", "4") as proxy:
        clients = [Client(port).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(12)]
        left = "cluster.c.circuit_breakers.default.remaining_rq: 0"
        assert eventually(lambda: left in proxy.admin("/stats?filter=remaining_rq"))
        assert eventually(lambda: proxy.stat("circuit_breaker_refused_total") == 9)
        release.set()
        assert sorted(client.response()[0] for client in clients) == [200] * 3 + [503] * 9
        assert eventually(lambda: left.replace(": 0", ": 3") in proxy.admin("/stats?filter=remaining_rq"))
        assert origin.bytes.count(b"GET") == 3


@pytest.mark.parametrize("kind", [Proxy, Envoy])
def test_requests_that_wait_for_a_connection_are_counted_and_limited(made, kind):
    """An endpoint that does not finish its handshake: two may wait for it, whatever their number of connections."""
    silent = Origin(lambda peer: [peer.more() for _ in iter(int, 1)])
    tls = {"transport_socket": client_tls(common=trusting(made), sni="server.example"), "connect_timeout": "20s"}
    limits = {"circuit_breakers": {"thresholds": [{"max_pending_requests": 2}]}}
    port = free_port()
    routes = [route({"cluster": name, "timeout": "0s"}, f"/{name}") for name in ("one", "two")]
    with silent, kind([listener(port, http_filter(routes))], [
            cluster("one", silent.port, **tls, **limits), cluster("two", silent.port, **tls, **limits, **explicit())]) as proxy:
        for path, name, connections in (("/one", "one", 2), ("/two", "two", 1)):
            with H2Client(port) as client:
                before = len(silent.received)
                waiting = [client.request(path) for _ in range(2)]
                assert client.get(path).status == 503
                assert f"cluster.{name}.upstream_rq_pending_active: 2" in proxy.admin("/stats?filter=pending_active")
                assert eventually(lambda: len(silent.received) == before + connections)
                assert not any(client.streams[stream].ended for stream in waiting)
            assert eventually(lambda: f"cluster.{name}.upstream_rq_pending_active: 0" in proxy.admin("/stats?filter=pending_active"))


@pytest.mark.parametrize("kind", [Proxy, Envoy])
def test_a_worker_without_a_connection_may_make_one(kind):
    """As in Envoy: an endpoint without a connection gets one beyond the limit, or its requests would wait for good."""
    limits = {"circuit_breakers": {"thresholds": [{"max_connections": 1}]}}
    with Origin(serving(b"one")) as one, Origin(serving(b"two")) as two:
        port = free_port()
        with kind([listener(port, http_filter([route("c")]))], [cluster("c", one.port, two.port, **limits)]), Client(port) as client:
            answers = [client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response()[2] for _ in range(6)]
    assert set(answers) == {b"one", b"two"}
    assert len(one.received) == len(two.received) == 1


def test_connections_that_come_and_go_fail_no_request():
    """h2load over two workers, to endpoints whose connections end after some requests, on one side or the other, and are few."""
    if not shutil.which("h2load"):
        pytest.skip("needs h2load")
    far, near = free_port(), free_port()
    direct = [{"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "x" * 1000}}}]
    rules = {"own": explicit(common_http_protocol_options={"max_requests_per_connection": 7}),
             "few": {**explicit({"max_concurrent_streams": 3}), "circuit_breakers": {"thresholds": [
                 {"max_connections": 2, "max_pending_requests": 10_000, "max_requests": 10_000}]}}}
    endings = {"common_http_protocol_options": {"max_requests_per_connection": 50}}
    routes = [route({"cluster": name, "timeout": "30s"}, f"/{name}") for name in rules]
    with Proxy([listener(far, http_filter(direct, **endings))], []), Proxy(
            [listener(near, http_filter(routes))], [cluster(name, far, **rule) for name, rule in rules.items()],
            "--concurrency", "2") as proxy:
        for name in rules:
            done = subprocess.run(["h2load", "-n", "1000", "-c", "5", "-m", "20", f"http://127.0.0.1:{near}/{name}"],
                                  capture_output=True, text=True, timeout=60)
            assert "status codes: 1000 2xx" in done.stdout and " 0 failed, 0 errored" in done.stdout, done.stdout
        for what in ("upstream_rq_active", "upstream_rq_pending_active"):
            assert eventually(lambda: all(f"cluster.{name}.{what}: 0" in proxy.admin("/stats?filter=" + what) for name in rules))
