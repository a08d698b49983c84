"""Spans of OpenTelemetry: the same requests against weft-proxy and, where there is one, a real Envoy, with collectors of both kinds."""

import contextlib
import re
import threading
import urllib.request

import pytest

import envoykit
import proxykit
from grpckit import http2_cluster
from protokit import dig, read, server
from proxykit import Client, Origin, cluster, eventually, free_port, free_ports, http_filter, listener, route
from test_proxy_filters import told

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Collector:
    """Spans by the id of the request that they tell of."""

    def __init__(self):
        self.lock, self.spans, self.services, self.heads = threading.Lock(), [], set(), []

    def take(self, data, _=None):
        with self.lock:
            for resource in read(data).get(1, []):
                attributes = dict(map(pair, read(dig(resource, 1)).get(1, [])))
                self.services.add(attributes["service.name"])
                for scope in read(resource).get(2, []):
                    self.spans += [Span(one) for one in read(scope).get(2, [])]
        return b""

    def serve(self, peer):
        while True:
            head, body = peer.request()
            self.heads.append(head)
            self.take(body)
            peer.answer()

    def of(self, *, count=1, **attributes):
        """Waits for so many spans with these attributes."""
        def found():
            with self.lock:
                spans = [one for one in self.spans if attributes.items() <= one.attributes.items()]
            return spans if len(spans) >= count else None
        spans = eventually(found)
        assert spans, (attributes, [one.attributes for one in self.spans])
        return spans


def pair(data):
    value = read(dig(data, 2))
    return dig(data, 1).decode(), next((one[-1].decode() if isinstance(one[-1], bytes) else one[-1] for one in value.values()), "")


class Span:
    def __init__(self, data):
        fields = read(data)
        self.trace, self.id, self.parent = fields[1][0].hex(), fields[2][0].hex(), fields.get(4, [b""])[0].hex()
        self.state, self.name = fields.get(3, [b""])[0], fields[5][0].decode()
        self.kind, self.start, self.end = fields[6][0], fields[7][0], fields[8][0]
        self.attributes = dict(map(pair, fields.get(9, [])))
        self.status = dig(fields.get(15, [b""])[0], 3, default=0)


def tracing(service, **more):
    return {"provider": {"name": "envoy.tracers.opentelemetry", "typed_config": {
        "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig", "service_name": "shop", **service}}, **more}


GRPC = {"grpc_service": {"envoy_grpc": {"cluster_name": "collector"}, "timeout": "2s"}}
HTTP = {"http_service": {"http_uri": {"uri": "http://otel/v1/traces", "cluster": "web-collector", "timeout": "2s"},
                         "request_headers_to_add": [{"header": {"key": "x-tenant", "value": "a"}}]}}
DEAD = {"grpc_service": {"envoy_grpc": {"cluster_name": "nobody"}, "timeout": "0.2s"}}
SHOP = [route(prefix="/down", target="down"), route(prefix="/named", decorator={"operation": "buy"}), {"match": {"prefix": "/tea"}, "direct_response": {"status": 418}},
        {"match": {"prefix": "/retry"}, "route": {"cluster": "flaky", "retry_policy": {"retry_on": "5xx", "num_retries": 2}}}, route()]
TAGS = [{"tag": "fixed", "literal": {"value": "1"}}, {"tag": "asked", "request_header": {"name": "x-ask", "default_value": "none"}},
        {"tag": "unset", "request_header": {"name": "x-unset"}}]

LISTENERS = {
    "grpc": lambda: http_filter(SHOP, tracing=tracing(GRPC, custom_tags=TAGS, max_path_tag_length=10)),
    "tries": lambda: http_filter(SHOP, tracing=tracing(GRPC, spawn_upstream_span=True)),
    "http": lambda: http_filter(SHOP, tracing=tracing(HTTP)),
    "none": lambda: http_filter(SHOP, tracing=tracing(GRPC, random_sampling={"value": 0})),
    "errors": lambda: http_filter(SHOP, tracing=tracing(GRPC, random_sampling={"value": 0})),
    "dead": lambda: http_filter(SHOP, tracing=tracing(DEAD)),
}


def flaky():
    """Fails every first try."""
    count = [0]

    def behaviour(peer):
        while True:
            peer.request()
            count[0] += 1
            peer.answer(status="200 OK" if count[0] % 2 == 0 else "503 Service Unavailable")
    return behaviour


class Run:
    def __init__(self, kind):
        self.stack = contextlib.ExitStack()
        self.collector = Collector()
        port = self.stack.enter_context(server(**{EXPORT: self.collector.take}))
        self.web = self.stack.enter_context(Origin(self.collector.serve))
        origin = self.stack.enter_context(Origin(told))
        again = self.stack.enter_context(Origin(flaky()))
        self.ports = free_ports(LISTENERS)
        more = {"errors": {"metadata": {"filter_metadata": {"weft.dev/tracing": {"keep_errors": True, "b3": True}}}}}
        listeners = [listener(self.ports[name], make(), name=name, **more.get(name, {})) for name, make in LISTENERS.items()]
        clusters = [cluster("origin", origin.port), cluster("flaky", again.port), cluster("web-collector", self.web.port),
                    cluster("down", free_port()), http2_cluster("collector", port), http2_cluster("nobody", free_port())]
        program = envoykit.Envoy if kind == "envoy" else proxykit.Proxy
        self.is_envoy = kind == "envoy"
        runtime = {"layers": [{"name": "static", "static_layer": {
            "tracing.opentelemetry.min_flush_spans": 1, "tracing.opentelemetry.flush_interval_ms": 100}}]}
        self.proxy = self.stack.enter_context(program(listeners, clusters, layered_runtime=runtime))

    def get(self, name, path="/", fields=""):
        """(status, the fields that the origin got)."""
        with Client(self.ports[name]) as client:
            status, _, body = client.send(f"GET {path} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n{fields}\r\n").response()
        lines = [line.partition(b": ") for line in body.split(b"\r\n")[1:]]
        return status, {key.decode().lower(): value.decode() for key, _, value in lines if key}

    def stat(self, name):
        found = re.search(rf"^{re.escape(name)}: (\d+)$", self.proxy.admin("/stats"), re.M)
        return int(found.group(1)) if found else 0


@pytest.fixture(scope="module", params=["weft", "envoy"])
def run(request):
    made = Run(request.param)
    with made.stack:
        yield made


def test_a_request_has_a_span_and_gives_its_trace_on(run):
    _, seen = run.get("grpc", "/one?two=three", "x-ask: me\r\nUser-Agent: it\r\n")
    span, = run.collector.of(asked="me")
    assert seen["traceparent"] == f"00-{span.trace}-{span.id}-01" and span.parent == ""
    assert (span.name, span.kind, span.status) == ("ingress", 2, 0) and 0 <= span.end - span.start < 60e9
    wanted = {"http.url": "http://shop/one?two=t", "http.method": "GET", "http.protocol": "HTTP/1.1", "http.status_code": "200",
              "user_agent": "it", "downstream_cluster": "-", "peer.address": "127.0.0.1", "component": "proxy",
              "upstream_cluster": "origin", "upstream_cluster.name": "origin", "response_flags": "-", "fixed": "1",
              "request_size": "0"}
    assert {key: span.attributes.get(key) for key in wanted} == wanted
    assert "unset" not in span.attributes and "guid:x-request-id" in span.attributes and "error" not in span.attributes
    assert int(span.attributes["response_size"]) > 0 and run.collector.services == {"shop"}


def test_the_trace_of_a_request_is_continued(run):
    _, seen = run.get("grpc", "/", f"traceparent: {PARENT}\r\ntracestate: a=b\r\nx-ask: parent\r\n")
    span, = run.collector.of(asked="parent")
    assert span.trace == PARENT[3:35] and span.parent == PARENT[36:52] and span.state == b"a=b"
    assert seen["traceparent"] == f"00-{span.trace}-{span.id}-01" and seen["tracestate"] == "a=b"
    # A trace that is not drawn here, or was not where it came from, goes on untold.
    for name, parent in (("none", PARENT), ("grpc", PARENT[:-1] + "0")):
        _, seen = run.get(name, "/", f"traceparent: {parent}\r\n")
        assert seen["traceparent"].startswith(PARENT[:36]) and seen["traceparent"].endswith("-00")
        assert PARENT[36:52] not in seen["traceparent"]


def test_tries_have_spans_of_their_own(run):
    run.get("tries", "/retry", "User-Agent: tries\r\n")
    parent, = run.collector.of(user_agent="tries")
    first, second = sorted(eventually(lambda: spans_below(run, parent, 2)), key=lambda one: one.start)
    assert {first.name, second.name} == {"router flaky egress"} and first.kind == second.kind == 3
    assert (first.attributes["http.status_code"], second.attributes["http.status_code"]) == ("503", "200")
    assert first.attributes["error"] == "true" and "error" not in second.attributes
    assert first.trace == second.trace == parent.trace and first.id != second.id
    _, seen = run.get("tries", "/", "User-Agent: told\r\n")
    parent, = run.collector.of(user_agent="told")
    child, = eventually(lambda: spans_below(run, parent, 1))
    assert seen["traceparent"] == f"00-{parent.trace}-{child.id}-01"
    assert child.attributes["upstream_address"].startswith("127.0.0.1:") and child.attributes["http.protocol"] == "HTTP/1.1"


def spans_below(run, parent, count):
    with run.collector.lock:
        found = [one for one in run.collector.spans if one.parent == parent.id]
    return found if len(found) == count else None


def test_failures_are_marked(run):
    run.get("grpc", "/down", "x-ask: down\r\n")
    span, = run.collector.of(asked="down")
    assert span.attributes["error"] == "true" and span.attributes["http.status_code"] == "503"
    assert span.attributes["response_flags"] == "UF" and span.status == 2
    run.get("grpc", "/tea", "x-ask: tea\r\n")
    span, = run.collector.of(asked="tea")
    assert span.attributes["http.status_code"] == "418" and "error" not in span.attributes
    run.get("grpc", "/named", "x-ask: named\r\n")
    assert run.collector.of(asked="named")[0].name == "buy"


def test_spans_go_out_over_http(run):
    run.get("http", "/", "User-Agent: web\r\n")
    run.collector.of(user_agent="web")
    head = run.collector.heads[0].decode().lower()
    assert head.startswith("post /v1/traces http/1.1\r\n") and "host: otel\r\n" in head
    assert "content-type: application/x-protobuf\r\n" in head and "x-tenant: a\r\n" in head


def test_what_is_not_drawn_is_not_told_and_a_dead_collector_harms_nobody(run):
    _, seen = run.get("none", "/", "User-Agent: quiet\r\n")
    assert seen["traceparent"].endswith("-00")
    for _ in range(20):
        assert run.get("dead")[0] == 200
    run.get("grpc", "/", "x-ask: last\r\n")
    run.collector.of(asked="last")
    assert not [one for one in run.collector.spans if one.attributes.get("user_agent") == "quiet"]
    assert run.stat("http.test.tracing.not_traceable") > 0 and run.stat("http.test.tracing.random_sampling") > 0
    assert eventually(lambda: run.stat("tracing.opentelemetry.spans_sent")) > 0
    if not run.is_envoy:
        assert eventually(lambda: run.stat("tracing.opentelemetry.spans_dropped")) > 0


def test_failures_are_told_though_not_drawn_and_b3_is_understood(run):
    if run.is_envoy:
        pytest.skip("weft-proxy's own")
    run.get("errors", "/", "User-Agent: fine\r\n")
    run.get("errors", "/down", "User-Agent: failed\r\n")
    span, = run.collector.of(user_agent="failed")
    assert span.status == 2
    _, seen = run.get("errors", "/", f"b3: {PARENT[3:35]}-{PARENT[36:52]}-1\r\nx-client-trace-id: 1\r\nUser-Agent: b3\r\n")
    span, = run.collector.of(user_agent="b3")
    assert span.trace == PARENT[3:35] and span.parent == PARENT[36:52]
    assert seen["b3"] == f"{span.trace}-{span.id}-1" and seen["traceparent"] == f"00-{span.trace}-{span.id}-01"
    assert not [one for one in run.collector.spans if one.attributes.get("user_agent") == "fine"]


def openmetrics(proxy):
    """The families of the page by name, as Prometheus' own parser reads them."""
    from prometheus_client.openmetrics.parser import text_string_to_metric_families

    ask = urllib.request.Request(f"http://127.0.0.1:{proxy.admin_port}/stats/prometheus", headers={
        "Accept": "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"})
    with urllib.request.urlopen(ask, timeout=5) as answer:
        assert answer.headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
        return {family.name: family for family in text_string_to_metric_families(answer.read().decode())}


def test_histograms_name_a_trace_for_each_bucket(run):
    if run.is_envoy:
        pytest.skip("Envoy has no exemplars")
    parents = [f"00-{number:032x}-b7ad6b7169203331-01" for number in range(0xE0, 0xE3)]
    for parent in parents:
        assert run.get("grpc", fields=f"traceparent: {parent}\r\n")[0] == 200
    # A request that is not told of leaves the page as it is.
    unseen = f"00-{0xEF:032x}-b7ad6b7169203331-00"
    assert run.get("grpc", fields=f"traceparent: {unseen}\r\n")[0] == 200
    families = openmetrics(run.proxy)
    wanted = {parent.split("-")[1] for parent in parents}
    for name in ["response_latency_ms", "envoy_http_downstream_rq_time", "envoy_cluster_upstream_rq_time"]:
        shown = [sample for sample in families[name].samples if sample.exemplar]
        assert wanted & {sample.exemplar.labels["trace_id"] for sample in shown}, name
        below = {}
        for sample in families[name].samples:
            series = tuple(sorted((key, value) for key, value in sample.labels.items() if key != "le"))
            if not sample.name.endswith("_bucket"):
                continue
            if sample.exemplar:
                assert below.get(series, -1) < sample.exemplar.value <= float(sample.labels["le"])
                assert len(sample.exemplar.labels["span_id"]) == 16 and sample.exemplar.timestamp.sec > 1_700_000_000
            below[series] = float(sample.labels["le"])
    text = run.proxy.admin("/stats/prometheus")
    assert unseen.split("-")[1] not in str(families) and " # {" not in text
    # The same series in both forms, also where OpenMetrics would have a counter named otherwise.
    names = {line.split("{")[0].split(" ")[0] for line in text.splitlines() if not line.startswith("#")}
    assert {sample.name for family in families.values() for sample in family.samples} == names
