"""Probes by gRPC, HTTPS, TCP and exec, startup probes, hooks: real servers in real pods."""

import os
import subprocess

import pytest

from podkit import pod, running
from weftkit import USERS, wait_until

# A health service on Debian's gRPC, by the wire format: field 1 of the request is the name, of the answer the status.
HEALTH = """\
import os, grpc
from concurrent import futures
def check(request, context):
    name = request[2:].decode()
    if name == "unknown": context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
    return b"\\x08\\x01" if not name or os.path.exists("FOLDER/flags/serve") else b"\\x08\\x02"
server = grpc.server(futures.ThreadPoolExecutor(4))
server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(
    "grpc.health.v1.Health", {"Check": grpc.unary_unary_rpc_method_handler(check)})])
server.add_insecure_port("0.0.0.0:5000")
server.start()
server.wait_for_termination()
"""

WEB = """\
import http.server, ssl, sys
server = http.server.ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler)
if len(sys.argv) > 2:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("FOLDER/cert.pem", "FOLDER/key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""

QUICK = "periodSeconds: 1"


def probe(kind, action, more=QUICK):
    return f"{kind}: {{{action}, {more}}}"


MANIFEST = (
    pod("grpc", "exec /usr/bin/python3 health.py",
        probe("readinessProbe", "grpc: {port: 5000, service: web}", QUICK + ", failureThreshold: 1") + ", " + probe("livenessProbe", "grpc: {port: 5000}"),
        "volumes: [{name: flags, hostPath: {path: FOLDER/flags, type: DirectoryOrCreate}}]").replace(
            "image: tools", "image: tools, volumeMounts: [{name: flags, mountPath: FOLDER/flags}]")
    + pod("grpc-unknown", "exec /usr/bin/python3 health.py", probe("readinessProbe", "grpc: {port: 5000, service: unknown}"))
    + pod("grpc-web", "exec python3 web.py 8080", probe("readinessProbe", "grpc: {port: 8080}"))
    + pod("https", "exec python3 web.py 8443 tls", probe("readinessProbe", "httpGet: {port: 8443, scheme: HTTPS}"))
    + pod("https-missing", "exec python3 web.py 8443 tls",
          probe("readinessProbe", "httpGet: {port: 8443, scheme: HTTPS, path: /missing}"))
    + pod("https-plain", "exec python3 web.py 8080", probe("readinessProbe", "httpGet: {port: 8080, scheme: HTTPS}"))
    + pod("tcp", "sleep 0.3; exec python3 web.py 8080", probe("readinessProbe", "tcpSocket: {port: 8080}"))
    + pod("startup", "sleep 0.5; touch /tmp/up; sleep 600",
          probe("startupProbe", "exec: {command: [test, -e, /tmp/up]}", QUICK + ", failureThreshold: 30") + ", "
          + probe("livenessProbe", "exec: {command: [test, -e, /tmp/up]}", QUICK + ", failureThreshold: 1"))
    + pod("slow-startup", "sleep 600",
          probe("startupProbe", "exec: {command: ['false']}", QUICK + ", failureThreshold: 1"), restart="Always")
    + pod("stubborn", "trap '' TERM; touch /tmp/up; sleep 600 & wait; wait",
          probe("livenessProbe", "exec: {command: ['false']}",
                QUICK + ", failureThreshold: 1, terminationGracePeriodSeconds: 1"),
          "", restart="Always").replace("terminationGracePeriodSeconds: 1, containers", "terminationGracePeriodSeconds: 600, containers")
    + pod("hooks", "cat /tmp/hook; trap 'echo term; exit 0' TERM; while :; do sleep 0.05; done",
          "lifecycle: {postStart: {exec: {command: [sh, -c, echo begun >> /proc/1/fd/1; echo begun > /tmp/started]}}, "
          "preStop: {exec: {command: [sh, -c, 'cp /tmp/started FOLDER/flags/stopped']}}}, "
          "volumeMounts: [{name: flags, mountPath: FOLDER/flags}]",
          "volumes: [{name: flags, hostPath: {path: FOLDER/flags, type: DirectoryOrCreate}}]")
    + pod("bad-hook", "sleep 600", "lifecycle: {postStart: {exec: {command: [sh, -c, 'echo no >&2; exit 3']}}}")
)


@pytest.fixture(scope="module", params=USERS)
def cluster(request):
    with running(user=request.param) as program:
        for name, text in (("health", HEALTH), ("web", WEB)):
            (program.folder / f"{name}.py").write_text(text.replace("FOLDER", str(program.folder)))
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
             "/CN=test", "-days", "2", "-keyout", program.folder / "key.pem", "-out", program.folder / "cert.pem"],
            check=True, capture_output=True,
        )
        (program.folder / "key.pem").chmod(0o644)
        program.apply(MANIFEST)
        yield program


def is_ready(cluster, name):
    return cluster.status(name).get("ready", False)


def test_grpc_health_decides_about_readiness(cluster):
    assert cluster.until_event("grpc", 'Readiness probe failed: service unhealthy (responded with "NOT_SERVING")')
    assert not is_ready(cluster, "grpc")
    (cluster.folder / "flags/serve").touch()
    wait_until(lambda: is_ready(cluster, "grpc"), "the service serves")
    (cluster.folder / "flags/serve").unlink()
    wait_until(lambda: not is_ready(cluster, "grpc"), "the service does not serve any more")
    assert cluster.status("grpc")["restartCount"] == 0, "the whole server is alive"


def test_grpc_says_what_is_wrong(cluster):
    assert 'does not know the service "unknown"' in cluster.until_event("grpc-unknown", "Readiness probe failed")
    assert "does not speak HTTP/2" in cluster.until_event("grpc-web", "Readiness probe failed")


def test_https_is_spoken_and_its_answer_read(cluster):
    wait_until(lambda: is_ready(cluster, "https"), "the server answers over TLS")
    assert "statuscode: 404" in cluster.until_event("https-missing", "Readiness probe failed")
    assert "TLS" in cluster.until_event("https-plain", "Readiness probe failed")


def test_tcp_waits_for_a_listener(cluster):
    wait_until(lambda: is_ready(cluster, "tcp"), "the port takes connections")


def test_a_startup_probe_holds_the_others_back(cluster):
    wait_until(lambda: cluster.status("startup").get("started"), "the program is up")
    assert cluster.status("startup")["restartCount"] == 0


def test_a_startup_probe_that_never_passes_restarts(cluster):
    assert "failed startup probe, will be restarted" in cluster.until_event("slow-startup", "Killing")
    wait_until(lambda: cluster.status("slow-startup")["restartCount"] > 0, "it is restarted")


def test_a_probe_may_have_its_own_grace(cluster):
    wait_until(lambda: cluster.status("stubborn")["restartCount"] > 0, "killed after the probe's second, not the pod's 600")
    assert cluster.terminated("stubborn")["exitCode"] == 137
    cluster.run("delete", "pod", "stubborn", "--grace-period", "0")


def test_hooks_run_after_the_start_and_before_the_end(cluster):
    wait_until(lambda: cluster.status("hooks").get("state", {}).get("running"), "the container runs")
    cluster.run("delete", "pod", "hooks")
    assert (cluster.folder / "flags/stopped").read_text() == "begun\n"


def test_a_failing_hook_ends_the_container_and_is_told(cluster):
    assert "no" in cluster.until_event("bad-hook", "FailedPostStartHook")
    assert cluster.until_ended("bad-hook") == "Failed"
