"""Fields of clusters, listeners and HTTP/2 that are seldom set: each has in weft-proxy the effect that it has in a running Envoy."""

import contextlib
import json
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time

import pytest

import envoykit
from framekit import DATA, END_HEADERS, GOAWAY, PING, PREFACE, PRIORITY, RST, SETTINGS, WINDOW, frame, headers, ping, request, settings
from proxykit import Client, Origin, Proxy, cluster, endpoint, eventually, free_port, http_filter, listener, program, quiet_port, route, serving, tcp_filter

TYPES = "type.googleapis.com/envoy.extensions."


def both(run):
    """What `run` makes of Envoy and of weft-proxy."""
    return run(envoykit.Envoy), run(Proxy)


def get(port, path="/", fields=()):
    with Client(port) as client:
        client.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n{''.join(f'{line}{chr(13)}{chr(10)}' for line in fields)}\r\n")
        status, _, body = client.response()
        return status, body.decode()


# --- Outliers --------------------------------------------------------------------------------------------------------

NEVER = {"consecutive_5xx": 1000, "consecutive_gateway_failure": 1000, "enforcing_success_rate": 0, "enforcing_failure_percentage": 0,
         "interval": "0.1s", "base_ejection_time": "3600s", "max_ejection_time": "3600s", "max_ejection_percent": 100}
RATE = {**NEVER, "enforcing_success_rate": 100, "success_rate_minimum_hosts": 3, "success_rate_request_volume": 3, "success_rate_stdev_factor": 500}
SHARE = {**NEVER, "enforcing_failure_percentage": 100, "failure_percentage_minimum_hosts": 3, "failure_percentage_request_volume": 3,
         "failure_percentage_threshold": 100}
LOCAL = {**NEVER, "split_external_local_origin_errors": True, "consecutive_local_origin_failure": 1000, "enforcing_local_origin_success_rate": 0,
         "enforcing_failure_percentage_local_origin": 0}
# By the cluster: its settings, the number that is read, and whether it grows.
OUTLIERS = {
    "rate": (RATE, "enforced_success_rate", True),
    "rate-hosts": ({**RATE, "success_rate_minimum_hosts": 50}, "enforced_success_rate", False),
    "rate-volume": ({**RATE, "success_rate_request_volume": 100_000}, "enforced_success_rate", False),
    "rate-wide": ({**RATE, "success_rate_stdev_factor": 100_000}, "enforced_success_rate", False),
    "rate-off": ({**RATE, "enforcing_success_rate": 0}, "enforced_success_rate", False),
    "share": (SHARE, "enforced_failure_percentage", True),
    "share-hosts": ({**SHARE, "failure_percentage_minimum_hosts": 50}, "enforced_failure_percentage", False),
    "share-volume": ({**SHARE, "failure_percentage_request_volume": 100_000}, "enforced_failure_percentage", False),
    "share-off": ({**SHARE, "enforcing_failure_percentage": 0}, "enforced_failure_percentage", False),
    "row": ({**NEVER, "consecutive_5xx": 2}, "enforced_consecutive_5xx", True),
    "row-off": ({**NEVER, "consecutive_5xx": 2, "enforcing_consecutive_5xx": 0}, "enforced_consecutive_5xx", False),
    "row-seen": ({**NEVER, "consecutive_5xx": 2, "enforcing_consecutive_5xx": 0}, "detected_consecutive_5xx", True),
    "local-row": ({**LOCAL, "consecutive_local_origin_failure": 2}, "enforced_consecutive_local_origin_failure", True),
    "local-row-off": ({**LOCAL, "consecutive_local_origin_failure": 2, "enforcing_consecutive_local_origin_failure": 0},
                      "enforced_consecutive_local_origin_failure", False),
    "local-rate": ({**LOCAL, "enforcing_local_origin_success_rate": 100, "success_rate_minimum_hosts": 3, "success_rate_request_volume": 3,
                    "success_rate_stdev_factor": 500}, "enforced_local_origin_success_rate", True),
    "local-share": ({**LOCAL, "enforcing_failure_percentage_local_origin": 100, "failure_percentage_minimum_hosts": 3,
                     "failure_percentage_request_volume": 3, "failure_percentage_threshold": 100}, "enforced_local_origin_failure_percentage", True),
}


def outliers(kind):
    with contextlib.ExitStack() as stack:
        good = [stack.enter_context(Origin(serving(b"good"))).port for _ in range(5)]
        bad = stack.enter_context(Origin(serving(b"bad", status="503 No"))).port
        dead = free_port()
        port = quiet_port()
        clusters = [cluster(name, *good, dead if name.startswith("local") else bad, outlier_detection=made) for name, (made, _, _) in OUTLIERS.items()]
        proxy = stack.enter_context(kind([listener(port, http_filter([route(name, f"/{name}/") for name in OUTLIERS]))], clusters))

        def ejected():
            with Client(port) as client:
                for name in OUTLIERS:
                    for _ in range(30):
                        client.send(f"GET /{name}/ HTTP/1.1\r\nHost: a\r\n\r\n")
                        client.response()
            rows = dict(line.split(": ") for line in proxy.admin("/stats?filter=outlier_detection").splitlines())
            return {name: int(rows[f"cluster.{name}.outlier_detection.ejections_{what}"]) for name, (_, what, _) in OUTLIERS.items()}

        for _ in range(200):
            counts = ejected()
            if all(counts[name] for name, (_, _, grows) in OUTLIERS.items() if grows):
                break
        return {name: count > 0 for name, count in counts.items()}


@pytest.mark.one_worker
def test_settings_of_outlier_detection():
    theirs, ours = both(outliers)
    wanted = {name: grows for name, (_, _, grows) in OUTLIERS.items()}
    assert theirs == wanted
    assert ours == wanted


# --- Balancing -------------------------------------------------------------------------------------------------------

def panicking(name, ports, **common):
    points = [endpoint(port, health_status=health) for port, health in zip(ports, ("HEALTHY", "UNHEALTHY", "UNHEALTHY"))]
    return cluster(name, *points, common_lb_config=common)


def prioritised(name, ports, **policy):
    made = cluster(name)
    first = [endpoint(ports[0], load_balancing_weight=9), endpoint(ports[1], load_balancing_weight=1, health_status="UNHEALTHY")]
    made["load_assignment"]["endpoints"] = [{"priority": 0, "lb_endpoints": first}, {"priority": 1, "lb_endpoints": [endpoint(ports[2])]}]
    made["load_assignment"]["policy"] = policy
    return made


def balancing(kind):
    with contextlib.ExitStack() as stack:
        ports = [stack.enter_context(Origin(serving(name.encode()))).port for name in "abc"]
        port = quiet_port()
        clusters = [panicking("panic", ports), panicking("refuses", ports, zone_aware_lb_config={"fail_traffic_on_panic": True}),
                    prioritised("by-count", ports), prioritised("by-weight", ports, weighted_priority_health=True)]
        routes = [route(made["name"], f"/{made['name']}/") for made in clusters]
        with kind([listener(port, http_filter(routes))], clusters):
            seen = {}
            for made in clusters:
                answers = [get(port, f"/{made['name']}/") for _ in range(80)]
                seen[made["name"]] = {body if status == 200 else status for status, body in answers}
            return seen


@pytest.mark.one_worker
def test_settings_of_balancing():
    theirs, ours = both(balancing)
    assert ours == theirs == {"panic": set("abc"), "refuses": {503}, "by-count": {"a", "c"}, "by-weight": {"a"}}


# --- Limits of endpoints ---------------------------------------------------------------------------------------------

def crowd(kind):
    """Connections that six requests at once made, with one allowed to an endpoint and with more, and what was refused or waited."""
    gate, arrived = threading.Event(), []

    def waiting(peer):
        while True:
            head, _ = peer.request()
            arrived.append(head.split(b" ")[1])
            gate.wait(20)
            peer.answer()

    with contextlib.ExitStack() as stack:
        origins = {name: stack.enter_context(Origin(waiting)) for name in ("few", "many")}
        port = quiet_port()
        clusters = [cluster("few", origins["few"].port, circuit_breakers={"per_host_thresholds": [{"max_connections": 2}]}),
                    cluster("many", origins["many"].port)]
        proxy = stack.enter_context(kind([listener(port, http_filter([route(name, f"/{name}") for name in origins]))], clusters))
        clients = []
        for name in origins:
            for _ in range(6):
                clients.append(stack.enter_context(Client(port)))
                clients[-1].send(f"GET /{name} HTTP/1.1\r\nHost: a\r\n\r\n")
        eventually(lambda: len(arrived) >= 8)
        # Those that wait are known to the proxy.
        eventually(lambda: "cluster.few.upstream_rq_pending_active: 4" in proxy.admin("/stats?filter=cluster.few"))
        made = {name: len(origin.connections) for name, origin in origins.items()}
        gate.set()
        return made, [client.response()[0] for client in clients], len(origins["few"].connections)


@pytest.mark.one_worker
def test_connections_to_one_endpoint():
    theirs, ours = both(crowd)
    assert ours == theirs == ({"few": 2, "many": 6}, [200] * 12, 2)


# --- HTTP/2 ----------------------------------------------------------------------------------------------------------

H2 = {
    "plain": {}, "table": {"hpack_table_size": 0}, "streams": {"max_concurrent_streams": 7},
    "window": {"initial_stream_window_size": 70_000},
    "old-lenient": {"stream_error_on_invalid_http_messaging": True}, "connection": {"initial_connection_window_size": 200_000},
    "lenient": {"override_stream_error_on_invalid_http_message": True}, "strict": {"override_stream_error_on_invalid_http_message": False},
}


def frames(sock, until):
    """Frames as (kind, stream, payload) up to one that `until` likes, or the end."""
    held = b""
    while True:
        while len(held) >= 9 and len(held) >= 9 + int.from_bytes(held[:3], "big"):
            length = int.from_bytes(held[:3], "big")
            one = (held[3], int.from_bytes(held[5:9], "big"), held[9:9 + length])
            held = held[9 + length:]
            yield one
            if until(one):
                return
        more = sock.recv(65536)
        if not more:
            return
        held += more


def h2(kind):
    with Origin(serving(b"ok")) as origin:
        ports = {name: quiet_port() for name in H2}
        listeners = [listener(ports[name], http_filter([route()], codec_type="HTTP2", http2_protocol_options=made), name=name) for name, made in H2.items()]
        with kind(listeners, [cluster("origin", origin.port)]):
            seen = {}
            for name in H2:
                with socket.create_connection(("127.0.0.1", ports[name]), 10) as sock:
                    sock.sendall(PREFACE + settings())
                    first = next(frames(sock, lambda one: one[0] == SETTINGS))
                    seen[name] = dict(struct.unpack(">HI", first[2][at:at + 6]) for at in range(0, len(first[2]), 6))
                    if name in ("lenient", "strict", "old-lenient"):
                        sock.sendall(headers(1, [*request("/"), ("Bad-Name", "x")]))
                        seen[name] = [one[0] for one in frames(sock, lambda one: one[0] in (RST, GOAWAY)) if one[0] in (RST, GOAWAY)]
            return seen


def test_settings_of_http2():
    theirs, ours = both(h2)
    assert ours["table"][1] == theirs["table"][1] == 0
    assert ours["streams"][3] == theirs["streams"][3] == 7
    assert ours["window"][4] == theirs["window"][4] == 70_000
    assert ours["old-lenient"] == theirs["old-lenient"] == [RST]
    # Envoy ends the connection without a word, here it says why.
    assert (theirs["lenient"], theirs["strict"]) == ([RST], [])
    assert (ours["lenient"], ours["strict"]) == ([RST], [GOAWAY])


FLOODS = {
    "max_consecutive_inbound_frames_with_empty_payload": lambda: [headers(1, request("/", method="POST"), END_HEADERS)] + [frame(DATA, 0, 1)] * 60,
    "max_inbound_priority_frames_per_stream": lambda: [frame(PRIORITY, 0, 1, b"\0\0\0\0\1")] * 150,
}


def floods(kind):
    """Whether a connection still answers a PING after so many frames, with the bound as it is and with a small one."""
    with Origin(serving(b"ok")) as origin:
        ports = {(name, bound): quiet_port() for name in FLOODS for bound in (2, None)}
        listeners = [listener(port, http_filter([route()], codec_type="HTTP2", http2_protocol_options={name: bound or 10_000}), name=f"{name}-{bound}")
                     for (name, bound), port in ports.items()]
        with kind(listeners, [cluster("origin", origin.port)]):
            seen = {}
            for (name, bound), port in ports.items():
                with socket.create_connection(("127.0.0.1", port), 10) as sock:
                    lives = False
                    with contextlib.suppress(OSError):
                        sock.sendall(PREFACE + settings() + b"".join(FLOODS[name]()) + ping())
                        lives = any(one[0] == PING for one in frames(sock, lambda one: one[0] in (PING, GOAWAY)))
                    seen[name, bound] = lives
            return seen


def test_bounds_of_frames():
    theirs, ours = both(floods)
    wanted = {(name, bound): bound is None for name in FLOODS for bound in (2, None)}
    assert theirs == wanted
    assert ours == wanted


# --- Intervals of checks ---------------------------------------------------------------------------------------------

RARE = {"timeout": "5s", "interval": "3600s", "no_traffic_interval": "3600s", "unhealthy_threshold": 2, "healthy_threshold": 2,
        "http_health_check": {"path": "/"}}
# By the cluster: its check, whether its endpoint is well, and how often it is asked at least.
INTERVALS = {
    "no-traffic": ({**RARE, "healthy_threshold": 1, "no_traffic_healthy_interval": "0.02s"}, True, 3),
}


def intervals(kind):
    with contextlib.ExitStack() as stack:
        origins = {name: stack.enter_context(Origin(serving(b"ok", status="200 OK" if is_well else "503 No"))) for name, (_, is_well, _) in INTERVALS.items()}
        clusters = [cluster(name, origins[name].port, health_checks=[check]) for name, (check, _, _) in INTERVALS.items()]
        stack.enter_context(kind([listener(quiet_port(), http_filter([route("no-traffic")]))], clusters))
        asked = lambda: {name: origin.bytes.count(b"GET / ") for name, origin in origins.items()}  # noqa: E731
        end = time.monotonic() + 10
        while time.monotonic() < end and any(asked()[name] < count for name, (_, _, count) in INTERVALS.items()):
            time.sleep(0.01)
        return {name: asked()[name] >= count for name, (_, _, count) in INTERVALS.items()}


def test_intervals_of_checks():
    theirs, ours = both(intervals)
    assert theirs == ours == {name: True for name in INTERVALS}


# --- What is refused -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("made, words", [
    ({"add_user_agent": True}, "add_user_agent"),
    ({"http_protocol_options": {"allow_absolute_url": False}}, "allow_absolute_url"),
    ({"http2_protocol_options": {"connection_keepalive": {"interval": "1s", "timeout": "1s", "connection_idle_interval": "1s"}}}, "connection_idle_interval"),
    ({"route": {"hedge_policy": {"initial_requests": 2}}}, "hedge_policy"),
    ({"route": {"hedge_policy": {"additional_request_chance": {"numerator": 1}}}}, "hedge_policy"),
    ({"table": {"max_direct_response_body_size_bytes": 3}}, "max_direct_response_body_size_bytes"),
])
def test_what_has_no_effect_is_refused_by_its_path(made, words, tmp_path):
    made = dict(made)
    action, table = made.pop("route", {}), made.pop("table", {})
    manager = http_filter([route({"cluster": "origin", **action}, "/x"), telling("more than three")], **made)
    manager["typed_config"]["route_config"].update(table)
    (tmp_path / "c.json").write_text(json.dumps({"static_resources": {"listeners": [listener(1, manager)], "clusters": [cluster("origin", 1)]}}))
    done = subprocess.run([program(), "--mode", "validate", "-c", str(tmp_path / "c.json")], capture_output=True, text=True, timeout=20)
    assert done.returncode == 1 and words in done.stderr, done.stderr


# --- Listeners and logs ----------------------------------------------------------------------------------------------

def telling(text, **more):
    return {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": text}}, **more}


def chains(kind):
    near, far = quiet_port(), quiet_port()
    source = quiet_port()

    def chain(text, **match):
        return {"name": text, "filter_chain_match": match, "filters": [http_filter([telling(text)])]}

    addresses = listener(near, name="near", filter_chains=[
        chain("elsewhere", direct_source_prefix_ranges=[{"address_prefix": "10.0.0.0", "prefix_len": 8}]),
        chain("here", direct_source_prefix_ranges=[{"address_prefix": "127.0.0.0", "prefix_len": 8}])])
    sources = listener(far, name="far", filter_chains=[chain("own", source_ports=[source]), chain("other")])
    variable = listener(quiet_port(), http_filter([{"match": {"prefix": "/"}, "direct_response": {
        "status": 200, "body": {"environment_variable": "HOME"}}}]), name="variable")
    with kind([addresses, sources, variable], []):
        seen = [get(near)[1], get(far)[1], get(variable["address"]["socket_address"]["port_value"])[1]]
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", source))
            sock.connect(("127.0.0.1", far))
            sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            text = b""
            while more := sock.recv(65536):
                text += more
        return [*seen, text.split(b"\r\n\r\n")[1].decode()]


def test_chains_by_sources_and_texts_of_the_environment():
    theirs, ours = both(chains)
    assert ours == theirs == ["here", "other", os.environ["HOME"], "own"]


def limits(kind):
    """How many of two connections are served where one is the limit, and whether the limit is in force."""
    def limited(kind, name, enabled, **more):
        return {"name": kind, "typed_config": {"@type": f"{TYPES}filters.network.{kind}.v3.{name}", "stat_prefix": "l", **more,
                                               "runtime_enabled": {"default_value": enabled, "runtime_key": "none"}}}

    made = {}
    for enabled in (True, False):
        made[f"connections {enabled}"] = limited("connection_limit", "ConnectionLimit", enabled, max_connections=1)
        made[f"rate {enabled}"] = limited("local_ratelimit", "LocalRateLimit", enabled, token_bucket={
            "max_tokens": 1, "tokens_per_fill": 1, "fill_interval": "3600s"})
    with Origin(serving(b"ok")) as origin:
        ports = {name: quiet_port() for name in made}
        listeners = [listener(ports[name], one, tcp_filter(), name=name) for name, one in made.items()]
        with kind(listeners, [cluster("origin", origin.port)]):
            seen = {}
            for name, port in ports.items():
                served = 0
                with contextlib.ExitStack() as stack:
                    for _ in range(2):
                        client = stack.enter_context(Client(port))
                        with contextlib.suppress(OSError, EOFError, AssertionError):
                            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                            served += client.response()[0] == 200
                seen[name] = served
            return seen


@pytest.mark.one_worker
def test_limits_of_connections_by_runtime():
    theirs, ours = both(limits)
    assert ours == theirs == {"connections True": 1, "connections False": 2, "rate True": 1, "rate False": 2}


def logs(kind):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="weft-log-", dir="/tmp"))
    filters = {
        "all": None, "no-checks": {"not_health_check_filter": {}},
        "codes": {"grpc_status_filter": {"statuses": ["NOT_FOUND"]}},
        "others": {"grpc_status_filter": {"statuses": ["NOT_FOUND"], "exclude": True}},
    }

    def answer(peer):
        while True:
            head, _ = peer.request()
            code = head.split(b" ")[1].rsplit(b"/", 1)[1]
            peer.answer(b"", fields=b"content-type: application/grpc\r\ngrpc-status: " + (code if code.isdigit() else b"0") + b"\r\n")

    try:
        check = {"name": "health", "typed_config": {"@type": TYPES + "filters.http.health_check.v3.HealthCheck", "pass_through_mode": False,
                                                    "headers": [{"name": ":path", "string_match": {"exact": "/health"}}]}}
        access = [{"name": "file", **({"filter": one} if one else {}), "typed_config": {
            "@type": TYPES + "access_loggers.file.v3.FileAccessLog", "path": str(folder / name), "log_format": {
                "text_format_source": {"inline_string": "%REQ(:PATH)%\n"}}}} for name, one in filters.items()]
        port = quiet_port()
        made = http_filter([route()], access_log=access)
        made["typed_config"]["http_filters"].insert(0, check)
        quick = ["--file-flush-interval-msec", "20"] if kind is envoykit.Envoy else []
        with Origin(answer) as origin, kind([listener(port, made)], [cluster("origin", origin.port)], *quick):
            for path in ("/health", "/5", "/7", "/0"):
                get(port, path, ["content-type: application/grpc"])
            wanted = {"all": 4, "no-checks": 3, "codes": 1, "others": 3}
            for name, count in wanted.items():
                eventually(lambda path=folder / name, count=count: path.exists() and path.read_text().count("\n") >= count)
            return {name: (folder / name).read_text().split() for name in filters}
    finally:
        shutil.rmtree(folder)


@pytest.mark.one_worker
def test_logs_without_checks_and_by_status_of_calls():
    theirs, ours = both(logs)
    assert ours == theirs
    assert ours["no-checks"] == ["/5", "/7", "/0"] and ours["codes"] == ["/5"]


# --- A cluster's checks and ejections --------------------------------------------------------------------------------

def returns(kind):
    """Ejections of an endpoint that fails requests and passes its checks: with and without coming back by them."""
    def failing(peer):
        while True:
            head, _ = peer.request()
            peer.answer(b"", status="200 OK" if b" /health" in head else "503 No")

    check = {"timeout": "5s", "interval": "0.02s", "no_traffic_interval": "0.02s", "unhealthy_threshold": 1, "healthy_threshold": 1,
             "http_health_check": {"path": "/health"}}
    settings = {**NEVER, "consecutive_5xx": 1, "interval": "3600s"}
    with Origin(failing) as origin:
        port = quiet_port()
        clusters = [cluster("back", origin.port, health_checks=[check], outlier_detection=settings),
                    cluster("out", origin.port, health_checks=[check], outlier_detection={
                        **settings, "successful_active_health_check_uneject_host": False})]
        with kind([listener(port, http_filter([route("back", "/back"), route("out", "/out")]))], clusters) as proxy:
            def count(name):
                return int(proxy.admin(f"/stats?filter=cluster.{name}.outlier_detection.ejections_enforced_total").split(": ")[1])

            end = time.monotonic() + 20
            while count("back") < 3 and time.monotonic() < end:
                get(port, "/back")
                get(port, "/out")
            return count("back") >= 3, count("out")


@pytest.mark.one_worker
def test_ejections_that_checks_end_or_not():
    theirs, ours = both(returns)
    assert ours == theirs == (True, 1)
