"""Watched configuration files of weft-proxy: what is taken over, what is refused, and that no request is lost meanwhile."""

import http.client
import json
import os
import pathlib
import threading
import time

import pytest

import proxykit
from proxykit import Proxy, free_port, http_filter
from weftkit import wait_until

PREFIX = "type.googleapis.com/envoy.config."
TYPES = {
    "listener": PREFIX + "listener.v3.Listener", "cluster": PREFIX + "cluster.v3.Cluster",
    "route": PREFIX + "route.v3.RouteConfiguration", "endpoint": PREFIX + "endpoint.v3.ClusterLoadAssignment",
}


class Files:
    """A folder of configuration files, replaced by rename."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.versions = {}

    def path(self, name):
        return str(self.folder / name)

    def source(self, name):
        return {"path_config_source": {"path": self.path(name)}}

    def write(self, name, kind, *resources, version=None):
        number = version or self.versions.get(name, 0) + 1
        self.versions[name] = number
        body = {"version_info": str(number), "resources": [{"@type": TYPES[kind], **one} for one in resources]}
        self.put(name, json.dumps(body))
        return number

    def put(self, name, text):
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        new = target.with_suffix(".new")
        new.write_text(text)
        os.rename(new, target)

    # What the tests write.

    def cluster(self, name, **more):
        return {"name": name, "type": "EDS", "connect_timeout": "1s",
                "eds_cluster_config": {"eds_config": self.source(f"eds/{name}.json")}, **more}

    def endpoints(self, name, *ports, **more):
        rows = [port if isinstance(port, dict) else proxykit.endpoint(port) for port in ports]
        return self.write(f"eds/{name}.json", "endpoint",
                          {"cluster_name": name, "endpoints": [{"lb_endpoints": rows}]}, **more)

    def routes(self, name, *routes, **more):
        hosts = [{"name": "all", "domains": ["*"], "routes": list(routes)}]
        return self.write(f"rds/{name}.json", "route", {"name": name, "virtual_hosts": hosts}, **more)

    def listener(self, name, port, **more):
        chain = http_filter([])
        chain["typed_config"].pop("route_config")
        chain["typed_config"]["rds"] = {"route_config_name": "r", "config_source": self.source("rds/r.json")}
        return {"name": name, "address": proxykit.address(port), "filter_chains": [{"filters": [chain]}], **more}


def to(cluster, prefix="/"):
    return {"match": {"prefix": prefix}, "route": {"cluster": cluster}}


def text(words):
    return {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": words}}}


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


def start(files):
    dynamic = {"cds_config": files.source("cds.json"), "lds_config": files.source("lds.json")}
    return Proxy([], [], dynamic_resources=dynamic)


def versions(proxy):
    return json.loads(proxy.admin("/config_versions"))


def applied(proxy, files, name, number, seconds=5):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        row = versions(proxy).get(files.path(name), {})
        if row.get("applied") and int(row["version"] or 0) >= number and "error" not in row:
            return True
        time.sleep(0.005)
    return False


def refused(proxy, files, name, seconds=5):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        row = versions(proxy).get(files.path(name), {})
        if "error" in row:
            return row
        time.sleep(0.005)
    return None


def get(port, path="/"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, body


def serve(files, port, *origins):
    files.endpoints("web", *[origin.port for origin in origins])
    files.routes("r", to("web"))
    files.write("cds.json", "cluster", files.cluster("web"))
    files.write("lds.json", "listener", files.listener("main", port))


def origin(body):
    return proxykit.Origin(proxykit.serving(body))


def test_all_four_kinds_of_files_are_served(files):
    port = free_port()
    with origin(b"one") as one:
        serve(files, port, one)
        with start(files) as proxy:
            assert get(port) == (200, "one")
            rows = versions(proxy)
            assert set(rows) == {files.path(name) for name in ("cds.json", "lds.json", "eds/web.json", "rds/r.json")}
            assert all(row["applied"] and row["version"] == "1" for row in rows.values())


def test_files_may_come_after_the_start_and_in_any_order(files):
    port = free_port()
    with origin(b"one") as one, start(files) as proxy:
        files.write("lds.json", "listener", files.listener("main", port))
        assert applied(proxy, files, "lds.json", 1)
        assert get(port)[0] == 404
        files.routes("r", to("web"))
        assert applied(proxy, files, "rds/r.json", 1)
        assert get(port)[0] == 503
        files.write("cds.json", "cluster", files.cluster("web"))
        assert applied(proxy, files, "cds.json", 1)
        assert get(port)[0] == 503
        files.endpoints("web", one.port)
        assert applied(proxy, files, "eds/web.json", 1)
        assert get(port) == (200, "one")


def test_applied_means_that_traffic_has_moved(files):
    port = free_port()
    with origin(b"one") as one, origin(b"two") as two:
        serve(files, port, one)
        with start(files) as proxy:
            for number in range(2, 40):
                target = (one, two)[number % 2]
                files.endpoints("web", target.port, version=number)
                assert applied(proxy, files, "eds/web.json", number)
                assert get(port) == (200, ("one", "two")[number % 2])


def test_a_bad_file_is_refused_whole_and_the_last_good_one_stays(files):
    port = free_port()
    with origin(b"one") as one:
        serve(files, port, one)
        with start(files) as proxy:
            for name, contents in [
                ("eds/web.json", "{"), ("eds/web.json", '{"version_info": "9", "resources": [{"@type": "nonsense"}]}'),
                ("rds/r.json", json.dumps({"version_info": "9", "resources": []})),
                ("cds.json", json.dumps({"version_info": "9", "resources": [
                    {"@type": TYPES["cluster"], **files.cluster("web")},
                    {"@type": TYPES["cluster"], **files.cluster("other"), "nmae": 1}]})),
                ("lds.json", json.dumps({"version_info": "9", "resources": [{"@type": TYPES["listener"], "name": "x"}]})),
            ]:
                files.put(name, contents)
                row = refused(proxy, files, name)
                assert row and row["version"] == "1", name
                assert get(port) == (200, "one"), name
            assert proxy.stat("config_file_rejected_total") >= 5
            assert "other" not in proxy.admin("/clusters")
            files.endpoints("web", one.port, version=10)
            assert applied(proxy, files, "eds/web.json", 10)


def test_a_good_file_after_a_bad_one_with_the_old_contents_clears_the_error(files):
    with start(files) as proxy:
        files.write("cds.json", "cluster", files.cluster("web"))
        assert applied(proxy, files, "cds.json", 1)
        files.put("cds.json", "{")
        assert refused(proxy, files, "cds.json")
        files.write("cds.json", "cluster", files.cluster("web"), version=1)
        assert applied(proxy, files, "cds.json", 1)


def test_what_is_gone_from_a_file_is_gone_from_the_proxy(files):
    port, second = free_port(), free_port()
    files.routes("r", text("hello"))
    files.write("cds.json", "cluster", files.cluster("web"), files.cluster("api"))
    files.write("lds.json", "listener", files.listener("main", port), files.listener("second", second))
    with start(files) as proxy:
        assert get(port)[1] == get(second)[1] == "hello"
        files.write("cds.json", "cluster", files.cluster("api"))
        files.write("lds.json", "listener", files.listener("main", port))
        assert applied(proxy, files, "cds.json", 2) and applied(proxy, files, "lds.json", 2)
        assert "web::" not in proxy.admin("/clusters")
        assert files.path("eds/web.json") not in versions(proxy)
        assert get(port)[1] == "hello"
        with pytest.raises(OSError):
            get(second)


def test_a_listener_may_move_to_another_port_and_keep_its_name(files):
    port, other = free_port(), free_port()
    files.routes("r", text("hello"))
    files.write("lds.json", "listener", files.listener("main", port))
    with start(files) as proxy:
        assert get(port)[1] == "hello"
        files.write("lds.json", "listener", files.listener("main", other))
        assert applied(proxy, files, "lds.json", 2)
        assert get(other)[1] == "hello"
        with pytest.raises(OSError):
            get(port)


def test_no_request_is_lost_while_everything_changes(files):
    port = free_port()
    with origin(b"one") as one, origin(b"two") as two:
        serve(files, port, one, two)
        with start(files) as proxy:
            failures, count, done = [], [0], threading.Event()

            def load():
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                while not done.is_set():
                    try:
                        connection.request("GET", "/")
                        answer = connection.getresponse()
                        body = answer.read()
                        count[0] += 1
                        if answer.status != 200:
                            failures.append((answer.status, body))
                    except (OSError, http.client.HTTPException) as error:
                        failures.append(error)
                        connection.close()

            threads = [threading.Thread(target=load) for _ in range(4)]
            for thread in threads:
                thread.start()
            for number in range(2, 120):
                files.endpoints("web", *[(one.port,), (two.port,), (one.port, two.port)][number % 3:][0], version=number)
                files.routes("r", to("web", f"/{number}"), to("web"), version=number)
                files.write("cds.json", "cluster", files.cluster("web", connect_timeout=f"{number}s"), version=number)
                files.write("lds.json", "listener", files.listener("main", port, stat_prefix=f"v{number}"), version=number)
                time.sleep(0.01)
            assert applied(proxy, files, "lds.json", 119)
            assert applied(proxy, files, "eds/web.json", 119)
            done.set()
            for thread in threads:
                thread.join()
            assert not failures, failures[:3]
            assert count[0] > 100


def test_thousands_of_files_and_hundreds_of_changes_a_second(files):
    total = 2000
    for number in range(total):
        files.endpoints(f"c{number}", 1000 + number)
    files.write("cds.json", "cluster", *[files.cluster(f"c{number}") for number in range(total)])
    with start(files) as proxy:
        assert applied(proxy, files, "cds.json", 1, 20)
        began = time.monotonic()
        for number in range(600):
            files.endpoints(f"c{number}", 20000 + number)
        assert applied(proxy, files, "eds/c599.json", 2, 10)
        assert time.monotonic() - began < 10
        page = proxy.admin("/clusters")
        assert "c0::127.0.0.1:20000::" in page and "c599::127.0.0.1:20599::" in page and "c600::127.0.0.1:1600::" in page


def test_a_whole_directory_may_be_swapped(files):
    """`watched_directory`: the file is a path through a link that is replaced, as Kubernetes does it."""
    port = free_port()
    for name, words in (("v1", "one"), ("v2", "two")):
        files.write(f"{name}/r.json", "route", {"name": "r", "virtual_hosts": [
            {"name": "all", "domains": ["*"], "routes": [text(words)]}]}, version=int(name[1]))
    os.symlink("v1", files.path("current"))
    source = {"path_config_source": {"path": files.path("current/r.json"),
                                     "watched_directory": {"path": str(files.folder)}}}
    listener = files.listener("main", port)
    listener["filter_chains"][0]["filters"][0]["typed_config"]["rds"]["config_source"] = source
    files.write("lds.json", "listener", listener)
    with start(files) as proxy:
        assert get(port)[1] == "one"
        os.symlink("v2", files.path("next"))
        os.rename(files.path("next"), files.path("current"))
        assert applied(proxy, files, "current/r.json", 2)
        assert get(port)[1] == "two"


@pytest.mark.skipif(proxykit.BUILD != "release", reason="a debug build is larger")
def test_idle_memory_is_small(files):
    files.routes("r", text("hello"))
    files.write("lds.json", "listener", files.listener("main", free_port()))
    with start(files) as proxy:
        wait_until(lambda: proportional(proxy) <= 8 << 10, "at most 8 MiB at rest", seconds=5)


def proportional(proxy):
    """Memory in KiB, shared pages by their share."""
    rollup = pathlib.Path(f"/proc/{proxy.process.pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
