"""Configuration that changes under load: no request may notice."""

import json
import os
import threading
import time

from proxykit import Client, Origin, Proxy, cluster, endpoint, eventually, free_port, get, http_filter, listener, route, serving

LISTENER = "type.googleapis.com/envoy.config.listener.v3.Listener"
CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
ENDPOINTS = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
ROUTES = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"


class Files:
    """Watched files, replaced by rename as the control plane does it."""

    def __init__(self, folder):
        self.folder = folder
        self.version = 0

    def write(self, name, kind, *resources):
        self.version += 1
        body = {"version_info": str(self.version), "resources": [{"@type": kind, **one} for one in resources]}
        path = self.folder / name
        path.with_suffix(".new").write_text(json.dumps(body))
        os.rename(path.with_suffix(".new"), path)
        return str(self.version)

    def source(self, name):
        return {"path_config_source": {"path": str(self.folder / name)}}

    def dynamic(self):
        return {"dynamic_resources": {"lds_config": self.source("lds.json"), "cds_config": self.source("cds.json")}}

    def eds(self, name, **more):
        return {"name": name, "type": "EDS", "connect_timeout": "1s",
                "eds_cluster_config": {"eds_config": self.source(f"{name}.json")}, **more}

    def applied(self, proxy, name, version):
        def look():
            state = json.loads(proxy.admin("/config_versions")).get(str(self.folder / name), {})
            assert not state.get("error"), state
            return state.get("applied") and state.get("version") == version
        return eventually(look)


def assignment(name, *ports):
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint(port) for port in ports]}]}


def rds(files):
    return {"rds": {"route_config_name": "routes", "config_source": files.source("rds.json")}}


def table(*routes):
    return {"name": "routes", "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": list(routes)}]}


def chain(files):
    one = http_filter([])
    one["typed_config"].pop("route_config")
    one["typed_config"].update(rds(files))
    return one


class Load:
    """Clients that send requests without pause; every answer other than 200 is kept."""

    def __init__(self, port, clients=4, path="/"):
        self.port, self.path, self.done, self.bad, self.stopped = port, path, 0, [], threading.Event()
        self.threads = [threading.Thread(target=self._run) for _ in range(clients)]

    def _run(self):
        while not self.stopped.is_set():
            try:
                with Client(self.port) as client:
                    while not self.stopped.is_set():
                        status, fields, _ = client.send(f"GET {self.path} HTTP/1.1\r\nHost: a\r\n\r\n").response()
                        self.done += 1
                        if status != 200:
                            self.bad.append((status, fields.get("x-weft-reason")))
                        if fields.get("connection") == "close":
                            break
            except (EOFError, OSError) as error:
                self.bad.append(repr(error))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        for thread in self.threads:
            thread.join()


def test_a_thousand_changes_under_load_fail_no_request(folder):
    files = Files(folder)
    port = free_port()
    with Origin(serving(b"a")) as a, Origin(serving(b"b")) as b:
        files.write("eds-a.json", ENDPOINTS, assignment("eds-a", a.port))
        files.write("cds.json", CLUSTER, files.eds("eds-a"))
        files.write("rds.json", ROUTES, table(route("eds-a")))
        files.write("lds.json", LISTENER, listener(port, chain(files)))
        with Proxy([], [], **files.dynamic()) as proxy:
            assert eventually(lambda: get(port)[0] == 200)
            with Load(port) as load:
                for turn in range(250):
                    ports = [[a.port], [b.port], [a.port, b.port], [b.port, a.port]][turn % 4]
                    files.write("eds-a.json", ENDPOINTS, assignment("eds-a", *ports))
                    files.write("rds.json", ROUTES, table(route("eds-a", prefix=f"/{turn}"), route("eds-a")))
                    files.write("cds.json", CLUSTER, files.eds("eds-a", connect_timeout=f"{1 + turn % 3}s"))
                    version = files.write("lds.json", LISTENER, {**listener(port, chain(files)), "metadata": {
                        "filter_metadata": {"weft.dev/labels": {"deployment": f"d{turn % 7}"}}}})
                    if turn % 50 == 0:
                        assert files.applied(proxy, "lds.json", version)
                assert files.applied(proxy, "lds.json", version)
            assert load.bad == [] and load.done > 200


def test_a_removed_endpoint_gets_no_new_request_and_finishes_the_old_ones(folder):
    files = Files(folder)
    port = free_port()
    release = threading.Event()

    def slow(peer):
        while True:
            peer.request()
            release.wait(5)
            peer.answer(b"old")
    with Origin(slow) as old, Origin(serving(b"new")) as new:
        files.write("service.json", ENDPOINTS, assignment("service", old.port))
        files.write("cds.json", CLUSTER, files.eds("service"))
        files.write("lds.json", LISTENER, listener(port, http_filter([route("service")])))
        with Proxy([], [], **files.dynamic()) as proxy, Client(port) as client:
            assert eventually(lambda: proxy.admin("/ready"))
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert eventually(lambda: old.bytes)
            version = files.write("service.json", ENDPOINTS, assignment("service", new.port))
            assert files.applied(proxy, "service.json", version)
            assert [get(port)[2] for _ in range(10)] == [b"new"] * 10
            release.set()
            assert client.response()[2] == b"old"
            # Its connection is not kept.
            assert client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response()[2] == b"new"
            assert len(old.received) == 1


def test_clusters_and_listeners_come_and_go(folder):
    files = Files(folder)
    ports = [free_port() for _ in range(3)]
    with Origin(serving(b"x")) as origin:
        files.write("cds.json", CLUSTER)
        files.write("lds.json", LISTENER)
        with Proxy([], [], **files.dynamic()) as proxy:
            for turn in range(12):
                chosen = [p for n, p in enumerate(ports) if turn % (n + 2) == 0]
                files.write("cds.json", CLUSTER, *[cluster(f"c{p}", origin.port) for p in chosen])
                version = files.write("lds.json", LISTENER, *[
                    listener(p, http_filter([route(f"c{p}")]), name=f"l{p}") for p in chosen])
                assert files.applied(proxy, "lds.json", version)
                for port in ports:
                    if port in chosen:
                        assert get(port)[2] == b"x"
                    else:
                        try:
                            Client(port).socket.close()
                            raise AssertionError("still listening")
                        except ConnectionRefusedError:
                            pass


def test_a_cluster_that_goes_away_ends_its_waiting_requests_with_a_reason(folder):
    files = Files(folder)
    port = free_port()
    release = threading.Event()

    def slow(peer):
        while True:
            peer.request()
            release.wait(3)
            peer.answer(b"x")
    limits = {"circuit_breakers": {"thresholds": [{"max_connections": 1, "max_pending_requests": 10}]}}
    with Origin(slow) as origin:
        files.write("cds.json", CLUSTER, cluster("service", origin.port, **limits))
        files.write("lds.json", LISTENER, listener(port, http_filter([route("service")])))
        with Proxy([], [], **files.dynamic()) as proxy:
            assert eventually(lambda: proxy.admin("/ready"))
            first = Client(port).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert eventually(lambda: origin.bytes)
            second = Client(port).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            time.sleep(0.2)
            version = files.write("cds.json", CLUSTER)
            assert files.applied(proxy, "cds.json", version)
            assert second.response()[0] == 503
            release.set()
            assert first.response()[2] == b"x"


def test_a_changed_listener_keeps_its_connections_until_their_next_answer(folder):
    files = Files(folder)
    port = free_port()
    with Origin(serving(b"x")) as origin:
        files.write("cds.json", CLUSTER, cluster("service", origin.port))
        files.write("lds.json", LISTENER, listener(port, http_filter([route("service")])))
        with Proxy([], [], **files.dynamic()) as proxy, Client(port) as client:
            assert eventually(lambda: client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response()[0] == 200)
            version = files.write("lds.json", LISTENER, listener(port, http_filter([route("service")], server_name="other")))
            assert files.applied(proxy, "lds.json", version)
            status, fields, _ = client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response()
            assert (status, fields["connection"]) == (200, "close")
            assert get(port)[1]["server"] == "other"
