"""Large configurations: the memory of 10,000 routes and of 10,000 clusters, and the time until the first answer."""

import contextlib
import http.client
import json
import time

from processes import PROGRAM, PROXY_CORE, Process, find_envoy, free_port

PROXIES = ["weft", "nginx", "haproxy", "envoy"]
HCM = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"


def envoy(folder, port, origin, routes, clusters):
    def cluster(name):
        place = {"socket_address": {"address": "127.0.0.1", "port_value": origin}}
        return {"name": name, "type": "STATIC", "connect_timeout": "5s", "load_assignment": {
            "cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": place}}]}]}}

    table = [{"match": {"prefix": f"/r{index}/"}, "route": {"cluster": "origin"}} for index in range(routes)]
    table.append({"match": {"prefix": "/"}, "route": {"cluster": "origin"}})
    manager = {"@type": HCM, "stat_prefix": "in", "http_filters": [{"name": "router", "typed_config": {"@type": ROUTER}}],
               "route_config": {"name": "all", "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": table}]}}
    place = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    listener = {"name": "in", "address": place, "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}]}
    clusters = [cluster("origin"), *(cluster(f"c{index}") for index in range(clusters))]
    return json.dumps({"static_resources": {"listeners": [listener], "clusters": clusters}})


def nginx(folder, port, origin, routes, clusters):
    lines = [f"location /r{index}/ {{ proxy_pass http://origin; }}" for index in range(routes)]
    groups = [f"upstream c{index} {{ server 127.0.0.1:{origin}; }}" for index in range(clusters)]
    temporary = " ".join(f"{kind}_temp_path {folder}/bulk-{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    return "\n".join([
        f"daemon off; worker_processes 1; pid {folder}/bulk.pid; error_log {folder}/bulk-error.log crit;",
        "events { worker_connections 1024; }", f"http {{ access_log off; {temporary} upstream origin {{ server 127.0.0.1:{origin}; }}",
        *groups, f"server {{ listen 127.0.0.1:{port};", *lines, "location / { proxy_pass http://origin; } } }"])


def haproxy(folder, port, origin, routes, clusters):
    return "\n".join([
        "global\n nbthread 1\n maxconn 1000\ndefaults\n mode http\n timeout connect 5s\n timeout client 60s\n timeout server 60s",
        f"frontend in\n bind 127.0.0.1:{port}", *(f" use_backend origin if {{ path_beg /r{index}/ }}" for index in range(routes)),
        " default_backend origin", f"backend origin\n server one 127.0.0.1:{origin}",
        *(f"backend c{index}\n server one 127.0.0.1:{origin}" for index in range(clusters)), ""])


def command_of(name, path):
    if name == "weft":
        return [str(PROGRAM), "-c", path, "--concurrency", "1"]
    if name == "envoy":
        return [find_envoy(), "-c", path, "--concurrency", "1", "--disable-hot-restart", "-l", "error"]
    return ["nginx", "-c", path] if name == "nginx" else ["haproxy", "-db", "-f", path]


def started(name, folder, origin, routes, clusters):
    """(seconds until the first answer, bytes at rest) with so many routes and clusters."""
    port = free_port()
    made = {"nginx": nginx, "haproxy": haproxy}.get(name, envoy)(folder, port, origin, routes, clusters)
    path = folder / (f"bulk-{name}.json" if name in ("weft", "envoy") else f"bulk-{name}.conf")
    path.write_text(made)
    start = time.monotonic()
    process = Process(f"bulk-{name}", command_of(name, str(path)), PROXY_CORE, folder)
    try:
        while time.monotonic() < start + 120 and process.process.poll() is None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                asked = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
                asked.request("GET", f"/r{routes - 1}/" if routes else "/")
                asked.getresponse().read()
                took = time.monotonic() - start
                asked.close()
                time.sleep(2)  # what loading needed is given back
                return took, process.memory()
            time.sleep(0.005)
        raise SystemExit(f"{name} does not answer with {routes} routes and {clusters} clusters")
    finally:
        process.stop()


def measure(names, folder, origin, count=10_000):
    """For each proxy: bytes per route and per cluster, and the seconds until the first answer."""
    results = {}
    for name in [name for name in PROXIES if name in names]:
        _, rest = started(name, folder, origin, 0, 0)
        routes, clusters = started(name, folder, origin, count, 0), started(name, folder, origin, 0, count)
        results[name] = {
            "count": count, "route_bytes": (routes[1] - rest) / count, "route_seconds": routes[0],
            "cluster_bytes": (clusters[1] - rest) / count, "cluster_seconds": clusters[0],
        }
    return results
