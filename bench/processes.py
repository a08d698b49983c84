"""The proxies under test and their origin: how each is started, pinned and measured."""

import os
import pathlib
import platform
import re
import shutil
import signal
import site
import socket
import string
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
PROXY_CORE, LOAD_CORE = "0", "1"


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def pinned(core, command):
    return ["taskset", "-c", core, *command] if os.cpu_count() > 1 else command


def cpu_seconds_of(pid):
    """CPU time of a process's live threads, from the scheduler's own nanoseconds."""
    total = 0
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            total += int(pathlib.Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[0])
    except OSError:
        pass
    return total / 1e9


def memory_of(pid):
    """Proportional set size of a process, bytes."""
    try:
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    found = re.search(r"^Pss:\s+(\d+) kB", text, re.M)
    return int(found.group(1)) * 1024 if found else 0


def machine():
    model = "unknown"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    return f"{os.cpu_count()} cores ({model}), Linux {platform.release().split('-')[0]}"


class Process:
    """One program with its children, started pinned to a core and stopped by pid."""

    def __init__(self, name, command, core, folder, environment=None):
        if environment:  # for the program alone, not for what starts it
            command = ["env", *(f"{key}={value}" for key, value in environment.items()), *command]
        self.name = name
        self.log = open(folder / f"{name}.log", "ab")
        self.process = subprocess.Popen(
            pinned(core, command), stdout=self.log, stderr=self.log, start_new_session=True
        )

    def pids(self):
        """The process and its descendants."""
        found, queue = [], [self.process.pid]
        while queue:
            pid = queue.pop()
            found.append(pid)
            try:
                for task in os.listdir(f"/proc/{pid}/task"):
                    children = pathlib.Path(f"/proc/{pid}/task/{task}/children").read_text()
                    queue += [int(child) for child in children.split()]
            except OSError:
                continue
        return found

    def cpu_seconds(self):
        """CPU time of all threads, in the kernel's own accounting."""
        return sum(map(cpu_seconds_of, self.pids()))

    def memory(self):
        """Proportional set size of all processes, bytes."""
        return sum(map(memory_of, self.pids()))

    def stop(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(5)
        self.log.close()


def wait_for(port, process, seconds=15):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return
        except OSError:
            time.sleep(0.02)
    log = pathlib.Path(process.log.name).read_text(errors="replace")[-2000:]
    raise SystemExit(f"{process.name} does not listen on port {port}; it wrote:\n{log}")


def fill(template, target, **values):
    target.write_text(string.Template((HERE / "peers" / template).read_text()).substitute(values))
    return str(target)


def start_origin(folder):
    www = folder / "www"
    www.mkdir(exist_ok=True)
    (www / "64k").write_bytes(os.urandom(64 << 10))
    (www / "1m").write_bytes(os.urandom(1 << 20))
    os.chmod(folder, 0o755)
    port = free_port()
    config = fill("origin.conf", folder / "origin.conf", folder=folder, port=port)
    origin = Process("origin", ["nginx", "-c", config], LOAD_CORE, folder)
    origin.port = port
    wait_for(port, origin)
    return origin


def find_envoy():
    """The program itself: the wheel's own command is a script around it."""
    found = shutil.which("envoy")
    folders = [pathlib.Path(folder) for folder in site.getsitepackages()]
    if found:
        folders += pathlib.Path(found).resolve().parent.parent.glob("lib/python*/site-packages")
    for folder in folders:
        for place in folder.glob("envoy*/_bin/envoy"):
            return str(place)
    return found


PROXIES = ["weft", "nginx", "haproxy", "envoy"]


def command_of(name, folder, origin, port):
    """The command line of a proxy, or None when it is not installed."""
    if name == "weft":
        program = ROOT / ".build/release/weft-proxy"
        config = fill("envoy.yaml", folder / "weft.yaml", admin=free_port(), port=port, origin=origin)
        return [str(program), "-c", config, "--concurrency", "1"] if program.exists() else None
    if name == "envoy":
        program = find_envoy()
        config = fill("envoy.yaml", folder / "envoy.yaml", admin=free_port(), port=port, origin=origin)
        return [program, "-c", config, "--concurrency", "1", "--disable-hot-restart", "-l", "error"] if program else None
    program = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if not program:
        return None
    if name == "nginx":
        return [program, "-c", fill("nginx.conf", folder / "nginx.conf", folder=folder, port=port, origin=origin)]
    return [program, "-db", "-f", fill("haproxy.cfg", folder / "haproxy.cfg", port=port, origin=origin)]


def start_proxy(name, folder, origin, environment=None):
    port = free_port()
    command = command_of(name, folder, origin.port, port)
    if command is None:
        return None
    proxy = Process(name, command, PROXY_CORE, folder, environment)
    proxy.port = port
    wait_for(port, proxy)
    return proxy


def version_of(name):
    command = {
        "weft": [str(ROOT / ".build/release/weft-proxy"), "--version"],
        "nginx": ["nginx", "-v"],
        "haproxy": ["haproxy", "-v"],
        "envoy": [find_envoy() or "envoy", "--version"],
    }[name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except OSError:
        return "absent"
    # Envoy's line begins with its path, which may hold other versions.
    match = re.search(r"(?:version:? \w*/?|nginx/|weft-proxy )v?(\d+\.\d+(?:\.\d+)?)", done.stdout + done.stderr)
    return match.group(1) if match else "unknown"
