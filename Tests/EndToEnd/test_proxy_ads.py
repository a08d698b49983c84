"""weft-proxy takes its configuration from a control plane; the same scripts run against Envoy where there is one."""

import contextlib
import json
import urllib.error

import pytest

import envoykit
from adskit import ControlPlane, dynamic, eds_cluster, rds_filter
from proxykit import Client, Origin, Proxy, endpoint, eventually, free_port, get, listener, route, serving

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
