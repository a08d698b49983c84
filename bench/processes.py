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
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
PROXY_CORE, LOAD_CORE = "0", "1"
PROGRAM = ROOT / ".build" / os.environ.get("WEFT_BUILD", "release") / "weft-proxy"

# Asked to end, a bench ends what it started, as on Ctrl-C.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


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


class Origins:
    """What stands behind the proxies: nginx for HTTP/1, and where a compiler is there, an echo and a server of gRPC."""

    def __init__(self, folder):
        self.processes, self.ports = [], {}
        www = folder / "www"
        www.mkdir(exist_ok=True)
        (www / "64k").write_bytes(os.urandom(64 << 10))
        (www / "1m").write_bytes(os.urandom(1 << 20))
        os.chmod(folder, 0o755)
        make_certificate(folder)
        self.add("origin", folder, lambda port: ["nginx", "-c", fill("origin.conf", folder / "origin.conf", folder=folder, port=port)])
        self.echo = compiled(folder, "echo")
        if self.echo:
            self.add("echo", folder, lambda port: [self.echo, "origin", str(port)])
        if program := compiled(folder, "grpc_origin", "-lnghttp2"):
            self.add("grpc", folder, lambda port: [program, str(port)])
        # One message of gRPC: flag, length, a protobuf with one string.
        (folder / "call").write_bytes(b"\0\0\0\0\7\x0a\5hello")
        self.call = str(folder / "call")

    def add(self, name, folder, command):
        port = free_port()
        process = Process(name, command(port), LOAD_CORE, folder)
        self.processes.append(process)
        self.ports[name] = port
        wait_for(port, process)

    def stop(self):
        for process in self.processes:
            process.stop()


def compiled(folder, name, *libraries):
    """The program made of bench/NAME.c, or None where there is no C compiler or library."""
    program = folder / name
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if not compiler:
        print(f"no C compiler: what needs {name} is left out", file=sys.stderr)
        return None
    done = subprocess.run([compiler, "-O2", "-o", str(program), str(HERE / f"{name}.c"), *libraries], capture_output=True, text=True)
    if done.returncode:
        print(f"{name}.c does not compile, what needs it is left out: {done.stderr[-300:]}", file=sys.stderr)
    return None if done.returncode else str(program)


def make_certificate(folder):
    """A self-signed certificate, ECDSA P-256, in the shapes that the proxies want."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "bench.key",
         "-out", "bench.pem", "-subj", "/CN=bench", "-days", "30"], cwd=folder, capture_output=True, check=True, timeout=20)
    (folder / "both.pem").write_bytes((folder / "bench.pem").read_bytes() + (folder / "bench.key").read_bytes())


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


PROXIES = ["weft", "nginx", "haproxy", "nghttpx", "envoy"]


def command_of(name, folder, origins, ports, profile):
    """The command line of a proxy in one of its profiles ("", "more", "grpc", "filters"), or None when it is not installed or cannot."""
    values = {**dict.fromkeys(("origin", "echo", "grpc"), 1), **origins.ports, **ports, "folder": folder, "admin": free_port()}
    suffix = f"-{profile}" if profile else ""
    if name in ("weft", "envoy"):
        ports["h2"] = ports["port"]
        config = fill(f"envoy{suffix}.yaml", folder / f"{name}{suffix}.yaml", **values)
        if name == "weft":
            program = PROGRAM
            return [str(program), "-c", config, "--concurrency", "1"] if program.exists() else None
        program = find_envoy()
        return [program, "-c", config, "--concurrency", "1", "--disable-hot-restart", "-l", "error"] if program else None
    if profile == "filters":
        return None
    program = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if not program:
        return None
    if name == "nginx":
        return [program, "-c", fill(f"nginx{suffix}.conf", folder / f"nginx{suffix}.conf", **values)]
    if name == "haproxy":
        return [program, "-db", "-f", fill(f"haproxy{suffix}.cfg", folder / f"haproxy{suffix}.cfg", **values)]
    return nghttpx_command(program, folder, values, profile, ports)


def nghttpx_command(program, folder, values, profile, ports):
    ports["h2"] = ports["port"]
    back = f"-b127.0.0.1,{values['grpc']};;proto=h2" if profile == "grpc" else f"-b127.0.0.1,{values['origin']}"
    front = [f"-f127.0.0.1,{values['port']};no-tls"]
    if profile == "more":
        front += [f"-f127.0.0.1,{values['tls']}", f"-b127.0.0.1,{values['echo']};/ws"]
    return [
        program, "--conf=/dev/null", "--workers=1", "--log-level=FATAL", "--errorlog-file=/dev/null", "--accesslog-file=/dev/null",
        "--frontend-http2-max-concurrent-streams=256", "--frontend-keep-alive-timeout=1h", "--backend-connections-per-host=4096",
        "--no-ocsp", "--no-server-push", *front, back, str(folder / "bench.key"), str(folder / "bench.pem")]


def start_proxy(name, folder, origins, environment=None, profile="", cores=PROXY_CORE, workers=1, under=(), options=()):
    """A running proxy with its `ports`, or None when it is not installed or does not run this profile; `under` another program."""
    ports = {key: free_port() for key in ("port", "h2", "tls", "tcp")}
    command = command_of(name, folder, origins, ports, profile)
    if command is None:
        return None
    command = [*command, *options]
    if workers > 1:
        command[command.index("--concurrency") + 1] = str(workers)
    proxy = Process(f"{name}{profile}", [*under, *command], cores, folder, environment)
    proxy.port, proxy.ports = ports["port"], ports
    try:
        wait_for(proxy.port, proxy)
    except SystemExit as reason:
        proxy.stop()
        if not profile:
            raise
        print(f"{name} does not run the profile {profile} and is left out there: {reason}", file=sys.stderr)
        return None
    return proxy


def version_of(name):
    command = {
        "weft": [str(PROGRAM), "--version"],
        "nginx": ["nginx", "-v"],
        "haproxy": ["haproxy", "-v"],
        "nghttpx": ["nghttpx", "--version"],
        "envoy": [find_envoy() or "envoy", "--version"],
    }[name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except OSError:
        return "absent"
    # Envoy's line begins with its path, which may hold other versions.
    match = re.search(r"(?:version:? \w*/?|nginx/|weft-proxy |nghttp2/)v?(\d+\.\d+(?:\.\d+)?)", done.stdout + done.stderr)
    return match.group(1) if match else "unknown"
