"""Active health checks beside a real Envoy: the same script of answers gives the same events, check by check."""

import json
import pathlib
import shutil
import tempfile
import threading
from concurrent import futures

import envoykit
from proxykit import Origin, Proxy, cluster, endpoint, eventually, free_port

PACE = {"timeout": "5s", "interval": "0.02s", "no_traffic_interval": "0.02s", "healthy_threshold": 2,
        "unhealthy_threshold": 3, "always_log_health_check_failures": True, "always_log_health_check_success": True}


class Script:
    """What an endpoint says to each check, in turn; the last one for ever."""

    def __init__(self, *steps):
        self.steps, self.count, self.lock = steps, 0, threading.Lock()

    def next(self):
        with self.lock:
            self.count += 1
            return self.steps[min(self.count, len(self.steps)) - 1]


def http_origin(script):
    """200, 503 and so on; `degraded`, `cut` (the connection ends), `body` (another body), `close` (after the answer)."""
    def behaviour(peer):
        while True:
            peer.request()
            step = script.next()
            if step == "cut":
                return
            status = step if isinstance(step, int) else 200
            fields = {"degraded": b"x-envoy-degraded: true\r\n", "close": b"connection: close\r\n"}.get(step, b"")
            name = b"other" if step == "service" else b"shop-1"
            fields += b"x-envoy-upstream-healthchecked-cluster: " + name + b"\r\n"
            peer.answer(b"bad" if step == "body" else b"good news", status=f"{status} Status", fields=fields)
            if step == "close":
                return
    return Origin(behaviour)


def tcp_origin(script):
    def behaviour(peer):
        while True:
            peer.until(b"PING")
            step = script.next()
            if step == "cut":
                return
            peer.send(b"xxPOxxNGxx" if step == "good" else b"xxNGxxPOxx")
            if step == "wrong":
                # Envoy waits for more until its time is over: the connection ends instead.
                return
    return Origin(behaviour)


class Calls:
    """A server of `grpc.health.v1.Health` that answers by a script: a number is the status in the answer, a name an error."""

    def __init__(self, script):
        import grpc

        def serve(request, context):
            step = script.next()
            if isinstance(step, str):
                context.abort(getattr(grpc.StatusCode, step), "as the script says")
            return bytes([8, step])

        self.server = grpc.server(futures.ThreadPoolExecutor(2))
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("grpc.health.v1.Health", {
            "Check": grpc.unary_unary_rpc_method_handler(serve)}),))
        self.port = self.server.add_insecure_port("127.0.0.1:0")

    def __enter__(self):
        self.server.start()
        return self

    def __exit__(self, *_):
        self.server.stop(None)


def hexadecimal(text):
    return {"text": text.encode().hex()}


HTTP = {"http_health_check": {
    "path": "/health", "retriable_statuses": [{"start": 500, "end": 504}], "expected_statuses": [{"start": 200, "end": 202}],
    "receive": [hexadecimal("good"), hexadecimal("news")], "service_name_matcher": {"prefix": "shop"}}}
TCP = {"tcp_health_check": {"send": hexadecimal("PING"), "receive": [hexadecimal("PO"), hexadecimal("NG")]}}
GRPC = {"grpc_health_check": {"service_name": "shop"}}

CASES = {
    # The first check decides at once; thresholds count afterwards; some failures count at once.
    "starts_well": (http_origin, HTTP, [200, 503, 503, 200, 503, 503, 503, 200, 200, 404, 200, 201, 200]),
    "starts_badly": (http_origin, HTTP, [503, 200, 503, 200, 200, "cut", "cut", 200, "cut", "cut", "cut", 200, 200]),
    "bodies_and_names": (http_origin, HTTP, [200, "body", 200, 200, "service", 200, 200, 200]),
    "degraded": (http_origin, HTTP, [200, "degraded", "degraded", 200, "degraded", 404, "degraded", "degraded", 200]),
    "closing": (http_origin, HTTP, ["close", "close", 200, "close", 503, "close", 200]),
    "tcp": (tcp_origin, TCP, ["good", "cut", "good", "wrong", "wrong", "wrong", "good", "good", "good"]),
    "grpc": (Calls, GRPC, [1, 2, 1, 1, 0, 1, 1, "NOT_FOUND", 1, 1, "UNAVAILABLE", 1, 1, 3, 1, 1]),
    "grpc_badly": (Calls, GRPC, [2, 1, 2, 1, 1, "UNIMPLEMENTED", 1, 1]),
    "sends": (http_origin, {"http_health_check": {"path": "/", "method": "POST", "send": hexadecimal("hello")}},
              [200, 500, 200, 200]),
}


def told(event):
    """The kind of an event, with what it says beside names and times."""
    kind = next(key for key in event if key.endswith(("_event", "_host")))
    more = event[kind]
    return kind.removesuffix("_event"), more.get("failure_type", ""), more.get("first_check", False)


def run(kind, folder):
    """The events of every case, up to the end of its script."""
    seen, origins, clusters, scripts = {}, [], [], {}
    for name, (make, check, steps) in CASES.items():
        scripts[name] = Script(*steps)
        origin = make(scripts[name])
        origin.__enter__()
        origins.append(origin)
        more = {"http2_protocol_options": {}} if make is Calls else {}
        clusters.append(cluster(name, origin.port, health_checks=[
            {**PACE, **check, "event_log_path": str(folder / name)}], **more))
    aside = endpoint(free_port())
    aside["endpoint"]["health_check_config"] = {"disable_active_health_check": True}
    clusters.append(cluster("unchecked", aside, health_checks=[{**PACE, **HTTP}]))
    quick = ["--file-flush-interval-msec", "20"] if kind is envoykit.Envoy else []
    try:
        with kind([], clusters, *quick) as proxy:
            for name, (_, _, steps) in CASES.items():
                def events(name=name, length=len(steps)):
                    path = folder / name
                    rows = [told(json.loads(row)) for row in path.read_text().splitlines()] if path.exists() else []
                    checks = [place for place, row in enumerate(rows)
                              if row[0] in ("successful_health_check", "health_check_failure")]
                    return rows[:checks[length - 1] + 1] if len(checks) >= length else []
                seen[name] = eventually(events, 20)
            rows = proxy.admin("/clusters").splitlines()
            seen["unchecked"] = [row.rsplit("::", 1)[1] for row in rows if row.startswith("unchecked::127")
                                 and "health_flags" in row]
            bodies = [origin.bytes for origin, name in zip(origins, CASES) if name == "sends"]
            assert b"content-length: 5\r\n" in bodies[0].lower() and b"\r\n\r\nhello" in bodies[0]
    finally:
        for origin in origins:
            origin.__exit__(None, None, None)
    return seen


def test_every_check_has_the_events_that_envoy_tells():
    seen = []
    for kind in (Proxy, envoykit.Envoy):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="weft-health-", dir="/tmp"))
        try:
            seen.append(run(kind, folder))
        finally:
            shutil.rmtree(folder)
    ours, theirs = seen
    for name in theirs:
        assert ours[name] == theirs[name], name
    assert all(ours[name] for name in CASES)
