"""Clusters on demand: requests for a cluster that is not known wait until the control plane has told of it. The same script against
weft-proxy and, where there is one, a real Envoy."""

import contextlib
import json
import re
import subprocess

import pytest

import envoykit
import proxykit
from adskit import ControlPlane
from proxykit import (
    DEADLINE, ROUTER, Client, Origin, cluster, eventually, free_port, http_filter, listener, route, serving)

KIND = "type.googleapis.com/envoy.extensions.filters.http.on_demand.v3."


def asking(timeout="8s", **more):
    return {"odcds": {"source": {"ads": {}, "resource_api_version": "V3"}, "timeout": timeout}, **more}


def chain():
    own = {"typed_per_filter_config": {"demand": {"@type": KIND + "PerRouteConfig", **asking("0.2s")}}}
    made = http_filter(
        [route("late", prefix="/fixed"),
         {"match": {"prefix": "/short"}, "route": {"cluster_header": "x-to"}, **own},
         {"match": {"prefix": "/"}, "route": {"cluster_header": "x-to", "timeout": "9s"}}],
        http_filters=[{"name": "demand", "typed_config": {"@type": KIND + "OnDemand", **asking()}},
                      {"name": "router", "typed_config": {"@type": ROUTER}}])
    made["typed_config"]["route_config"]["validate_clusters"] = False
    return made


class Run:
    def __init__(self, kind):
        self.stack = contextlib.ExitStack()
        self.plane = self.stack.enter_context(ControlPlane())
        self.origin = self.stack.enter_context(Origin(serving(b"here")))
        self.port = free_port()
        bootstrap = self.plane.bootstrap("DELTA_GRPC", kinds=())
        program = envoykit.Envoy if kind == "envoy" else proxykit.Proxy
        self.proxy = self.stack.enter_context(program(
            [listener(self.port, chain())], [self.plane.cluster(), cluster("known", self.origin.port)], **bootstrap))
        self.is_envoy = kind == "envoy"

    def ask(self, to, path="/"):
        return Client(self.port).send(f"GET {path} HTTP/1.1\r\nHost: a\r\nx-to: {to}\r\n\r\n")

    def questions(self, name):
        """How often the control plane was asked for a cluster."""
        with self.plane.lock:
            return sum(name in request.get("resource_names_subscribe", ())
                       for stream in self.plane.streams for request in stream.requests)

    def tell(self, name):
        self.plane.put(cds=[cluster(name, self.origin.port)])

    def stat(self, name):
        found = re.search(rf"^{re.escape(name)}: (\d+)$", self.proxy.admin("/stats"), re.M)
        return int(found.group(1)) if found else 0


@pytest.fixture(scope="module", params=["weft-proxy", "envoy"])
def run(request):
    made = Run(request.param)
    with made.stack:
        yield made


def test_a_cluster_that_is_known_is_not_asked_for(run):
    with run.ask("known") as client:
        assert client.response()[::2] == (200, b"here")
    assert run.questions("known") == 0


def test_requests_wait_for_their_cluster_and_share_the_question(run):
    run.plane.silent.add("cds")
    with run.ask("new") as one, run.ask("new") as two:
        assert eventually(lambda: run.questions("new") == 1)
        assert eventually(lambda: run.stat("http.test.downstream_rq_active") == 2)
        run.plane.silent.discard("cds")
        run.tell("new")
        assert one.response()[::2] == two.response()[::2] == (200, b"here")
    assert run.questions("new") == 1
    with run.ask("new") as again:
        assert again.response()[0] == 200
    assert run.questions("new") == 1


def test_what_the_control_plane_does_not_know_is_answered_at_once(run):
    with run.ask("nobody") as client:
        assert client.response()[0] == 503
    assert eventually(lambda: run.stat("http.test.downstream_rq_active") == 0)
    # It may come to be.
    if not run.is_envoy:
        run.tell("nobody")
        with run.ask("nobody") as client:
            assert client.response()[::2] == (200, b"here")


def test_a_route_may_wait_less(run):
    run.plane.silent.add("cds")
    with run.ask("slow", "/short") as client:
        assert client.response()[0] == 503
    run.plane.silent.discard("cds")


def test_a_client_that_leaves_is_not_waited_for(run):
    run.plane.silent.add("cds")
    with run.ask("left"):
        assert eventually(lambda: run.questions("left") == 1)
    run.plane.silent.discard("cds")
    run.tell("left")
    with run.ask("left") as client:
        assert client.response()[0] == 200


def test_a_routes_own_cluster_may_come_late(run):
    run.tell("late")
    with run.ask("", "/fixed") as client:
        assert client.response()[::2] == (200, b"here")


def test_a_name_that_cannot_be_is_not_asked_for():
    made = Run("weft-proxy")
    with made.stack:
        for name in ("x" * 300, "", "a,b" * 100):
            with made.ask(name) as client:
                assert client.response()[0] == 503
        assert not any(stream.requests for stream in made.plane.streams)


@pytest.mark.parametrize("variant, text", [
    ("GRPC", "odcds.source: the control plane has to be asked by the incremental protocol")])
def test_what_cannot_be_asked_is_refused_by_its_path(tmp_path, variant, text):
    plane = ControlPlane(1)
    path = tmp_path / "c.json"
    path.write_text(json.dumps({
        "node": {"id": "a", "cluster": "a"}, **plane.bootstrap(variant, kinds=()),
        "static_resources": {"listeners": [listener(1, chain())], "clusters": [plane.cluster(), cluster("known", 1)]}}))
    done = subprocess.run(
        [proxykit.program(), "--mode", "validate", "-c", str(path)], capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode != 0 and text in done.stderr
