"""Unix sockets, options and addresses of listeners, limits of connections, and the small network filters."""

import contextlib
import os
import pathlib
import socket
import ssl
import stat
import subprocess
import tempfile

import pytest

import proxykit
from envoykit import Envoy
from proxykit import Client, Origin, Proxy, cluster, eventually, free_port, http_filter, listener, route, serving

FILTER = "type.googleapis.com/envoy.extensions.filters.network."
INSPECTOR = "type.googleapis.com/envoy.extensions.filters.listener."
ECHO = {"name": "echo", "typed_config": {"@type": FILTER + "echo.v3.Echo"}}


def direct(text):
    return {"name": "text", "typed_config": {
        "@type": FILTER + "direct_response.v3.Config", "response": {"inline_string": text}}}


def limited(count, *filters, **more):
    limit = {"@type": FILTER + "connection_limit.v3.ConnectionLimit", "stat_prefix": "l", "max_connections": count}
    return {"filters": [{"name": "limit", "typed_config": {**limit, **more}}, *filters]}


def on_pipe(path, *filters, mode=0, **more):
    pipe = {"path": str(path), **({"mode": mode} if mode else {})}
    return {**listener(0, *filters, **more), "address": {"pipe": pipe}}


@pytest.fixture
def folder():
    # Paths of sockets are short.
    with tempfile.TemporaryDirectory(prefix="weft-") as made:
        yield pathlib.Path(made)


def dial(path):
    one = socket.socket(socket.AF_UNIX)
    one.settimeout(proxykit.DEADLINE)
    one.connect(str(path) if str(path)[0] != "@" else "\0" + str(path)[1:])
    return one


def said(connection):
    text = b""
    while part := connection.recv(65536):
        text += part
    return text


def test_unix_sockets_listen_with_their_mode_and_stale_files_are_replaced(folder):
    path, name = folder / "web.sock", f"@weft-{os.getpid()}-{folder.name}"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with Origin(serving(b"over a pipe")) as origin:
        web = http_filter([route()], use_remote_address=True)
        clusters = [cluster("origin", origin.port)]
        listeners = [on_pipe(path, web, mode=0o622, name="web"), on_pipe(name, direct("hidden"), name="name")]
        with Proxy(listeners, clusters, "--concurrency", "2") as proxy:
            assert stat.S_IMODE(path.stat().st_mode) == 0o622
            for _ in range(4):
                with dial(path) as one:
                    one.sendall(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
                    assert said(one).endswith(b"over a pipe")
            assert b"x-forwarded-for" not in origin.bytes.lower()
            with dial(name) as one:
                assert said(one) == b"hidden"
            curl = ["curl", "-sS", "--max-time", "5", "--unix-socket", str(path), "http://any/"]
            assert subprocess.run(curl, capture_output=True, check=True).stdout == b"over a pipe"
            # Somebody else's live socket is not taken away.
            with pytest.raises(AssertionError, match="another process listens"):
                with Proxy([on_pipe(path, ECHO)], []):
                    pass
            with dial(path):
                pass
            proxy.process.terminate()
            proxy.process.wait(proxykit.DEADLINE)
            assert not path.exists()


def named(**chains):
    """A chain for each match, which says its name; `rest` is the default chain."""
    made = [{"name": name, "filter_chain_match": match, "filters": [direct(name)]} for name, match in chains.items()]
    return {"filter_chains": made, "default_filter_chain": {"filters": [direct("rest")]}}


def hello(name, *protocols):
    """The first bytes of a TLS client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(protocols)
    out = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name).do_handshake()
    return out.read()


def test_chains_are_chosen_as_envoy_chooses_them():
    ports = [free_port() for _ in range(3)]
    two, all_of_us = {"address_prefix": "127.0.0.2", "prefix_len": 32}, {"address_prefix": "127.0.0.0", "prefix_len": 8}
    sources = named(
        range={"source_prefix_ranges": [two]}, port={"destination_port": ports[0] + 1}, wide={
            "source_prefix_ranges": [all_of_us]}, local={"source_type": "SAME_IP_OR_LOOPBACK"})
    # The destination decides first: who fails behind it does not come back to the chain without one.
    destinations = named(
        here={"prefix_ranges": [{"address_prefix": "127.0.0.1", "prefix_len": 32}], "source_prefix_ranges": [two]},
        anywhere={})
    names = named(
        exact={"server_names": ["a.example.com"]}, below={"server_names": ["*.example.com"]},
        deep={"server_names": ["*.b.example.com"], "application_protocols": ["h2"]},
        tls={"transport_protocol": "tls"}, web={"application_protocols": ["http/1.1"]},
        old={"application_protocols": ["http/1.0"]}, prior={"application_protocols": ["h2c"]})
    inspect = [{"name": "tls", "typed_config": {"@type": INSPECTOR + "tls_inspector.v3.TlsInspector"}},
               {"name": "http", "typed_config": {"@type": INSPECTOR + "http_inspector.v3.HttpInspector"}}]
    tries = [(ports[0], f"127.0.0.{host}", b"") for host in (1, 2, 3)]
    tries += [(ports[1], f"127.0.0.{host}", b"") for host in (1, 2)]
    tries += [(ports[2], "127.0.0.1", first) for first in (
        hello("a.example.com"), hello("c.example.com"), hello("x.b.example.com", "h2"), hello("x.b.example.com"),
        hello("other.org", "http/1.1"), b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x00\x01 no http at all\r\n\r\n")]

    def answers(kind):
        listeners = [listener(port, name=f"l{port}", **chains) for port, chains in zip(
            ports, (sources, destinations, {**names, "listener_filters": inspect}))]
        found = []
        with kind(listeners, []):
            for port, source, first in tries:
                with socket.create_connection(("127.0.0.1", port), proxykit.DEADLINE, (source, 0)) as one:
                    one.sendall(first)
                    found.append(said(one).decode())
        return found

    own = answers(Proxy)
    assert own[:5] == ["local", "range", "wide", "rest", "here"]
    assert own == answers(Envoy)


def test_connections_are_limited_by_chain_and_by_process():
    bounded, other, free = free_port(), free_port(), free_port()
    listeners = [
        listener(bounded, name="bounded", filter_chains=[limited(1, ECHO)]),
        listener(other, ECHO, name="other"),
        listener(free, ECHO, name="free", ignore_global_conn_limit=True),
    ]
    monitor = {"@type": "type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3."
               "DownstreamConnectionsConfig", "max_active_downstream_connections": 2}
    overload = {"resource_monitors": [
        {"name": "envoy.resource_monitors.global_downstream_max_connections", "typed_config": monitor}]}
    with Proxy(listeners, [], "--concurrency", "2", overload_manager=overload) as proxy:
        def works(port):
            one = Client(port)
            one.send(b"hello")
            with_answer = one.exactly(5) == b"hello"
            return one if with_answer else None

        with works(bounded):
            with Client(bounded) as second:
                assert second.is_closed()
            assert proxy.stat("downstream_connections_limited_total") == 1
            with works(other):
                with Client(other) as third:
                    assert third.is_closed()
                assert proxy.stat("downstream_connections_refused_total") == 1
                with works(free):
                    pass

        def free_again():
            try:
                with works(bounded):
                    return True
            except OSError:
                return False
        eventually(free_again)


def test_addresses_and_options_are_those_of_the_configuration():
    port, more = free_port(), free_port()
    options = [{"level": 6, "name": 9, "int_value": 3, "state": "STATE_BOUND", "description": "TCP_DEFER_ACCEPT"}]
    several = listener(
        port, direct("here"), address={"socket_address": {"address": "::", "port_value": port, "ipv4_compat": True}},
        additional_addresses=[{"address": {"socket_address": {"address": "::", "port_value": more}}}],
        socket_options=options, tcp_backlog_size=7, freebind=True, tcp_fast_open_queue_length=5,
        tcp_keepalive={"keepalive_time": 30}, max_connections_to_accept_per_socket_event=1, drain_type="MODIFY_ONLY")
    with Proxy([several], []):
        for host, number in (("127.0.0.1", port), ("::1", port), ("::1", more)):
            with socket.create_connection((host, number), proxykit.DEADLINE) as one:
                one.sendall(b"x")
                assert said(one) == b"here"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", more), proxykit.DEADLINE)
        queue = subprocess.run(["ss", "-ltnH", f"sport = :{port}"], capture_output=True, text=True).stdout
        assert queue == "" or queue.split()[2] == "7"


def test_chains_change_without_the_connections_of_those_that_stay(tmp_path):
    first, second = free_port(), free_port()
    file = tmp_path / "listeners.json"

    def write(text):
        chain = {"name": "stays", "filter_chain_match": {"destination_port": first}, "filters": [
            http_filter([{"match": {"prefix": "/"}, "direct_response": {"status": 200}}])]}
        other = {"name": "changes", "filter_chain_match": {"destination_port": second}, "filters": [
            http_filter([{"match": {"prefix": "/"}, "direct_response": {
                "status": 200, "body": {"inline_string": text}}}])]}
        one = listener(first, filter_chains=[chain, other], additional_addresses=[
            {"address": proxykit.address(second)}])
        one["@type"] = "type.googleapis.com/envoy.config.listener.v3.Listener"
        partial = file.with_suffix(".new")
        partial.write_text(proxykit.json.dumps({"version_info": text, "resources": [one]}))
        partial.rename(file)

    write("one")
    dynamic = {"lds_config": {"path_config_source": {"path": str(file)}}}
    with Proxy([], [], dynamic_resources=dynamic):
        with Client(first) as stays, Client(second) as changes:
            def ask(client):
                client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
                return client.response()
            ask(stays), ask(changes)
            write("two")
            eventually(lambda: proxykit.get(second)[2] == b"two")
            assert "connection" not in ask(stays)[1]
            assert ask(changes)[1]["connection"] == "close"


def test_small_buffers_carry_large_bodies_both_ways():
    port, relay = free_port(), free_port()
    body = bytes(range(256)) * 1024

    def behaviour(peer):
        while True:
            _, got = peer.request()
            assert got == body
            peer.answer(body)
    with Origin(behaviour) as origin:
        listeners = [
            listener(port, http_filter([route()]), name="web", per_connection_buffer_limit_bytes=700),
            listener(relay, proxykit.tcp_filter(), name="raw", per_connection_buffer_limit_bytes=700)]
        with Proxy(listeners, [cluster("origin", origin.port, per_connection_buffer_limit_bytes=900)]):
            for number in (port, relay):
                with Client(number) as client:
                    client.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
                    assert client.response()[2] == body


def test_what_cannot_be_kept_to_is_refused_by_its_path(tmp_path):
    chains = [{"filters": [ECHO]}, {"name": "again", "filters": [ECHO]}]
    for listeners, clusters, said in (
        ([listener(9, filter_chains=chains)], [], "filter_chains[1].filter_chain_match: filter_chains[0] takes the same"),
        ([listener(9, ECHO, ECHO)], [], "filter_chains[0].filters[0].typed_config: before the last filter"),
        ([listener(9, ECHO, connection_balance_config={"exact_balance": {}})], [], "connection_balance_config: not supported"),
        ([on_pipe("x" * 120, ECHO)], [], "address.pipe.path: a Unix socket's path"),
        ([on_pipe("/x", ECHO, freebind=True)], [], "freebind: is for TCP"),
    ):
        path = tmp_path / "c.json"
        path.write_text(proxykit.json.dumps({"static_resources": {"listeners": listeners, "clusters": clusters}}))
        done = subprocess.run([proxykit.program(), "--mode", "validate", "-c", str(path)], capture_output=True, text=True)
        assert done.returncode == 1 and said in done.stderr, done.stderr
