"""Drives the built `weft` and looks for what it leaves behind."""

import atexit
import contextlib
import dataclasses
import http.client
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(".build") / os.environ.get("WEFT_BUILD", "release")


def open_house():
    """The checkout, or a copy of its programs and examples where an ordinary user may not go: checkouts lie below /root too."""
    if all(place.stat().st_mode & 0o005 == 0o005 for place in (ROOT, *ROOT.parents)):
        return ROOT
    house = pathlib.Path(tempfile.mkdtemp(prefix="weft-house-", dir="/tmp"))
    atexit.register(shutil.rmtree, house, ignore_errors=True)
    house.chmod(0o755)
    (house / BUILD).mkdir(parents=True)
    for program in ("weft", "weft-proxy", "weft-pod-init"):
        shutil.copy(ROOT / BUILD / program, house / BUILD)
    for folder in ("examples", "Tests/EndToEnd/order"):
        shutil.copytree(ROOT / folder, house / folder)
    return house


HOUSE = open_house()
PROGRAM = HOUSE / BUILD / "weft"


# Whom the tests can be: root tests both, an ordinary user tests itself.
USERS = ("root", "ordinary") if os.geteuid() == 0 else ("ordinary",)
# Nobody's number, no group, no capability, and none to be had again.
ORDINARY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"]


# In a user namespace that allows no further one: the same user, as on a machine where namespaces are forbidden.
WITHOUT_NAMESPACES = [
    "unshare", "--user", "--map-current-user", "--keep-caps", "sh", "-c",
    'echo 0 >/proc/sys/user/max_user_namespaces && exec setpriv --ambient-caps=-all --inh-caps=-all --bounding-set=-all "$@"', "sh",
]


def new_folder(user=USERS[0]):
    """A short temporary folder that belongs to a user: Unix sockets live in it."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="weft-", dir="/tmp"))
    if user == "ordinary" and os.geteuid() == 0:
        os.chown(path, 65534, 65534)
        path.chmod(0o755)
    return path


class Address(str):
    """An address with the port at which a Service is served there."""

    port = 80


class Weft:
    """The command line with one state directory, as one user."""

    def __init__(self, state, user=USERS[0], has_namespaces=True):
        self.state = str(state)
        self.user = user
        self.has_namespaces = has_namespaces

    def command(self, *words):
        user = ORDINARY if self.user == "ordinary" and os.geteuid() == 0 else []
        return [*user, *([] if self.has_namespaces else WITHOUT_NAMESPACES), str(PROGRAM), *words]

    def run(self, *words, timeout=30, check=True, **more):
        """Runs a command to its end; its output is captured as text."""
        done = subprocess.run(
            self.command(*words), timeout=timeout, text=True, capture_output=True, env=self.environment(), **more
        )
        if check and done.returncode != 0:
            log = pathlib.Path(self.state) / "serve.log"
            tail = log.read_text()[-3000:] if log.exists() else "(no log)"
            raise AssertionError(
                f"weft {' '.join(words)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}\nlog:\n{tail}"
            )
        return done

    def start(self, *words, **more):
        """Starts a command that goes on; the caller ends it."""
        return subprocess.Popen(
            self.command(*words), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environment(), **more
        )

    def environment(self):
        home = {"HOME": str(pathlib.Path(self.state).parent)} if self.user == "ordinary" else {}
        return {**os.environ, **home, "WEFT_STATE_DIR": self.state, "NO_COLOR": "1"}

    @contextlib.contextmanager
    def until_down(self, *words):
        """Ends the daemon afterwards, whatever happened, and removes its folder; nothing of it may be left. `words` are for `weft down`."""
        folder = pathlib.Path(self.state).parent
        try:
            yield self
        finally:
            self.run("down", *words, timeout=60, check=False)
            # What was fetched is kept, and said to be.
            shutil.rmtree(pathlib.Path(self.state) / "images", ignore_errors=True)
            left = leftovers(folder)
            for process in left.processes:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, 9)
            shutil.rmtree(folder, ignore_errors=True)
        assert not left, f"left behind: {left}"

    def json(self, *words, **more):
        return json.loads(self.run(*words, "-o", "json", **more).stdout)

    def items(self, *words):
        return self.json("get", *words)["items"]

    def api(self, path):
        """One GET on the daemon's own socket."""
        connection = http.client.HTTPConnection("weft")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(f"{self.state}/weft.sock")
        connection.request("GET", path)
        return json.load(connection.getresponse())

    def endpoints(self, cluster):
        """Addresses of a cluster's endpoints, as the proxy has them."""
        status = self.api("/apis/weft.dev/v1alpha1/clusters")["cluster_statuses"]
        found = next((one for one in status if one["name"] == cluster), {})
        return {host["address"]["socket_address"]["address"] for host in found.get("host_statuses", [])}

    def balancer_address(self, service):
        """The address of a LoadBalancer Service, with the port at which its first port is served."""
        status = self.json("get", "service", service)["status"]["loadBalancer"]["ingress"][0]
        address = Address(status["ip"])
        address.port = status.get("ports", [{"port": 80}])[0]["port"]
        return address

    def node_address(self):
        """Where NodePorts are: not 127.0.0.1 while another weft runs on this machine."""
        return self.json("get", "node", "weft")["status"]["addresses"][0]["address"]

    def daemon_pid(self):
        return int(pathlib.Path(self.state, "weft.pid").read_text().split()[0])


def wait_until(condition, what, seconds=20):
    """Polls until the condition holds and returns its value; fails with a sentence when it never does."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.02)


def fetch(host, path="/", port=None, headers=None, method="GET", body=None, timeout=5):
    """One request on a fresh connection: (status, headers, body)."""
    connection = http.client.HTTPConnection(host, port or getattr(host, "port", 80), timeout=timeout)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


@dataclasses.dataclass
class Leftovers:
    processes: list
    mounts: list
    namespaces: list
    files: list

    def __bool__(self):
        return any(dataclasses.astuple(self))


def leftovers(folder):
    """Processes, mounts, named namespaces and files that still belong to the state under a folder."""
    text = str(folder)
    processes = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            environment = (entry / "environ").read_bytes().decode("utf-8", "replace")
            state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
        if state != "Z" and (text in words or f"WEFT_STATE_DIR={text}" in environment) and "pytest" not in words:
            processes.append(int(entry.name))
    mounts = [line for line in pathlib.Path("/proc/mounts").read_text().splitlines() if text in line]
    names = pathlib.Path("/run/netns")
    namespaces = [str(name) for name in names.iterdir() if "weft" in name.name] if names.exists() else []
    state = pathlib.Path(folder) / "state"
    files = [str(path) for path in state.rglob("*")] if state.exists() else []
    return Leftovers(processes, mounts, namespaces, files)
