"""Admission control, adaptive concurrency and sessions, beside a real Envoy."""

import contextlib
import threading

import pytest

from envoykit import Envoy
from proxykit import Client, Origin, Proxy, cluster, eventually, free_port, get, http_filter, listener, route, serving

ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
FILTERS = "type.googleapis.com/envoy.extensions.filters.http."
SESSIONS = "type.googleapis.com/envoy.extensions.http.stateful_session."
BOTH = pytest.mark.parametrize("program", [Proxy, Envoy], ids=["weft-proxy", "envoy"])


@contextlib.contextmanager
def chain(program, *ports, name, kind, settings, routes=None, **more):
    front = free_port()
    filters = [{"name": name, "typed_config": {"@type": FILTERS + kind, **settings}},
               {"name": "router", "typed_config": {"@type": ROUTER}}]
    hcm = http_filter(routes or [route()], http_filters=filters)
    with program([listener(front, hcm)], [cluster("origin", *ports, **more)]) as proxy:
        yield proxy, front


def numbers(proxy, part):
    lines = proxy.admin(f"/stats?filter={part}").splitlines()
    return {line.split(": ")[0].split(".", 2)[2]: int(line.split(": ")[1]) for line in lines if line.split(": ")[1].isdigit()}


@BOTH
def test_requests_are_turned_away_while_too_many_fail(program):
    """Failures of the endpoint make refusals by chance; what is refused does not reach it; successes make none."""
    def half(peer):
        while True:
            head, _ = peer.request()
            peer.answer(status="500 X" if b"/bad" in head else "200 OK")

    settings = {"success_criteria": {"http_criteria": {"http_success_status": [{"start": 200, "end": 300}]}},
                "sampling_window": "60s", "max_rejection_probability": {"default_value": {"value": 100}, "runtime_key": "a"}}
    with Origin(half) as origin, chain(program, origin.port, name="admission",
            kind="admission_control.v3.AdmissionControl", settings=settings) as (proxy, port), Client(port) as client:
        for _ in range(20):
            client.send("GET /good HTTP/1.1\r\nhost: a\r\n\r\n")
            assert client.response()[0] == 200
        assert numbers(proxy, "admission_control") == {
            "admission_control.rq_rejected": 0, "admission_control.rq_success": 20, "admission_control.rq_failure": 0}
        statuses = []
        for _ in range(150):
            client.send("GET /bad HTTP/1.1\r\nhost: a\r\n\r\n")
            statuses.append(client.response()[0])
        assert set(statuses) == {500, 503}
        assert numbers(proxy, "admission_control") == {
            "admission_control.rq_rejected": statuses.count(503), "admission_control.rq_success": 20,
            "admission_control.rq_failure": statuses.count(500)}
        assert origin.bytes.count(b"GET /bad") == statuses.count(500)


@BOTH
def test_requests_beyond_the_bound_are_refused(program):
    """While the least latency is measured few pass at once; then the bound goes up."""
    gates = threading.Semaphore(0)

    def waits(peer):
        while True:
            peer.request()
            assert gates.acquire(timeout=10)
            peer.answer()

    settings = {"gradient_controller_config": {
        "concurrency_limit_params": {"concurrency_update_interval": "0.01s", "max_concurrency_limit": 50},
        "min_rtt_calc_params": {"interval": "3600s", "request_count": 5, "min_concurrency": 2, "jitter": {"value": 0}}}}
    where = "adaptive_concurrency.gradient_controller."
    with Origin(waits) as origin, chain(program, origin.port, name="concurrency",
            kind="adaptive_concurrency.v3.AdaptiveConcurrency", settings=settings) as (proxy, port):
        clients = [Client(port) for _ in range(2)]
        for client in clients:
            client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        assert eventually(lambda: origin.bytes.count(b"GET /") == 2)
        status, _, body = get(port)
        assert (status, body) == (503, b"reached concurrency limit")
        now = numbers(proxy, "adaptive")
        assert (now[where + "rq_blocked"], now[where + "concurrency_limit"], now[where + "min_rtt_calculation_active"]) == (1, 2, 1)
        for _ in range(200):
            gates.release()
        for client in clients:
            assert client.response()[0] == 200
        for _ in range(3):
            clients[0].send("GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            assert clients[0].response()[0] == 200
        assert numbers(proxy, "adaptive")[where + "min_rtt_calculation_active"] == 0
        def raised():
            clients[0].send("GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            clients[0].response()
            gates.release()
            return numbers(proxy, "adaptive")[where + "concurrency_limit"] > 2
        assert eventually(raised)
        for client in clients:
            client.socket.close()


def cookie_session(strict=False, ttl="120s"):
    return {"session_state": {"name": "envoy.http.stateful_session.cookie", "typed_config": {
        "@type": SESSIONS + "cookie.v3.CookieBasedSessionState",
        "cookie": {"name": "session", "path": "/shop", "ttl": ttl}}}, "strict": strict}


HEADER_SESSION = {"session_state": {"name": "envoy.http.stateful_session.header", "typed_config": {
    "@type": SESSIONS + "header.v3.HeaderBasedSessionState", "name": "session-id"}}}


@BOTH
def test_a_session_stays_with_its_endpoint(program):
    """By a cookie of its path or by a header field; strictly, or with another endpoint when the first is gone; per route."""
    per_route = lambda **more: {"typed_per_filter_config": {"session": {
        "@type": FILTERS + "stateful_session.v3.StatefulSessionPerRoute", **more}}}
    routes = [{**route(prefix="/shop/header"), **per_route(stateful_session=HEADER_SESSION)},
              {**route(prefix="/shop/off"), **per_route(disabled=True)},
              {**route(prefix="/shop/strict"), **per_route(stateful_session=cookie_session(strict=True, ttl="0s"))}, route()]
    gone = "session=CgsxMjcuMC4wLjE6MQ==\r\n"
    with Origin(serving(b"one")) as one, Origin(serving(b"two")) as two, chain(
            program, one.port, two.port, name="session", kind="stateful_session.v3.StatefulSession",
            settings=cookie_session(), routes=routes) as (_, port):
        status, fields, body = get(port, "/shop")
        cookie = fields["set-cookie"]
        assert cookie.startswith('session="') and cookie.endswith('"; Max-Age=120; Path=/shop; HttpOnly')
        value = cookie.split('"')[1]
        for _ in range(6):
            _, fields, again = get(port, "/shop/cart", f'cookie: a=b; session="{value}"\r\n')
            assert again == body and "set-cookie" not in fields
        assert {get(port, "/shop/off", f"cookie: session={value}\r\n")[2] for _ in range(6)} == {b"one", b"two"}
        assert {get(port, "/else", f"cookie: session={value}\r\n")[2] for _ in range(6)} == {b"one", b"two"}
        assert "set-cookie" not in get(port, "/else")[1]
        status, fields, _ = get(port, "/shop", f"cookie: {gone}")
        assert status == 200 and fields["set-cookie"].startswith("session=")
        status, fields, body = get(port, "/shop/strict")
        assert "Max-Age" not in fields["set-cookie"]
        assert get(port, "/shop/strict", f"cookie: session={fields['set-cookie'].split(chr(34))[1]}\r\n")[2] == body
        assert get(port, "/shop/strict", f"cookie: {gone}")[0] == 503
        _, fields, body = get(port, "/shop/header")
        named = fields["session-id"]
        assert {get(port, "/shop/header", f"session-id: {named}\r\n")[2] for _ in range(6)} == {body}


def test_sessions_of_envoy_are_ours_and_ours_are_envoys():
    """Whoever serves the next request knows the session that the other began."""
    with Origin(serving(b"one")) as one, Origin(serving(b"two")) as two, \
            chain(Envoy, one.port, two.port, name="session", kind="stateful_session.v3.StatefulSession",
                  settings=cookie_session()) as (_, envoy), \
            chain(Proxy, one.port, two.port, name="session", kind="stateful_session.v3.StatefulSession",
                  settings=cookie_session()) as (_, ours):
        for first, second in ((envoy, ours), (ours, envoy)):
            _, fields, body = get(first, "/shop")
            value = fields["set-cookie"].split('"')[1]
            for _ in range(6):
                _, fields, again = get(second, "/shop", f"cookie: session={value}\r\n")
                assert again == body and "set-cookie" not in fields
