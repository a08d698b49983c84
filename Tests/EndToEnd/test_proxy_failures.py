"""When endpoints fail: retries, timeouts, ejection, breakers, and answers that say why."""

import concurrent.futures
import socket
import threading
import time

import pytest

from proxykit import Client, Origin, Proxy, cluster, eventually, free_port, get, http_filter, listener, route, serving, simple_proxy


def retrying(conditions, count=2, **more):
    return route({"cluster": "origin", "timeout": "5s", "retry_policy": {
        "retry_on": conditions, "num_retries": count, "retry_back_off": {"base_interval": "0.01s", "max_interval": "0.02s"}, **more}})


def failing(count, answer):
    """Answers the first `count` requests by calling `answer`, then well."""
    state = {"seen": 0}

    def behaviour(peer):
        while True:
            peer.request()
            state["seen"] += 1
            if state["seen"] <= count:
                if answer(peer) is False:
                    return
            else:
                peer.answer(b"good")
    behaviour.state = state
    return behaviour


def status(code):
    return lambda peer: peer.answer(b"bad", status=f"{code} Bad")


def test_no_endpoint_says_so():
    with simple_proxy() as (_, port):
        code, fields, body = get(port)
        assert code == 503
        assert fields["x-weft-reason"].startswith("no_healthy_upstream;") and "cluster=origin" in fields["x-weft-reason"]
        assert b"no_healthy_upstream" in body


def test_a_refused_connection_says_so():
    with simple_proxy(free_port()) as (_, port):
        code, fields, _ = get(port)
        assert code == 503
        reason = fields["x-weft-reason"]
        assert "upstream_connection_failure" in reason and "connection refused" in reason and "attempts=1" in reason


def test_an_unknown_cluster_says_so():
    port = free_port()
    hosts = {"name": "x", "domains": ["*"], "routes": [route({"cluster_header": "x-where"})]}
    with Proxy([listener(port, http_filter([], virtual_hosts=[hosts]))], [cluster("origin", 1)]):
        code, fields, _ = get(port, fields="X-Where: nowhere\r\n")
        assert code in (404, 503) and "cluster_not_found" in fields["x-weft-reason"]


def test_connect_failures_go_to_another_endpoint():
    with Origin(serving(b"alive")) as origin:
        with simple_proxy(free_port(), origin.port, filters=[http_filter([retrying("connect-failure", 3)])]) as (_, port):
            assert [get(port)[2] for _ in range(20)] == [b"alive"] * 20


def test_what_was_never_sent_goes_on_to_the_next_endpoint_beyond_the_count():
    with Origin(serving(b"alive")) as origin:
        dead = [free_port() for _ in range(3)]
        with simple_proxy(*dead, origin.port, filters=[http_filter([retrying("connect-failure", 1)])]) as (_, port):
            with Client(port) as client:
                for method in ("GET", "POST") * 10:
                    client.send(f"{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
                    assert client.response()[2] == b"alive"


def test_a_post_never_meets_a_kept_connection_that_the_endpoint_has_closed():
    """A GET may be sent again when it does; a POST may not, so it looks before."""
    closing = threading.Event()

    def behaviour(peer):
        peer.request()
        peer.answer(b"first")
        peer.connection.shutdown(socket.SHUT_RDWR)
        closing.set()

    with Origin(behaviour) as origin, simple_proxy(origin.port, filters=[http_filter([route()])]) as (proxy, port):
        with Client(port) as client:
            for _ in range(20):
                closing.clear()
                assert client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").response()[::2] == (200, b"first")
                assert closing.wait(5)


@pytest.mark.one_worker
def test_requests_that_fail_together_take_turns_within_the_budget():
    """An endpoint that dies under many requests breaks all of them at the same moment."""
    barrier = threading.Barrier(30)

    def dying(peer):
        peer.request()
        barrier.wait(10)
        peer.reset()

    def slow(peer):
        while True:
            peer.request()
            time.sleep(0.005)
            peer.answer(b"alive")

    limits = {"circuit_breakers": {"thresholds": [{"retry_budget": {"budget_percent": {"value": 20}, "min_retry_concurrency": 3}}]}}
    with Origin(dying) as first, Origin(slow) as second:
        with simple_proxy(first.port, second.port, filters=[http_filter([retrying("reset", 1)])], cluster=limits) as (_, port):
            with concurrent.futures.ThreadPoolExecutor(60) as pool:
                answers = list(pool.map(lambda _: get(port)[::2], range(60)))
            assert answers == [(200, b"alive")] * 60


def test_statuses_are_retried_within_the_count():
    behaviour = failing(2, status(503))
    with Origin(behaviour) as origin, simple_proxy(origin.port, filters=[http_filter([retrying("5xx", 2)])]) as (_, port):
        assert get(port)[::2] == (200, b"good")
        assert behaviour.state["seen"] == 3


def test_when_the_retries_are_used_up_the_last_answer_passes():
    behaviour = failing(100, status(503))
    with Origin(behaviour) as origin, simple_proxy(origin.port, filters=[http_filter([retrying("5xx", 2)])]) as (_, port):
        assert get(port)[::2] == (503, b"bad")
        assert behaviour.state["seen"] == 3


@pytest.mark.parametrize("method,expected", [("GET", 200), ("PUT", 200), ("POST", 503)])
def test_a_reset_is_retried_for_idempotent_requests_only(method, expected):
    def reset(peer):
        peer.reset()
        return False
    with Origin(failing(1, reset)) as origin, simple_proxy(origin.port, filters=[http_filter([retrying("reset")])]) as (_, port):
        with Client(port) as client:
            client.send(f"{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody")
            assert client.response()[0] == expected


def test_a_body_is_sent_again_with_the_retry():
    bodies = []

    def behaviour(peer):
        while True:
            _, body = peer.request()
            bodies.append(body)
            peer.answer(b"", status="503 Bad" if len(bodies) < 3 else "200 OK")
    with Origin(behaviour) as origin, simple_proxy(origin.port, filters=[http_filter([retrying("5xx", 3)])]) as (_, port):
        with Client(port) as client:
            body = "x" * 30_000
            client.send(f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n{body}")
            assert client.response()[0] == 200
            assert bodies == [body.encode()] * 3
            client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
            assert client.response()[0] == 200 and bodies[-1] == b"hello"


def test_a_body_that_is_too_large_to_keep_is_not_sent_again():
    bodies = []

    def behaviour(peer):
        while True:
            _, body = peer.request()
            bodies.append(len(body))
            peer.answer(b"", status="503 Bad")
    with Origin(behaviour) as origin, simple_proxy(origin.port, filters=[http_filter([retrying("5xx", 3)])]) as (_, port):
        with Client(port) as client:
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n" + bytes(500_000))
            assert client.response()[0] == 503
            assert bodies == [500_000]


def test_a_stale_connection_is_repaired_without_a_policy():
    """The origin closes an idle connection just as the next request is written to it."""
    def behaviour(peer):
        peer.request()
        peer.answer(b"one")
        # The next request arrives and is answered with a close instead.
        peer.until(b"\r\n\r\n")
        peer.reset()
    with Origin(behaviour) as origin, simple_proxy(origin.port) as (_, port), Client(port) as client:
        for _ in range(10):
            assert client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response()[2] == b"one"
        assert len(origin.received) == 10


def test_an_endpoint_that_closed_its_idle_connection_is_simply_dialled_again():
    def behaviour(peer):
        peer.request()
        peer.answer(b"one")
    with Origin(behaviour) as origin, simple_proxy(origin.port) as (_, port), Client(port) as client:
        for _ in range(30):
            assert client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response()[2] == b"one"


def test_the_routes_timeout_answers_504():
    def behaviour(peer):
        peer.request()
        threading.Event().wait(3)
    with Origin(behaviour) as origin:
        with simple_proxy(origin.port, filters=[http_filter([route({"cluster": "origin", "timeout": "0.2s"})])]) as (_, port):
            start = time.monotonic()
            code, fields, _ = get(port)
            assert code == 504 and "upstream_timeout" in fields["x-weft-reason"]
            assert 0.18 < time.monotonic() - start < 1


def test_a_slow_try_is_repeated_elsewhere():
    def slow(peer):
        peer.request()
        threading.Event().wait(3)
    with Origin(slow) as bad, Origin(serving(b"quick")) as good:
        filters = [http_filter([retrying("5xx,reset", 2, per_try_timeout="0.1s")])]
        with simple_proxy(bad.port, good.port, filters=filters) as (_, port):
            assert [get(port)[2] for _ in range(6)] == [b"quick"] * 6


def test_a_connect_timeout_is_its_own_failure():
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port_full = full.getsockname()[1]
        held = [socket.socket() for _ in range(4)]
        for one in held:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port_full))
        with simple_proxy(port_full, cluster={"connect_timeout": "0.2s"}) as (_, port):
            code, fields, _ = get(port)
            assert code == 503 and "connect timeout" in fields["x-weft-reason"]
        for one in held:
            one.close()


def test_an_answer_that_stalls_is_cut_by_the_idle_timeout():
    def behaviour(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nsome")
        threading.Event().wait(3)
    with Origin(behaviour) as origin, simple_proxy(origin.port, stream_idle_timeout="0.2s") as (_, port), Client(port) as client:
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        client.until(b"\r\n\r\n")
        start = time.monotonic()
        assert client.rest() == b"some"
        assert time.monotonic() - start < 1.5


@pytest.mark.one_worker
def test_failing_endpoints_are_ejected():
    with Origin(failing(10_000, status(500))) as bad, Origin(serving(b"good")) as good:
        settings = {"outlier_detection": {"consecutive_5xx": 3, "base_ejection_time": "30s", "max_ejection_percent": 50}}
        with simple_proxy(bad.port, good.port, cluster=settings) as (proxy, port):
            codes = [get(port)[0] for _ in range(40)]
            assert codes.count(500) == 3 and codes[-20:] == [200] * 20


def test_the_limit_of_requests_sheds_the_rest():
    release = threading.Event()

    def behaviour(peer):
        while True:
            peer.request()
            release.wait(5)
            peer.answer()
    with Origin(behaviour) as origin:
        limits = {"circuit_breakers": {"thresholds": [{"max_requests": 2}]}}
        with simple_proxy(origin.port, cluster=limits) as (_, port):
            clients = [Client(port).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(2)]
            assert eventually(lambda: origin.bytes.count(b"GET") == 2)
            code, fields, _ = get(port)
            assert code == 503 and "upstream_overflow" in fields["x-weft-reason"]
            release.set()
            assert [client.response()[0] for client in clients] == [200, 200]
            assert get(port)[0] == 200


@pytest.mark.one_worker
def test_requests_queue_for_a_connection_and_are_served_in_turn():
    with Origin(serving()) as origin:
        limits = {"circuit_breakers": {"thresholds": [{"max_connections": 1, "max_pending_requests": 100}]}}
        with simple_proxy(origin.port, cluster=limits) as (_, port):
            clients = [Client(port).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(20)]
            assert [client.response()[0] for client in clients] == [200] * 20
            assert len(origin.received) == 1


@pytest.mark.one_worker
def test_a_full_queue_sheds():
    release = threading.Event()

    def behaviour(peer):
        while True:
            peer.request()
            release.wait(5)
            peer.answer()
    with Origin(behaviour) as origin:
        limits = {"circuit_breakers": {"thresholds": [{"max_connections": 1, "max_pending_requests": 1}]}}
        with simple_proxy(origin.port, cluster=limits) as (_, port):
            first = Client(port).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert eventually(lambda: origin.bytes.count(b"GET") == 1)
            second = Client(port).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            time.sleep(0.2)
            assert get(port)[0] == 503
            release.set()
            assert first.response()[0] == 200 and second.response()[0] == 200


def test_the_load_goes_to_the_quicker_endpoint_with_peak_ewma():
    def slow(peer):
        while True:
            peer.request()
            time.sleep(0.03)
            peer.answer(b"slow")
    policy = {"load_balancing_policy": {"policies": [{"typed_extension_config": {
        "name": "envoy.load_balancing_policies.peak_ewma",
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.load_balancing_policies.peak_ewma.v3alpha.PeakEwma"}}}]}}
    with Origin(slow) as one, Origin(serving(b"quick")) as two:
        with simple_proxy(one.port, two.port, cluster=policy) as (_, port), Client(port) as client:
            answers = [client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response()[2] for _ in range(200)]
            assert answers.count(b"quick") > 180


def test_a_client_that_leaves_frees_the_endpoint_at_once():
    gone = threading.Event()

    def behaviour(peer):
        peer.request()
        try:
            if not peer.connection.recv(1):
                gone.set()
        except ConnectionResetError:
            gone.set()
    with Origin(behaviour) as origin, simple_proxy(origin.port) as (_, port):
        with Client(port) as client:
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert eventually(lambda: origin.bytes)
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        assert gone.wait(2)


def test_a_slow_upload_is_not_the_endpoints_fault():
    filters = [http_filter([route({"cluster": "origin", "timeout": "0.3s"})])]
    with Origin(serving(b"thanks")) as origin, simple_proxy(origin.port, filters=filters) as (_, port), Client(port) as client:
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n")
        for _ in range(6):
            time.sleep(0.1)
            client.send("x")
        assert client.response()[2] == b"thanks"


def test_a_body_that_takes_too_long_is_the_clients_fault():
    with Origin(serving()) as origin, simple_proxy(origin.port, request_timeout="0.3s") as (_, port), Client(port) as client:
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nx")
        code, fields, _ = client.response()
        assert (code, fields["connection"]) == (408, "close")


def test_host_can_become_the_endpoints_name():
    name = {"endpoint": {"hostname": "inner.example", "address": None}}
    with Origin(serving()) as origin:
        name["endpoint"]["address"] = {"socket_address": {"address": "127.0.0.1", "port_value": origin.port}}
        port = free_port()
        action = {"cluster": "origin", "auto_host_rewrite": True, "append_x_forwarded_host": True}
        with Proxy([listener(port, http_filter([route(action)]))], [cluster("origin", name)]):
            with Client(port) as client:
                client.send("POST /p HTTP/1.1\r\nHost: outer\r\nContent-Length: 3\r\nX-A: b\r\n\r\nabc")
                assert client.response()[0] == 200
            head = origin.bytes.decode()
            assert head.startswith("POST /p HTTP/1.1\r\nhost: inner.example\r\nX-A: b\r\n") and head.endswith("\r\n\r\nabc")
            assert "x-forwarded-host: outer" in head
