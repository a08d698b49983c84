"""The overload manager: what is given up at which pressure, beside a real Envoy where it does the same."""

import contextlib
import json
import os
import subprocess

import pytest

import envoykit
import proxykit
from proxykit import Client, Origin, Proxy, cluster, eventually, free_port, get, http_filter, listener, program, route, serving, simple_proxy

MONITORS = "type.googleapis.com/envoy.extensions.resource_monitors."
KEEP_ALIVE, ACCEPT, REJECT, REQUESTS, SHRINK = (
    f"envoy.overload_actions.{name}" for name in (
        "disable_http_keepalive", "stop_accepting_connections", "reject_incoming_connections", "stop_accepting_requests", "shrink_heap"))


class Pressure:
    """A pressure that the test sets: a file for each resource."""

    def __init__(self, folder):
        self.folder = folder

    def set(self, name, value):
        (self.folder / f"{name}.new").write_text(f"{value}")
        os.rename(self.folder / f"{name}.new", self.folder / name)

    def manager(self, **actions):
        """An overload manager in which the resource ACTION starts that action: wholly at 0.9, or by a trigger of its own."""
        wanted = {"keepalive": KEEP_ALIVE, "accept": ACCEPT, "reject": REJECT, "requests": REQUESTS, "shrink": SHRINK}
        for name in actions:
            self.set(name, 0)
        return {
            "refresh_interval": "0.05s",
            "resource_monitors": [
                {"name": name, "typed_config": {
                    "@type": MONITORS + "injected_resource.v3.InjectedResourceConfig", "filename": str(self.folder / name)}}
                for name in actions],
            "actions": [
                {"name": wanted[name], "triggers": [{"name": name, **(trigger or {"threshold": {"value": 0.9}})}]}
                for name, trigger in actions.items()]}


@contextlib.contextmanager
def running(folder, kind=Proxy, routes=None, **actions):
    pressure, port = Pressure(folder), free_port()
    with Origin(serving()) as origin, kind(
            [listener(port, http_filter(routes or [route()]))], [cluster("origin", origin.port)],
            overload_manager=pressure.manager(**actions)) as proxy:
        yield proxy, port, pressure


def level(proxy, action):
    return {name: int(value) for name, value in (
        line.split(": ") for line in proxy.admin(f"/stats?filter=overload.{action}").splitlines() if ": " in line)}


def active(proxy, action, wanted=1):
    return eventually(lambda: level(proxy, action).get(f"overload.{action}.active") == wanted)


@pytest.mark.parametrize("kind", [Proxy, envoykit.Envoy], ids=["weft", "envoy"])
def test_requests_connections_and_keep_alive_are_given_up_and_come_back(tmp_path, kind):
    with running(tmp_path, kind, requests=None, keepalive=None, accept=None) as (proxy, port, pressure), Client(port) as kept:
        ask = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        assert kept.send(ask).response()[0] == 200
        pressure.set("requests", 0.95)
        assert active(proxy, REQUESTS)
        assert kept.send(ask).response()[0] == 503
        pressure.set("requests", 0.1)
        assert active(proxy, REQUESTS, 0)
        with Client(port) as other:
            assert other.send(ask).response()[0] == 200
            # A connection waits in the kernel's queue, and is served as soon as there is room.
            pressure.set("accept", 1)
            assert active(proxy, ACCEPT)
            with Client(port) as waiting:
                waiting.send(ask)
                assert other.send(ask).response()[0] == 200
                waiting.socket.settimeout(0.1)
                with pytest.raises(TimeoutError):
                    waiting.socket.recv(1)
                waiting.socket.settimeout(proxykit.DEADLINE)
                pressure.set("accept", 0)
                assert waiting.response()[0] == 200
        pressure.set("keepalive", 1)
        assert active(proxy, KEEP_ALIVE)
        with Client(port) as last:
            status, fields, _ = last.send(ask).response()
            assert status == 200 and fields["connection"] == "close"


def test_an_answer_in_overload_says_so_and_idle_connections_go(tmp_path):
    routes = [route({"cluster": "origin", "priority": "HIGH"}, "/high"), route()]
    trigger = {"scaled": {"scaling_threshold": 0.5, "saturation_threshold": 1.0}}
    with running(tmp_path, routes=routes, requests=trigger, keepalive=None, shrink=None, reject=None) as (proxy, port, pressure):
        idle = Client(port)
        assert idle.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response()[0] == 200
        pressure.set("requests", 0.75)
        assert eventually(lambda: level(proxy, REQUESTS).get(f"overload.{REQUESTS}.scale_percent") == 50)
        refused = [answer for answer in (get(port) for _ in range(100)) if answer[0] == 503]
        assert 10 < len(refused) < 90
        _, fields, body = refused[0]
        assert fields["retry-after"] == "1" and fields["x-weft-reason"].startswith("overload; ") and body.startswith(b"overload; ")
        assert {get(port, "/high")[0] for _ in range(50)} == {200}, "half of the rest goes first"
        assert f"proxy.requests_shed: {len(refused)}\n" in proxy.admin("/stats")
        pressure.set("requests", 0)
        pressure.set("keepalive", 1)
        pressure.set("shrink", 1)
        assert active(proxy, KEEP_ALIVE) and idle.is_closed()
        pressure.set("reject", 1)
        assert active(proxy, REJECT)
        with Client(port) as one:
            assert one.is_closed()
        assert proxy.stat("overload_connections_closed_total") == 2
        # What cannot be read leaves the pressure as it was, and is counted.
        pressure.set("reject", "nothing")
        failures = "overload.reject.failed_updates"
        assert eventually(lambda: level(proxy, "reject").get(failures, 0) > 0)
        assert level(proxy, REJECT)[f"overload.{REJECT}.active"] == 1


@pytest.mark.parametrize("kind", [Proxy, envoykit.Envoy], ids=["weft", "envoy"])
def test_a_request_is_given_up_before_the_filters_work_on_it(tmp_path, kind):
    """What they do may be most of its cost: here they would answer 418."""
    pressure, port = Pressure(tmp_path), free_port()
    chain = http_filter([route()])
    chain["typed_config"]["http_filters"].insert(0, {"name": "fault", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
        "abort": {"http_status": 418, "percentage": {"numerator": 100}}}})
    with Origin(serving()) as origin, kind(
            [listener(port, chain)], [cluster("origin", origin.port)], overload_manager=pressure.manager(requests=None)) as proxy:
        assert get(port)[0] == 418
        pressure.set("requests", 1)
        assert active(proxy, REQUESTS) and eventually(lambda: get(port)[0] == 503)
        pressure.set("requests", 0)
        assert active(proxy, REQUESTS, 0) and eventually(lambda: get(port)[0] == 418)


def test_memory_beyond_its_budget_sheds_load_by_itself():
    """Every process has more than 1 MiB: the standard order of actions is in force without a word about actions of its own."""
    port = free_port()
    manager = {
        "refresh_interval": "0.05s",
        "resource_monitors": [{"name": "heap", "typed_config": {"@type": MONITORS + "fixed_heap.v3.FixedHeapConfig", "max_heap_size_bytes": 1 << 20}}],
        "actions": [{"name": REQUESTS, "triggers": [{"name": "heap", "threshold": {"value": 0.95}}]}]}
    with Origin(serving()) as origin, Proxy(
            [listener(port, http_filter([route()]))], [cluster("origin", origin.port)], overload_manager=manager) as proxy:
        assert active(proxy, REQUESTS)
        assert get(port)[0] == 503 and not origin.received


def test_memory_and_delay_are_looked_at_without_a_configuration():
    with Origin(serving()) as origin, simple_proxy(origin.port) as (proxy, port):
        assert get(port)[0] == 200
        page = proxy.admin("/stats?filter=^overload")
        assert "overload.memory.pressure: 0" in page and "overload.loop_lag.pressure: 0" in page
        assert f"overload.{REQUESTS}.active: 0" in page and f"overload.{ACCEPT}.active: 0" in page


@pytest.mark.parametrize("change, problem", [
    (lambda manager: manager["actions"][0].update(name="envoy.overload_actions.reduce_timeouts"), "actions[0].name"),
    (lambda manager: manager["actions"][0]["triggers"][0].update(name="other"), "actions[0].triggers[0].name"),
    (lambda manager: manager["actions"][0].update(triggers=[{"name": "requests", "scaled": {
        "scaling_threshold": 0.5, "saturation_threshold": 0.5}}]), "actions[0].triggers[0].scaled"),
    (lambda manager: manager["resource_monitors"].append(manager["resource_monitors"][0]), "resource_monitors[1].name"),
    (lambda manager: manager.update(actions=[]), "resource_monitors[0]"),
    (lambda manager: manager.update(loadshed_points=[{"name": "x"}]), "loadshed_points"),
], ids=["action", "trigger", "scaled", "twice", "without", "points"])
def test_what_cannot_work_is_named_by_its_path(tmp_path, change, problem):
    manager = Pressure(tmp_path).manager(requests=None)
    change(manager)
    path = tmp_path / "bootstrap.json"
    path.write_text(json.dumps({"overload_manager": manager}))
    done = subprocess.run([program(), "--mode", "validate", "-c", str(path)], capture_output=True, text=True, timeout=20)
    assert done.returncode == 1 and problem in done.stderr
