"""Relayed connections: half-close, detection of protocols, idle timeouts, other network namespaces."""

import os
import socket
import subprocess
import threading
import time

import pytest

from proxykit import Client, Origin, Proxy, cluster, eventually, free_port, http_filter, listener, route, serving, tcp_filter


def relay(target, **more):
    port = free_port()
    return Proxy([listener(port, tcp_filter(**more))], [cluster("origin", target)]), port


def upper(peer):
    """Sends back what it gets in capitals, and a word after the end."""
    while piece := peer.connection.recv(65536):
        peer.origin.take(peer.index, piece)
        peer.send(piece.upper())
    peer.send(b"END")


def test_bytes_pass_both_ways_and_each_direction_ends_by_itself():
    with Origin(upper) as origin:
        proxy, port = relay(origin.port)
        with proxy, Client(port) as client:
            assert client.send("hello").exactly(5) == b"HELLO"
            assert client.send("again").exactly(5) == b"AGAIN"
            assert client.finish().rest() == b"END"
            assert proxy.stat("tcp_open_total") >= 0


def test_the_endpoint_may_end_first():
    def behaviour(peer):
        peer.send(b"greeting")
        peer.connection.shutdown(socket.SHUT_WR)
        peer.exactly(4)
    with Origin(behaviour) as origin:
        proxy, port = relay(origin.port)
        with proxy, Client(port) as client:
            assert client.rest() == b"greeting"
            client.send("late").finish()
            assert eventually(lambda: origin.bytes == b"late")


def test_much_data_both_ways_at_once_with_slow_readers():
    size = 12_000_000
    proxy_errors = []

    def behaviour(peer):
        def sender():
            peer.send(bytes(range(256)) * (size // 256))
            peer.connection.shutdown(socket.SHUT_WR)
        thread = threading.Thread(target=sender)
        thread.start()
        count = 0
        while piece := peer.connection.recv(65536):
            count += len(piece)
        thread.join()
        proxy_errors.append(count)
    with Origin(behaviour) as origin:
        proxy, port = relay(origin.port)
        with proxy, Client(port) as client:
            sender = threading.Thread(target=lambda: (client.send(bytes(size)), client.finish()))
            sender.start()
            time.sleep(0.3)
            got = client.exactly(size // 256 * 256)
            sender.join()
            assert (got == bytes(range(256)) * (size // 256)) is True
            assert eventually(lambda: proxy_errors == [size])


def test_a_refused_endpoint_resets_the_client():
    proxy, port = relay(free_port())
    # On one machine the reset may be there before the call that connects has returned.
    with proxy, pytest.raises(ConnectionResetError), Client(port) as client:
        client.socket.recv(1)


def test_connecting_is_tried_elsewhere():
    with Origin(upper) as origin:
        port = free_port()
        with Proxy([listener(port, tcp_filter(max_connect_attempts=5))], [cluster("origin", free_port(), origin.port)]):
            for _ in range(8):
                with Client(port) as client:
                    assert client.send("x").exactly(1) == b"X"


def test_silence_ends_a_relay():
    with Origin(upper) as origin:
        proxy, port = relay(origin.port, idle_timeout="0.2s")
        with proxy, Client(port) as client:
            for _ in range(5):
                time.sleep(0.1)
                assert client.send("x").exactly(1) == b"X"
            start = time.monotonic()
            client.rest()
            assert 0.15 < time.monotonic() - start < 1


def test_weighted_clusters():
    with Origin(lambda peer: peer.send(b"a")) as a, Origin(lambda peer: peer.send(b"b")) as b:
        port = free_port()
        chain = tcp_filter()
        chain["typed_config"].pop("cluster")
        chain["typed_config"]["weighted_clusters"] = {"clusters": [{"name": "a", "weight": 3}, {"name": "b", "weight": 1}]}
        with Proxy([listener(port, chain)], [cluster("a", a.port), cluster("b", b.port)]):
            answers = [Client(port).exactly(1) for _ in range(100)]
            assert 10 < answers.count(b"b") < 45


# --- Detection -------------------------------------------------------------------------------------------------------

def detecting(web_port, raw_port, timeout="10s"):
    port = free_port()
    chains = [
        {"filter_chain_match": {"application_protocols": ["http/1.0", "http/1.1"]},
         "filters": [http_filter([route("web")])]}]
    inspector = {"name": "http_inspector", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.listener.http_inspector.v3.HttpInspector"}}
    one = listener(port, filter_chains=chains, default_filter_chain={"filters": [tcp_filter("raw")]},
                   listener_filters=[inspector], listener_filters_timeout=timeout,
                   continue_on_listener_filters_timeout=True)
    return Proxy([one], [cluster("web", web_port), cluster("raw", raw_port)]), port


def test_http_is_detected_also_when_it_comes_late_or_in_pieces():
    with Origin(serving(b"web")) as web, Origin(upper) as raw:
        proxy, port = detecting(web.port, raw.port)
        with proxy:
            with Client(port) as client:
                assert client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response()[2] == b"web"
            with Client(port) as client:
                for byte in b"GET / HTTP/1.1\r\nHost: a\r\n\r\n":
                    client.send(bytes([byte]))
                    time.sleep(0.005)
                assert client.response()[2] == b"web"
            with Client(port) as client:
                time.sleep(0.3)
                assert client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response()[2] == b"web"
                assert client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response()[2] == b"web"
            assert raw.bytes == b""


@pytest.mark.parametrize("first", [b"hello", b"\x16\x03\x01\x02\x00", b"get key\r\n", b"*1\r\n$4\r\nPING\r\n", b"G E T"])
def test_other_protocols_go_to_the_tcp_chain_at_once(first):
    with Origin(serving(b"web")) as web, Origin(upper) as raw:
        proxy, port = detecting(web.port, raw.port)
        with proxy, Client(port) as client:
            start = time.monotonic()
            assert client.send(first).exactly(len(first)) == first.upper()
            assert time.monotonic() - start < 1
            assert client.send("more").exactly(4) == b"MORE"


def test_a_server_that_speaks_first_is_heard_without_delay():
    def greeter(peer):
        peer.send(b"220 welcome\r\n")
        while True:
            peer.send(peer.until(b"\r\n").upper())
    with Origin(serving(b"web")) as web, Origin(greeter) as raw:
        proxy, port = detecting(web.port, raw.port)
        with proxy:
            for _ in range(3):
                with Client(port) as client:
                    start = time.monotonic()
                    assert client.until(b"\r\n") == b"220 welcome\r\n"
                    assert time.monotonic() - start < 0.5
                    assert client.send("helo\r\n").until(b"\r\n") == b"HELO\r\n"
                    # What looks like HTTP now is this protocol's.
                    assert client.send("GET / HTTP/1.1\r\n").until(b"\r\n") == b"GET / HTTP/1.1\r\n"


def test_a_client_that_only_ends_its_side_reaches_the_tcp_chain():
    with Origin(serving(b"web")) as web, Origin(upper) as raw:
        proxy, port = detecting(web.port, raw.port)
        with proxy, Client(port) as client:
            time.sleep(0.2)
            client.finish()
            assert client.rest() in (b"END", b"")


# --- Other network namespaces ----------------------------------------------------------------------------------------

@pytest.fixture
def namespace():
    """A process in a network namespace of its own, with `lo` up and a redirect as pods have it."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    script = ("ip link set lo up; ip route add local default dev lo; "
              "nft add table ip weft; nft 'add chain ip weft out { type nat hook output priority -100; }'; "
              "nft add rule ip weft out ip daddr 127.0.0.0/8 return; "
              "nft add rule ip weft out ip daddr 10.244.0.9 return; "
              "nft add rule ip weft out meta l4proto tcp redirect to :15001; echo ready; exec sleep 60")
    process = subprocess.Popen(["unshare", "-n", "sh", "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    yield process.pid
    process.kill()
    process.wait()


def inside(pid, code):
    """Runs Python in the namespace of a process."""
    done = subprocess.run(["nsenter", "-t", str(pid), "-n", "/usr/bin/python3", "-c", code], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr[-1000:]
    return done.stdout


CALL = """
import socket
s = socket.create_connection(({host!r}, {port}), 5)
s.sendall({data!r})
s.settimeout(5)
print(s.recv(1000))
"""


def in_namespace(pid, port, host="0.0.0.0"):
    return {"socket_address": {"address": host, "port_value": port, "network_namespace_filepath": f"/proc/{pid}/ns/net"}}


def test_connections_of_a_pod_reach_services_and_the_world_by_their_destination(namespace):
    labels = {"filter_metadata": {"weft.dev/labels": {"namespace": "default", "deployment": "caller"}}}
    pod = {"name": "outbound", "address": in_namespace(namespace, 15001), "use_original_dst": True, "metadata": labels,
           "listener_filters": [{"name": "original_dst", "typed_config": {
               "@type": "type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst"}}],
           "default_filter_chain": {"filters": [tcp_filter("passthrough")]}}
    service = {"name": "service", "address": {"socket_address": {"address": "10.96.0.7", "port_value": 80}},
               "bind_to_port": False, "filter_chains": [{"filters": [http_filter([route("origin")])]}]}
    passthrough = {"name": "passthrough", "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED", "connect_timeout": "1s"}
    with Origin(serving(b"service")) as origin:
        with Proxy([pod, service], [cluster("origin", origin.port), passthrough]) as proxy:
            request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
            assert "service" in inside(namespace, CALL.format(host="10.96.0.7", port=80, data=request))
            # Another port of the same address has no listener: it goes out as it came, and nobody is there.
            host = next((line.split()[1].split("/")[0] for line in subprocess.run(
                ["ip", "-o", "-4", "addr", "show", "scope", "global"], capture_output=True, text=True
            ).stdout.splitlines() for line in [" ".join(line.split()[2:])]), None)
            if host:
                with Origin(upper, host=host) as outside:
                    code = CALL.format(host=host, port=outside.port, data=b"hello")
                    assert "HELLO" in inside(namespace, code)
            assert proxy.stat("request_total") >= 1


def test_endpoints_are_dialled_in_their_namespace(namespace):
    server = ("import socket\ns=socket.create_server(('0.0.0.0',8080))\nprint('up',flush=True)\n"
              "while True:\n c,_=s.accept()\n d=c.recv(1000)\n c.sendall(b'HTTP/1.1 200 OK\\r\\ncontent-length: 6\\r\\n\\r\\ninside')\n")
    process = subprocess.Popen(["nsenter", "-t", str(namespace), "-n", "/usr/bin/python3", "-c", server],
                               stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "up\n"
        port = free_port()
        place = {"endpoint": {"address": in_namespace(namespace, 8080, "10.244.0.9")}}
        with Proxy([listener(port, http_filter([route("origin")]))], [cluster("origin", place)]):
            with Client(port) as client:
                assert client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response()[2] == b"inside"
    finally:
        process.kill()
        process.wait()


def test_a_pod_reaches_another_pod_directly(namespace):
    """A connection to another pod's address is dialled in that pod's namespace, whatever the port."""
    script = "ip link set lo up; ip route add local default dev lo; echo ready; exec sleep 60"
    other = subprocess.Popen(["unshare", "-n", "sh", "-c", script], stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "ready\n"
    server = ("import socket,threading\nprint('up',flush=True)\n"
              "def run(port, data):\n s=socket.create_server(('0.0.0.0',port))\n"
              " while True:\n  c,_=s.accept()\n  d=c.recv(1000)\n  c.sendall(data)\n  c.close()\n"
              "threading.Thread(target=run,args=(9090,b'raw')).start()\n"
              "run(8080,b'HTTP/1.1 200 OK\\r\\ncontent-length: 5\\r\\n\\r\\nhello')\n")
    process = subprocess.Popen(["nsenter", "-t", str(other.pid), "-n", "/usr/bin/python3", "-c", server],
                               stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "up\n"
        pod = {"name": "outbound", "address": in_namespace(namespace, 15001), "use_original_dst": True,
               "listener_filters": [{"name": "original_dst", "typed_config": {
                   "@type": "type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst"}}],
               "default_filter_chain": {"filters": [tcp_filter("pod")]}}
        direct = {"name": "pod", "address": {"socket_address": {"address": "10.244.0.10", "port_value": 0}},
                  "bind_to_port": False,
                  "filter_chains": [{"filter_chain_match": {"destination_port": 8080}, "filters": [http_filter([route("pod")])]}],
                  "default_filter_chain": {"filters": [tcp_filter("pod")]}}
        target = {"name": "pod", "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED", "connect_timeout": "1s",
                  "upstream_bind_config": {"source_address": in_namespace(other.pid, 0)["socket_address"]}}
        with Proxy([pod, direct], [target]):
            request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
            for _ in range(3):
                assert "hello" in inside(namespace, CALL.format(host="10.244.0.10", port=8080, data=request))
                assert "raw" in inside(namespace, CALL.format(host="10.244.0.10", port=9090, data=b"x"))
    finally:
        for one in (process, other):
            one.kill()
            one.wait()
