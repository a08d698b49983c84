"""Requests to a cluster that has no endpoint for a moment."""

import json
import subprocess
import threading

import pytest

from proxykit import Client, Origin, Proxy, endpoint, free_port, http_filter, listener, program, route, serving
from weftkit import wait_until

GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
EDS = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"


class Endpoints:
    """A watched file of endpoints."""

    def __init__(self, folder):
        self.path = folder / "eds.json"
        self.version = 0

    def set(self, *ports):
        self.version += 1
        resource = {"@type": EDS, "cluster_name": "origin", "endpoints": [{"lb_endpoints": [endpoint(port) for port in ports]}]}
        draft = self.path.with_suffix(".tmp")
        draft.write_text(json.dumps({"version_info": str(self.version), "resources": [resource]}))
        draft.rename(self.path)

    def cluster(self, wait=None):
        source = {"path_config_source": {"path": str(self.path)}, "resource_api_version": "V3"}
        metadata = {"metadata": {"filter_metadata": {"weft.dev/endpoints": {"wait": wait}}}} if wait else {}
        return {"name": "origin", "type": "EDS", "connect_timeout": "5s", "eds_cluster_config": {"eds_config": source}, **metadata}


def proxy_with(endpoints, wait):
    port = free_port()
    return Proxy([listener(port, http_filter([route()]))], [endpoints.cluster(wait)]), port


def send_in_background(port, message, answers):
    def send():
        with Client(port) as client:
            answers.append(client.send(message).response()[0])
    thread = threading.Thread(target=send)
    thread.start()
    return thread


@pytest.mark.parametrize("message", [
    GET, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + "x" * 1_000_000,
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"],
    ids=["get", "post", "large", "chunked"])
def test_a_request_waits_for_the_first_endpoint(tmp_path, message):
    endpoints, answers = Endpoints(tmp_path), []
    endpoints.set()
    with Origin(serving()) as origin:
        proxy, port = proxy_with(endpoints, "30s")
        with proxy:
            threads = [send_in_background(port, message, answers) for _ in range(5)]
            wait_until(lambda: proxy.stat("endpoint_wait_total") == 5, "all wait")
            assert answers == []
            endpoints.set(origin.port)
            for thread in threads:
                thread.join(10)
            assert answers == [200] * 5 and proxy.stat("local_response_total") == 0


def test_an_endpoint_that_goes_and_comes_back_is_waited_for(tmp_path):
    endpoints, answers = Endpoints(tmp_path), []
    with Origin(serving()) as origin:
        endpoints.set(origin.port)
        proxy, port = proxy_with(endpoints, "30s")
        with proxy, Client(port) as client:
            assert client.send(GET).response()[0] == 200
            endpoints.set()
            wait_until(lambda: "127.0.0.1:" not in proxy.admin("/clusters"), "the endpoint has gone")
            thread = send_in_background(port, GET, answers)
            wait_until(lambda: proxy.stat("endpoint_wait_total") == 1, "it waits")
            endpoints.set(origin.port)
            thread.join(10)
            assert answers == [200]


def test_waiting_ends_and_then_nothing_waits_any_more(tmp_path):
    endpoints = Endpoints(tmp_path)
    endpoints.set()
    proxy, port = proxy_with(endpoints, "0.2s")
    with proxy, Client(port) as client:
        for _ in range(3):
            status, fields, _ = client.send(GET).response()
            assert status == 503 and "no endpoints" in fields["x-weft-reason"]
        waited = proxy.stat("endpoint_wait_total")
        assert client.send(GET).response()[0] == 503
        assert proxy.stat("endpoint_wait_total") == waited, "whoever comes late is answered at once"


def test_a_client_that_goes_away_while_it_waits_leaves_nothing(tmp_path):
    endpoints = Endpoints(tmp_path)
    endpoints.set()
    proxy, port = proxy_with(endpoints, "30s")
    with proxy:
        with Client(port) as client:
            client.send(GET)
            wait_until(lambda: proxy.stat("endpoint_wait_total") == 1, "it waits")
        wait_until(lambda: proxy.stat("downstream_connections") == 0, "its connection has gone")


def test_a_wait_that_is_no_time_is_refused(tmp_path):
    endpoints = Endpoints(tmp_path)
    endpoints.set()
    port = free_port()
    for wrong in ("3", "-1s", "4000s", "s"):
        path = tmp_path / "c.json"
        path.write_text(json.dumps({"static_resources": {
            "listeners": [listener(port, http_filter([route()]))], "clusters": [endpoints.cluster(wrong)]}}))
        result = subprocess.run([program(), "--mode", "validate", "-c", path], capture_output=True, text=True, timeout=10)
        assert result.returncode == 1 and "weft.dev/endpoints" in result.stderr, wrong
