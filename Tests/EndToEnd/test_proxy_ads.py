"""weft-proxy takes its configuration from a control plane; the same scripts run against Envoy where there is one."""

import contextlib
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import urllib.error

import pytest

import envoykit
from adskit import ADS, API, KINDS, TLS, ControlPlane, dynamic, eds_cluster, rds_filter, secret
from proxykit import Client, Origin, Proxy, endpoint, eventually, free_port, get, http_filter, listener, route, serving

VARIANTS = ["GRPC", "DELTA_GRPC"]


def assignment(name, *ports):
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint(port) for port in ports]}]}


def table(*routes, name="routes"):
    return {"name": name, "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": list(routes)}]}


def body(port, path="/"):
    try:
        return get(port, path)[2]
    except (OSError, EOFError):
        return b"refused"


def dump(proxy, resource):
    """The elements of a list in the dump of the configuration."""
    with contextlib.suppress(urllib.error.HTTPError):
        return json.loads(proxy.admin(f"/config_dump?resource={resource}"))["configs"]
    return []


class Starting(Proxy):
    """A proxy that is not waited for."""

    def __enter__(self):
        self.begin()
        return self

    def ready(self):
        try:
            return self.admin("/ready").strip()
        except urllib.error.HTTPError as error:
            return error.read().decode().strip()
        except OSError:
            return ""


@pytest.fixture
def plane():
    with ControlPlane() as one:
        yield one


@pytest.fixture
def origins():
    with Origin(serving(b"one")) as one, Origin(serving(b"two")) as two:
        yield one.port, two.port


def serve(plane, port, *ports):
    plane.put(cds=[eds_cluster("origin")], eds=[assignment("origin", *ports)], lds=[listener(port, rds_filter())],
              rds=[table(route())])


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("program", [Proxy, envoykit.Envoy])
def test_resources_change_are_refused_and_go(plane, origins, program, variant):
    port = free_port()
    serve(plane, port, origins[0])
    with dynamic(plane, program, variant) as proxy:
        assert body(port) == b"one"
        assert "control_plane.connected_state: 1" in proxy.admin("/stats")
        plane.put(eds=[assignment("origin", origins[1])])
        assert eventually(lambda: body(port) == b"two")
        plane.put(rds=[table({"match": {"prefix": "/"}, "direct_response": {"status": 418}})])
        assert eventually(lambda: get(port)[0] == 418)
        plane.put(rds=[table(route())])
        # A bad cluster is refused by name, and the one before serves.
        plane.put(cds=[eds_cluster("origin", lb_policy=77)])
        assert "lb_policy" in plane.refused("cds").replace("LbPolicy", "lb_policy")
        assert eventually(lambda: body(port) == b"two")
        assert "cluster_manager.cds.update_rejected: 1\n" in proxy.admin("/stats")
        plane.put(cds=[eds_cluster("origin", lb_policy="RANDOM")])
        assert plane.settled("cds") and body(port) == b"two"
        # A route to a cluster that is gone.
        plane.drop(cds=["origin"])
        assert eventually(lambda: get(port)[0] == 503)
        plane.drop(lds=["listener"])
        assert eventually(lambda: body(port) == b"refused")


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_proxy_waits_for_its_control_plane_and_outlives_it(origins, variant):
    port, plane = free_port(), ControlPlane(port=free_port())
    with dynamic(plane, Starting, variant) as proxy:
        assert eventually(lambda: "cannot connect" in proxy.ready())
        assert proxy.ready().startswith("PRE_INITIALIZING: waiting for clusters from the control plane")
        assert body(port) == b"refused"
        plane.silent = {"eds"}
        serve(plane, port, origins[0])
        plane.again()
        try:
            assert eventually(lambda: proxy.ready() == "PRE_INITIALIZING: the cluster origin waits for its endpoints or secrets")
            assert [one["cluster"]["name"] for one in dump(proxy, "dynamic_warming_clusters")] == ["origin"]
            plane.silent = {"rds"}
            plane.put(eds=[assignment("origin", origins[0])])
            assert eventually(lambda: proxy.ready() == "INITIALIZING: the listener listener waits for its routes or secrets")
            assert "warming_state" in dump(proxy, "dynamic_listeners")[0] and body(port) == b"refused"
            plane.silent = set()
            plane.put(rds=[table(route())])
            assert eventually(lambda: proxy.ready() == "LIVE") and body(port) == b"one"
            with Client(port) as client:
                ask = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
                assert client.send(ask).response()[0] == 200
                plane.stop()
                assert eventually(lambda: "control_plane.connected_state: 0" in proxy.admin("/stats"))
                assert client.send(ask).response()[0] == 200 and body(port) == b"one"
                # Back again, with what changed meanwhile; what did not change is not touched.
                plane.put(eds=[assignment("origin", origins[1])])
                plane.again()
                assert eventually(lambda: body(port) == b"two")
                assert client.send(ask).response()[2] == b"two"
            first = {request["type_url"].split(".")[-1]: request for request in reversed(plane.streams[0].requests)}
            assert plane.streams[0].node["id"] == "test" and not first["Cluster"].get("response_nonce")
            known = first["Cluster"].get("version_info") or first["Cluster"].get("initial_resource_versions")
            assert known in ("1", {"origin": "1"})
        finally:
            plane.stop()


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_changed_cluster_serves_while_it_warms_and_connections_live_on(plane, origins, variant):
    port = free_port()
    serve(plane, port, origins[0])
    with dynamic(plane, Proxy, variant) as proxy, Client(port) as client:
        ask = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        assert client.send(ask).response()[2] == b"one"
        plane.silent = {"eds"}
        late = eds_cluster("origin")
        late["eds_cluster_config"]["service_name"] = "late"
        plane.put(cds=[late], eds=[assignment("late", origins[1])])
        assert eventually(lambda: dump(proxy, "dynamic_warming_clusters"))
        assert "cluster_manager.warming_clusters: 1\n" in proxy.admin("/stats")
        assert client.send(ask).response()[2] == b"one"
        plane.silent = set()
        plane.put(eds=[assignment("late", origins[1])])
        assert eventually(lambda: client.send(ask).response()[2] == b"two")
        # A listener whose bytes are the same is nothing; other routes are no reason to part either.
        plane.put(lds=[listener(port, rds_filter())], rds=[table(route(), route(prefix="/x"))])
        assert plane.settled("rds") and plane.settled("lds")
        assert client.send(ask).response()[2] == b"two"
        assert "listener_manager.listener_modified: 0\n" in proxy.admin("/stats")


def test_what_lives_for_a_time_goes_without_heartbeats(plane, origins):
    port = free_port()
    plane.ttl = {"rds": "1s"}
    serve(plane, port, origins[0])
    with dynamic(plane):
        assert eventually(lambda: get(port)[0] == 404), "its life is over"
        plane.heartbeat("rds")
        assert get(port)[0] == 404, "a heartbeat brings nothing back"
        plane.ttl = {}
        plane.put(rds=[table(route())])
        assert eventually(lambda: body(port) == b"one")


def leaf(folder, name):
    """A certificate that signs itself, and its key."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
         "-days", "5", "-keyout", f"{name}.key", "-out", f"{name}.pem"], cwd=folder, check=True, capture_output=True, timeout=20)
    return (folder / f"{name}.pem").read_text(), (folder / f"{name}.key").read_text()


def subject(port):
    """Connects, and tells whose certificate came; the connection stays open."""
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    secure = trusting.wrap_socket(socket.create_connection(("127.0.0.1", port), 10))
    done = subprocess.run(["openssl", "x509", "-inform", "der", "-noout", "-subject"], input=secure.getpeercert(True),
                          capture_output=True, timeout=20)
    return done.stdout.decode().split("=")[-1].strip(), secure


def ask(secure):
    secure.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    answer = b""
    while b"\r\n\r\n" not in answer or not answer.endswith((b"one", b"two")):
        piece = secure.recv(65536)
        assert piece, answer
        answer += piece
    return answer


@pytest.mark.parametrize("variant", VARIANTS)
def test_secrets_turn_without_parting_anybody(plane, origins, tmp_path, variant):
    port = free_port()
    first, second = leaf(tmp_path, "first"), leaf(tmp_path, "second")
    socket_ = {"name": "tls", "typed_config": {"@type": API + TLS + "DownstreamTlsContext", "common_tls_context": {
        "tls_certificate_sds_secret_configs": [{"name": "own", "sds_config": ADS}]}}}
    plane.silent = {"sds"}
    serve(plane, port, origins[0])
    plane.put(lds=[listener(port, filter_chains=[{"filters": [rds_filter()], "transport_socket": socket_}])],
              sds=[secret("own", *first)])
    with dynamic(plane, Starting, variant) as proxy:
        assert eventually(lambda: proxy.ready() == "INITIALIZING: the listener listener waits for its routes or secrets")
        plane.silent = set()
        plane.put(sds=[secret("own", *first)])
        assert eventually(lambda: proxy.ready() == "LIVE")
        name, old = subject(port)
        assert name == "first" and b" 200 " in ask(old)
        # A key that does not fit is refused; what was before serves.
        plane.put(sds=[secret("own", first[0], second[1])])
        assert 'resources[0] (secret "own")' in plane.refused("sds")
        name, other = subject(port)
        assert name == "first"
        other.close()
        plane.put(sds=[secret("own", *second)])
        assert plane.settled("sds")
        name, new = subject(port)
        assert name == "second" and b" 200 " in ask(new) and b" 200 " in ask(old)
        shown = dump(proxy, "dynamic_active_secrets")
        assert [one["name"] for one in shown] == ["own"] and "PRIVATE KEY" not in json.dumps(shown)
        for one in (old, new):
            one.close()


def test_a_storm_of_changes_is_noticed_by_nobody(plane, origins):
    """The short form of bench/stress/ads.py."""
    port = free_port()
    plane.put(cds=[eds_cluster("origin"), *(eds_cluster(f"c{number}") for number in range(20))],
              eds=[assignment("origin", origins[0]), *(assignment(f"c{number}", 1) for number in range(20))],
              lds=[listener(port, rds_filter())], rds=[table(route())])
    with dynamic(plane, variant="DELTA_GRPC") as proxy, Client(port) as client:
        before = int(re.search(r"cluster.origin.update_success: (\d+)", proxy.admin("/stats"))[1])
        for number in range(150):
            plane.put(eds=[assignment("origin", origins[number % 2]), assignment(f"c{number % 20}", 2 + number)])
            status, _, said = client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response()
            assert status == 200 and said in (b"one", b"two")
        assert plane.settled("eds")
        assert eventually(lambda: client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response()[2] == b"two")
        after = int(re.search(r"cluster.origin.update_success: (\d+)", proxy.admin("/stats"))[1])
        assert after - before == 150 and "cluster_manager.cluster_modified: 0\n" in proxy.admin("/stats")


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("program", [Proxy, envoykit.Envoy])
def test_each_kind_may_have_a_stream_of_its_own(plane, origins, program, variant):
    port = free_port()
    source = {"resource_api_version": "V3", "api_config_source": {
        "api_type": variant, "transport_api_version": "V3", "grpc_services": [{"envoy_grpc": {"cluster_name": "control"}}]}}
    chain = rds_filter()
    chain["typed_config"]["rds"]["config_source"] = source
    plane.put(cds=[eds_cluster("origin", eds_cluster_config={"eds_config": source})],
              eds=[assignment("origin", origins[0])], lds=[listener(port, chain)], rds=[table(route())])
    dynamic_ = {"lds_config": source, "cds_config": source}
    with program([], [plane.cluster()], dynamic_resources=dynamic_):
        assert eventually(lambda: body(port) == b"one")
        plane.put(eds=[assignment("origin", origins[1])])
        assert eventually(lambda: body(port) == b"two")
        prefix = "Delta" if variant == "DELTA_GRPC" else "Stream"
        assert {f"{prefix}{name}" for name in ("Clusters", "Endpoints", "Listeners", "Routes")} == set(plane.methods)


@pytest.mark.parametrize("program", [Proxy, envoykit.Envoy])
def test_runtime_values_change_and_what_does_not_come_is_gone_on_without(plane, origins, program):
    """The listener is the bootstrap's, the share of its route a control plane's; clusters never come."""
    port = free_port()
    chance = {"match": {"prefix": "/", "runtime_fraction": {
        "default_value": {"numerator": 0}, "runtime_key": "share"}}, "direct_response": {"status": 418}}
    rest = {"match": {"prefix": "/"}, "direct_response": {"status": 404}}
    plane.silent = {"cds"}
    plane.put(rtds=[{"name": "live", "layer": {"share": 0}}])
    settings = plane.bootstrap(kinds=("cds",), initial_fetch_timeout="0.2s")
    settings["layered_runtime"] = {"layers": [{"name": "live", "rtds_layer": {"name": "live", "rtds_config": ADS}}]}
    with program([listener(port, http_filter([chance, rest]))], [plane.cluster()], **settings) as proxy:
        assert get(port)[0] == 404
        plane.put(rtds=[{"name": "live", "layer": {"share": 100}}])
        assert eventually(lambda: get(port)[0] == 418)
        assert '"final_value": "100"' in proxy.admin("/runtime").replace('":"', '": "')
        assert "cluster_manager.cds.init_fetch_timeout: 1\n" in proxy.admin("/stats")


def test_sockets_of_a_dead_proxy_are_kept_until_the_control_plane_names_them(plane, origins):
    """The next proxy starts without a control plane: it serves nothing, says so, and refuses nobody."""
    def proxies(process):
        with open(f"/proc/{process.pid}/task/{process.pid}/children") as children:
            return set(children.read().split())

    port = free_port()
    serve(plane, port, origins[0])
    with Proxy([], [plane.cluster()], "--supervise", **plane.bootstrap("DELTA_GRPC")) as proxy:
        assert eventually(lambda: body(port) == b"one") and plane.settled("lds")
        # It accepts what its workers use: what a cluster or a listener needs is asked for before.
        said = [(request["type_url"], bool(request.get("response_nonce"))) for request in plane.streams[-1].requests]
        for first, then in (("eds", "cds"), ("rds", "lds")):
            assert said.index((KINDS[first], False)) < said.index((KINDS[then], True)), said
        plane.stop()
        before = proxies(proxy.process)
        os.kill(int(before.pop()), signal.SIGKILL)

        def reason():
            with contextlib.suppress(OSError):
                try:
                    return proxy.admin("/ready")
                except urllib.error.HTTPError as error:
                    return error.read().decode()
            return ""

        assert eventually(lambda: "waiting for clusters from the control plane (" in reason()), reason()
        with socket.create_connection(("127.0.0.1", port), 30) as waiting:
            waiting.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            plane.again()
            assert waiting.recv(65_536).startswith(b"HTTP/1.1 200")
