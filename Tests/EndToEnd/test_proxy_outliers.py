"""Outlier detection through the proxy, and the same through a real Envoy where there is one."""

import http.client
import re
import shutil
import time

import pytest

from envoykit import Envoy
from proxykit import Origin, Proxy, cluster, free_port, http_filter, listener, route, serving


def ask(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/")
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def stats(proxy, name):
    lines = proxy.admin(f"/stats?filter=cluster.{name}.outlier_detection").splitlines()
    return {line.split(":")[0].rsplit(".", 1)[1]: int(line.split(":")[1]) for line in lines}


def until(condition, deadline=10):
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, "the condition was never fulfilled"
        time.sleep(0.01)


@pytest.mark.one_worker
@pytest.mark.parametrize("program", [Proxy, Envoy], ids=["weft-proxy", "envoy"])
def test_failures_in_a_row_eject_and_the_share_bounds_it(program):
    never = {"enforcing_success_rate": 0, "base_ejection_time": "3600s", "interval": "3600s"}
    settings = {
        "full": {"consecutive_5xx": 3, "max_ejection_percent": 100},
        "small": {"consecutive_5xx": 3, "max_ejection_percent": 10},
        "one": {"consecutive_5xx": 3, "max_ejection_percent": 10, "always_eject_one_host": True},
        "gateway": {"consecutive_5xx": 100, "consecutive_gateway_failure": 2, "enforcing_consecutive_gateway_failure": 100,
                    "max_ejection_percent": 100},
        "split": {"consecutive_5xx": 100, "split_external_local_origin_errors": True,
                  "consecutive_local_origin_failure": 2, "max_ejection_percent": 100},
    }
    with Origin(serving(b"good")) as good, Origin(serving(b"bad", status="503 No")) as bad:
        dead = free_port()
        ports = {name: free_port() for name in settings}
        clusters = [cluster(name, good.port, dead if name == "split" else bad.port, **{"outlier_detection": {**never, **more}})
                    for name, more in settings.items()]
        listeners = [listener(port, http_filter([route(name)]), name=name) for name, port in ports.items()]
        with program(listeners, clusters) as proxy:
            seen = {name: [ask(port)[0] for _ in range(12)].count(503) for name, port in ports.items()}
            assert seen == {"full": 3, "small": 6, "one": 3, "gateway": 2, "split": 2}
            enforced = {name: stats(proxy, name)["ejections_enforced_total"] for name in ports}
            assert enforced == {"full": 1, "small": 0, "one": 1, "gateway": 1, "split": 1}
            assert stats(proxy, "small")["ejections_overflow"] == 3, "twice 5xx, once the gateway failures that are never enforced"
            assert stats(proxy, "full")["ejections_enforced_consecutive_5xx"] == 1
            assert stats(proxy, "gateway")["ejections_enforced_consecutive_gateway_failure"] == 1
            assert stats(proxy, "split")["ejections_enforced_consecutive_local_origin_failure"] == 1
            assert stats(proxy, "full")["ejections_active"] == 1
            assert {"ejections_detected_success_rate", "ejections_enforced_failure_percentage",
                    "ejections_enforced_local_origin_success_rate", "ejections_detected_local_origin_failure_percentage",
                    } <= set(stats(proxy, "full"))


def test_an_ejection_holds_for_all_workers_and_ends_with_a_health_check():
    state = {"status": "503 No"}

    def failing(peer):
        while True:
            head, _ = peer.request()
            is_check = b"/health" in head.split(b"\r\n")[0]
            peer.answer(b"bad", status=state.get("check", "200 OK") if is_check else "503 No")

    with Origin(serving(b"good")) as good, Origin(failing) as bad:
        port = free_port()
        checks = [{"timeout": "5s", "interval": "0.02s", "no_traffic_interval": "0.02s", "unhealthy_threshold": 1,
                   "healthy_threshold": 1, "http_health_check": {"path": "/health"}}]
        outliers = {"consecutive_5xx": 2, "max_ejection_percent": 50, "base_ejection_time": "3600s"}
        clusters = [cluster("pair", good.port, bad.port, outlier_detection=outliers),
                    cluster("checked", good.port, bad.port, outlier_detection=outliers, health_checks=checks)]
        other = free_port()
        listeners = [listener(port, http_filter([route("pair")])), listener(other, http_filter([route("checked")]), name="b")]
        with Proxy(listeners, clusters, "--concurrency", "3") as proxy:
            # Whichever worker finds out: all of them leave it out.
            until(lambda: stats(proxy, "pair")["ejections_active"] == 1 or not ask(port))
            until(lambda: all(ask(port)[1] == b"good" for _ in range(24)))
            assert re.search(rf"pair::127.0.0.1:{bad.port}::health_flags::/failed_outlier_check", proxy.admin("/clusters"))
            # A check that succeeds brings the other one back, again and again.
            until(lambda: (ask(other), stats(proxy, "checked")["ejections_enforced_total"] >= 2)[1])


def test_breakers_tell_what_is_left_and_take_nothing_that_has_no_effect():
    limits = {"thresholds": [{"max_connections": 7, "max_requests": 5, "track_remaining": True}]}
    with Origin(serving(b"good")) as origin:
        port = free_port()
        with Proxy([listener(port, http_filter([route("c")]))], [cluster("c", origin.port, circuit_breakers=limits)]) as proxy:
            assert ask(port)[0] == 200
            lines = proxy.admin("/stats?filter=circuit_breakers.default.remaining").splitlines()
            left = {line.split(":")[0].rsplit(".", 1)[1]: int(line.split(":")[1]) for line in lines}
            assert left["remaining_rq"] == 5 and left["remaining_cx"] in (6, 7)
    bad = {"per_host_thresholds": [{"max_requests": 1}], "thresholds": [{"max_connection_pools": 1}]}
    refused = Proxy([], [cluster("c", 1, circuit_breakers=bad)])
    with pytest.raises(AssertionError, match="per_host_thresholds(.|\n)*max_connection_pools"):
        refused.__enter__()
    refused.log.close()
    shutil.rmtree(refused.folder)
