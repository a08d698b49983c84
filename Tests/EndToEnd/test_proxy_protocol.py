"""The PROXY protocol (A11): demanded where it is configured, believed only of whom it is configured for."""

import contextlib
import json
import pathlib
import socket
import struct
import subprocess
import tempfile

import pytest

from proxykit import (
    Client, Origin, Proxy, cluster, free_port, http_filter, listener, program, route, serving, tcp_filter)
from weftkit import wait_until

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
FILTER = {"name": "proxy_protocol", "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol"}}
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def v2(source="192.0.2.7", destination="198.51.100.1", values=b"", command=0x21):
    payload = socket.inet_aton(source) + socket.inet_aton(destination) + struct.pack("!HH", 4000, 80) + values
    return SIGNATURE + bytes([command, 0x11]) + struct.pack("!H", len(payload)) + payload


@contextlib.contextmanager
def protected(*filters, filter=FILTER, **more):
    """A proxy that demands the header; gives (proxy, port, origin)."""
    port = free_port()
    with Origin(serving()) as origin:
        chain = filters or (http_filter([route()], use_remote_address=True),)
        rules = more.pop("listener_filters", [filter])
        with Proxy([listener(port, *chain, listener_filters=rules, **more)], [cluster("origin", origin.port)]) as proxy:
            yield proxy, port, origin


@pytest.fixture(scope="module")
def field():
    with protected() as parts:
        yield parts


def closed_without_a_word(port, data, pieces=1):
    with Client(port) as client:
        try:
            step = -(-len(data) // pieces)
            for start in range(0, len(data), step):
                client.send(data[start : start + step])
        except OSError:
            return True
        return client.rest() == b""


@pytest.mark.parametrize("header, seen", [
    (b"PROXY TCP4 192.0.2.7 198.51.100.1 4000 80\r\n", "192.0.2.7"), (b"PROXY TCP6 2001:db8::7 ::1 1 2\r\n", "2001:db8::7"),
    (b"PROXY UNKNOWN\r\n", "127.0.0.1"), (v2(), "192.0.2.7"), (v2(values=b"\x02\0\x01a"), "192.0.2.7"),
    (v2(command=0x20), "127.0.0.1")], ids=["v1", "v1-ipv6", "v1-unknown", "v2", "v2-tlv", "v2-local"])
@pytest.mark.parametrize("split", [False, True], ids=["whole", "bytewise"])
def test_the_endpoint_hears_of_the_real_client(field, header, seen, split):
    _, port, origin = field
    before = len(origin.bytes)
    with Client(port) as client:
        for piece in ([bytes([byte]) for byte in header + GET] if split else [header + GET]):
            client.send(piece)
        assert client.response()[0] == 200
        assert client.send(GET).response()[0] == 200, "the connection goes on as an ordinary one"
    assert origin.bytes[before:].lower().count(f"x-forwarded-for: {seen}\r\n".encode()) == 2


@pytest.mark.parametrize("data", [
    GET, b"PROXY " + b"x" * 200, b"PROXY TCP4 " + b"1" * 200 + b"\r\n", b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n" + GET,
    SIGNATURE + b"\x21\x11\0\x04abcd" + GET, v2(values=b"\x02\xff\xffa") + GET, SIGNATURE + b"\x21\x11\xff\xff" + b"x" * 5000,
    SIGNATURE[:-1] + b"\x0b" + b"\x21\x11" + GET])
def test_whatever_is_no_header_is_closed_without_a_word(field, data):
    proxy, port, origin = field
    before = origin.bytes
    assert closed_without_a_word(port, data) and closed_without_a_word(port, data, pieces=7)
    assert origin.bytes == before and proxy.process.poll() is None
    assert "bad_proxy_header" in proxy.admin("/stats/prometheus")


def test_a_header_must_come_in_time():
    with protected(listener_filters_timeout="0.2s") as (_, port, origin), Client(port) as client:
        client.send(b"PROXY TCP4 ")
        assert client.rest() == b"" and origin.bytes == b""


@pytest.mark.parametrize("network, status", [("127.0.0.0/8", 200), ("10.0.0.0/8", None)])
def test_only_listed_networks_are_believed(network, status):
    trusted = {"filter_metadata": {"weft.dev/proxy_protocol": {"trusted_networks": ["fd00::/8", network]}}}
    with protected(metadata=trusted) as (_, port, origin):
        if status is None:
            assert closed_without_a_word(port, v2() + GET) and origin.bytes == b""
        else:
            with Client(port) as client:
                assert client.send(v2() + GET).response()[0] == status


def test_versions_may_be_refused():
    refusing = {**FILTER, "typed_config": {**FILTER["typed_config"], "disallowed_versions": ["V1"]}}
    with protected(filter=refusing) as (_, port, _):
        assert closed_without_a_word(port, b"PROXY UNKNOWN\r\n" + GET)
        with Client(port) as client:
            assert client.send(v2() + GET).response()[0] == 200


def test_tcp_and_detected_connections_keep_the_bytes_behind_the_header():
    inspector = {"name": "http_inspector", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.listener.http_inspector.v3.HttpInspector"}}
    chains = [{"filter_chain_match": {"application_protocols": ["http/1.0", "http/1.1"]},
               "filters": [http_filter([route()], use_remote_address=True)]}, {"filters": [tcp_filter()]}]
    with protected(filter_chains=chains, listener_filters=[FILTER, inspector]) as (_, port, origin):
        with Client(port) as client:
            assert client.send(v2() + GET).response()[0] == 200
        assert b"x-forwarded-for: 192.0.2.7\r\n" in origin.bytes.lower()
    with protected(tcp_filter()) as (_, port, origin):
        with Client(port) as client:
            assert client.send(v2() + GET).response()[0] == 200
        assert origin.bytes == GET


def listens(host, port):
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


@pytest.mark.parametrize("version", ["send-proxy", "send-proxy-v2", "send-proxy-v2-ssl-cn"])
def test_haproxy_in_front(field, version):
    _, port, origin = field
    front = free_port()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="weft-haproxy-", dir="/tmp"))
    (folder / "haproxy.cfg").write_text(f"""
defaults
  mode tcp
  timeout connect 5s
  timeout client 5s
  timeout server 5s
listen front
  bind 127.0.0.2:{front}
  server weft 127.0.0.1:{port} {version}
""")
    before = len(origin.bytes)
    haproxy = subprocess.Popen(["haproxy", "-db", "-f", folder / "haproxy.cfg"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: listens("127.0.0.2", front), "haproxy listens")
        with socket.create_connection(("127.0.0.2", front), 5, source_address=("127.0.0.9", 0)) as client:
            client.sendall(GET)
            assert client.recv(4096).startswith(b"HTTP/1.1 200")
    finally:
        haproxy.kill()
        haproxy.wait()
    assert b"x-forwarded-for: 127.0.0.9\r\n" in origin.bytes[before:].lower()


@pytest.mark.parametrize("settings, more, named", [
    ({"allow_requests_without_proxy_protocol": True}, {}, "allow_requests_without_proxy_protocol"),
    ({"disallowed_versions": ["V1", "V2"]}, {}, "disallows both"),
    ({"rules": [{"tlv_type": 2}]}, {}, "rules"),
    ({}, {"trusted_networks": ["everywhere"]}, "trusted_networks"), ({}, {"networks": []}, "trusted_networks")])
def test_what_cannot_be_kept_is_refused_by_name(tmp_path, settings, more, named):
    demanding = {**FILTER, "typed_config": {**FILTER["typed_config"], **settings}}
    metadata = {"metadata": {"filter_metadata": {"weft.dev/proxy_protocol": more}}} if more else {}
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"static_resources": {
        "listeners": [listener(1, http_filter([route()]), listener_filters=[demanding], **metadata)],
        "clusters": [cluster("origin", 1)]}}))
    result = subprocess.run([program(), "--mode", "validate", "-c", path], capture_output=True, text=True, timeout=10)
    assert result.returncode == 1 and named in result.stderr
