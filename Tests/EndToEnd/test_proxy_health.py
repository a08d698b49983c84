"""Active health checks: every kind, what endpoints may say to them, and what follows for requests."""

import http.client
import json
import pathlib
import re
import tempfile
import time

from proxykit import Origin, Proxy, cluster, endpoint, free_port, http_filter, listener, route, serving, tcp_filter


def check(kind, *, fast=True, **more):
    pace = {"timeout": "5s", "interval": "0.02s", "no_traffic_interval": "0.02s"} if fast else {
        "timeout": "5s", "interval": "3600s", "no_traffic_interval": "3600s"}
    return [{**pace, "healthy_threshold": 2, "unhealthy_threshold": 2, **kind, **more}]


def http_check(path="/health", *, fast=True, outer=None, **more):
    return check({"http_health_check": {"path": path, **more}}, fast=fast, **(outer or {}))


def ask(port, path="/"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def flags(proxy, name):
    text = proxy.admin("/clusters")
    return dict(re.findall(rf"^{name}::127\.0\.0\.1:(\d+)::health_flags::(.*)$", text, re.M))


def stat(proxy, name):
    return int(proxy.admin(f"/stats?filter=^{name}$").split(":")[1])


def until(condition, deadline=10):
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, "the condition was never fulfilled"
        time.sleep(0.01)


class Checked:
    """An origin whose answer to checks can be changed; keeps the heads of checks."""

    def __init__(self, body=b"ok"):
        self.status, self.fields, self.text, self.heads, self.traffic = "200 OK", b"", b"fine", [], b""

        def behaviour(peer):
            while True:
                head, _ = peer.request()
                if b"/health" in head.split(b"\r\n")[0]:
                    self.heads.append(head)
                    peer.answer(self.text, status=self.status, fields=self.fields)
                else:
                    peer.answer(body, fields=self.traffic)

        self.origin = Origin(behaviour)
        self.port = self.origin.port

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.origin.__exit__()


def test_http_checks_decide_who_gets_requests():
    log = pathlib.Path(tempfile.mkdtemp(prefix="weft-health-")) / "events"
    with Checked(b"one") as one, Checked(b"two") as two:
        port = free_port()
        two.status = "503 Service Unavailable"
        target = cluster("pair", one.port, two.port, health_checks=http_check(
            host="check.test", request_headers_to_add=[{"header": {"key": "X-Check", "value": "yes"}}],
            request_headers_to_remove=["user-agent"], outer={"event_log_path": str(log)}))
        with Proxy([listener(port, http_filter([route("pair")]))], [target]) as proxy:
            assert flags(proxy, "pair") == {str(one.port): "healthy", str(two.port): "/failed_active_hc"}, \
                "ready before the first checks ended"
            assert {ask(port)[1] for _ in range(6)} == {b"one"}
            head = one.heads[0].decode().lower()
            assert "host: check.test\r\n" in head and "x-check: yes\r\n" in head and "user-agent" not in head
            two.status = "200 OK"
            until(lambda: flags(proxy, "pair")[str(two.port)] == "healthy")
            assert {ask(port)[1] for _ in range(6)} == {b"one", b"two"}
            two.fields = b"x-envoy-degraded: true\r\n"
            until(lambda: flags(proxy, "pair")[str(two.port)] == "/degraded_active_hc")
            assert stat(proxy, "cluster.pair.health_check.degraded") == 1
            two.fields = b""
            # An answer to a request takes the endpoint out at once; checks bring it back.
            until(lambda: flags(proxy, "pair")[str(two.port)] == "healthy")
            two.traffic = b"x-envoy-immediate-health-check-fail: true\r\n"
            until(lambda: ask(port)[1] == b"two")
            two.traffic = b""
            until(lambda: stat(proxy, "cluster.pair.health_check.passive_failure") == 1)
            until(lambda: flags(proxy, "pair")[str(two.port)] == "healthy")
            two.origin.__exit__()
            until(lambda: flags(proxy, "pair")[str(two.port)] == "/failed_active_hc")
            assert stat(proxy, "cluster.pair.health_check.network_failure") >= 2
            assert stat(proxy, "cluster.pair.health_check.healthy") == 1
    events = [json.loads(line) for line in log.read_text().splitlines()]
    kinds = [next(key for key in event if key.endswith(("_event", "_host"))) for event in events]
    assert {"add_healthy_event", "eject_unhealthy_event", "health_check_failure_event", "degraded_healthy_host",
            "no_longer_degraded_host"} == set(kinds)
    assert all(event["cluster_name"] == "pair" and event["health_checker_type"] == "HTTP" for event in events)
    assert {event["eject_unhealthy_event"]["failure_type"] for event in events if "eject_unhealthy_event" in event} \
        >= {"PASSIVE", "NETWORK"}


def test_what_counts_as_healthy():
    def tcp(peer):
        while True:
            peer.until(b"PING")
            peer.send(b"+PO")
            peer.send(b"NG+")

    chunked = Origin(lambda peer: [(peer.request(), peer.send(
        b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 204 No\r\n\r\n")) for _ in iter(int, 1)])
    ended = Origin(lambda peer: (peer.request(), peer.send(b"HTTP/1.0 200 OK\r\n\r\nall is well")))
    with chunked, ended, Origin(tcp) as tcp, Origin(lambda peer: peer.more()) as silent, Checked() as plain:
        never = free_port()

        def text(*words):
            return [{"text": word.encode().hex()} for word in words]

        def single(name, port, checks, **more):
            return cluster(name, port, health_checks=checks, **more)

        clusters = [
            single("204", chunked.port, http_check(expected_statuses=[{"start": 204, "end": 205}])),
            single("not200", chunked.port, http_check()),
            single("body", ended.port, http_check(receive=text("all", "well"))),
            single("nobody", ended.port, http_check(receive=text("well", "all"))),
            single("tcp", tcp.port, check({"tcp_health_check": {
                "send": text("PING")[0], "receive": text("PO", "NG")}})),
            single("open", tcp.port, check({"tcp_health_check": {}})),
            single("shut", never, check({"tcp_health_check": {}})),
            single("silent", silent.port, check({"tcp_health_check": {
                "send": text("PING")[0], "receive": text("P")}}, timeout="0.05s")),
            single("service", plain.port, http_check(service_name_matcher={"prefix": "shop"})),
            single("elsewhere", endpoint(never) | {"endpoint": {
                **endpoint(never)["endpoint"], "health_check_config": {"port_value": plain.port, "hostname": "own.test"}}},
                   http_check(host="other.test")),
            single("unchecked", endpoint(never) | {"endpoint": {
                **endpoint(never)["endpoint"], "health_check_config": {"disable_active_health_check": True}}},
                   http_check()),
        ]
        plain.fields = b"x-envoy-upstream-healthchecked-cluster: shop-1\r\n"
        with Proxy([], clusters) as proxy:
            seen = {name: list(flags(proxy, name).values())[0] for name in (row["name"] for row in clusters)}
            good = {name for name, text in seen.items() if text == "healthy"}
            assert good == {"204", "body", "tcp", "open", "service", "elsewhere", "unchecked"}, seen
            assert any(b"host: own.test\r\n" in head for head in plain.heads)
            assert any(b"host: service\r\n" in head for head in plain.heads), "the cluster's name is the host"


def test_thresholds_and_connections():
    with Checked() as kept, Checked() as fresh:
        clusters = [cluster("kept", kept.port, health_checks=http_check(outer={"unhealthy_threshold": 1000000})),
                    cluster("fresh", fresh.port, health_checks=http_check(
                        retriable_statuses=[{"start": 500, "end": 600}],
                        outer={"reuse_connection": False, "unhealthy_threshold": 1000000}))]
        with Proxy([], clusters) as proxy:
            until(lambda: len(kept.heads) >= 3 and len(fresh.heads) >= 3)
            assert len(kept.origin.received) == 1 and len(fresh.origin.received) >= 3
            fresh.status = "500 No"
            until(lambda: stat(proxy, "cluster.fresh.health_check.failure") >= 3)
            assert list(flags(proxy, "fresh").values()) == ["healthy"], "a retriable status counts towards the threshold"
            kept.status = "500 No"
            until(lambda: list(flags(proxy, "kept").values()) == ["/failed_active_hc"])


def test_an_endpoint_that_is_well_stays_until_it_fails():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="weft-health-"))

    def write(version, ports):
        assignment = {"@type": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
                      **cluster("eds", *ports)["load_assignment"]}
        (folder / "new").write_text(json.dumps({"version_info": version, "resources": [assignment]}))
        (folder / "new").rename(folder / "eds.json")

    with Checked() as one, Checked() as two:
        write("1", [one.port, two.port])
        source = {"eds_cluster_config": {"eds_config": {"path_config_source": {"path": str(folder / "eds.json")}}}}
        clusters = [{"name": "eds", "type": "EDS", "health_checks": http_check(), **source},
                    {"name": "free", "type": "EDS", "health_checks": http_check(), "ignore_health_on_host_removal": True,
                     "eds_cluster_config": {**source["eds_cluster_config"], "service_name": "eds"}}]
        with Proxy([], clusters) as proxy:
            until(lambda: set(flags(proxy, "eds").values()) == {"healthy"} and len(flags(proxy, "free")) == 2)
            write("2", [one.port])
            until(lambda: flags(proxy, "free") == {str(one.port): "healthy"})
            assert flags(proxy, "eds") == {str(one.port): "healthy", str(two.port): "/pending_dynamic_removal"}
            two.status = "500 No"
            until(lambda: flags(proxy, "eds") == {str(one.port): "healthy"})


def test_connections_to_an_endpoint_that_fails_are_closed_where_wanted():
    with Checked() as one:
        port = free_port()
        target = cluster("tcp", one.port, health_checks=http_check(), close_connections_on_host_health_failure=True)
        with Proxy([listener(port, tcp_filter("tcp"))], [target]):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("GET", "/")
            assert connection.getresponse().read() == b"ok"
            one.status = "500 No"
            assert connection.sock.recv(1) == b"", "the relayed connection ended"


def test_grpc_and_http2_checks():
    from concurrent import futures

    import grpc

    answers = {"": 1, "up": 1, "down": 2}

    def serve(request, context):
        name = request[2:].decode()
        if name not in answers:
            context.abort(grpc.StatusCode.NOT_FOUND, "unknown")
        return bytes([8, answers[name]])

    handler = grpc.method_handlers_generic_handler("grpc.health.v1.Health", {
        "Check": grpc.unary_unary_rpc_method_handler(serve)})
    server = grpc.server(futures.ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with Origin(serving(b"HTTP/1 only")) as plain:
        clusters = [cluster(f"g-{name}", port, health_checks=check({"grpc_health_check": {"service_name": name}}))
                    for name in ("up", "down", "missing")]
        clusters += [cluster("g-all", port, health_checks=check({"grpc_health_check": {}})),
                     cluster("g-plain", plain.port, health_checks=check({"grpc_health_check": {}})),
                     # gRPC servers refuse what is not gRPC with 415 and the like: that is an answer over HTTP/2.
                     cluster("h2", port, health_checks=http_check(
                         codec_client_type="HTTP2", expected_statuses=[{"start": 200, "end": 600}]))]
        with Proxy([], clusters) as proxy:
            seen = {row["name"]: list(flags(proxy, row["name"]).values())[0] for row in clusters}
            assert seen == {"g-up": "healthy", "g-all": "healthy", "h2": "healthy", "g-down": "/failed_active_hc",
                            "g-missing": "/failed_active_hc", "g-plain": "/failed_active_hc"}
            answers["down"] = 1
            until(lambda: list(flags(proxy, "g-down").values()) == ["healthy"])
    server.stop(None)
