"""Clients of weft's xDS server: a proxyless gRPC client in a process of its own, and plain discovery streams."""

import contextlib
import json
import os
import queue
import subprocess
import sys

SERVER = """\
import json, os, sys
from concurrent import futures
import grpc

class Service(grpc.GenericRpcHandler):
    def service(self, details):
        def who(body, context): return os.environ.get("POD_NAME", "?").encode()
        return grpc.unary_unary_rpc_method_handler(who)

server = grpc.server(futures.ThreadPoolExecutor(4), handlers=[Service()], options=[("grpc.so_reuseport", 0)])
assert server.add_insecure_port("127.0.0.1:" + os.environ["PORT"])
server.start()
server.wait_for_termination()
"""


class Caller:
    """Calls `xds:///...` targets from a process with a bootstrap of its own."""

    def __init__(self, bootstrap, folder, command=()):
        path = folder / f"grpc-{os.urandom(4).hex()}.json"
        path.write_text(bootstrap)
        path.chmod(0o644)
        self.process = subprocess.Popen(
            [*command, sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "GRPC_XDS_BOOTSTRAP": str(path)},
        )

    def call(self, target, count=1, timeout=15):
        """Calls so often; gives how many answers came from each pod, and `error CODE` for those that failed."""
        self.process.stdin.write(json.dumps([target, count, timeout]) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the gRPC client has ended"
        return json.loads(line)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


@contextlib.contextmanager
def caller(*words, **more):
    made = Caller(*words, **more)
    try:
        yield made
    finally:
        made.close()


# A little of protobuf's wire format: enough for discovery requests and what comes back.

URL = "type.googleapis.com/envoy.config."
TYPES = {
    "CDS": URL + "cluster.v3.Cluster", "EDS": URL + "endpoint.v3.ClusterLoadAssignment",
    "LDS": URL + "listener.v3.Listener", "RDS": URL + "route.v3.RouteConfiguration",
}
SERVICE = "/envoy.service.discovery.v3.AggregatedDiscoveryService/"


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def run(number, content):
    content = content.encode() if isinstance(content, str) else content
    return varint(number << 3 | 2) + varint(len(content)) + content


def fields(message):
    """[(number, content)]; numbers are ints, all else bytes."""
    place, found = 0, []

    def number():
        nonlocal place
        value = shift = 0
        while True:
            byte = message[place]
            place += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while place < len(message):
        key = number()
        if key & 7 == 0:
            found.append((key >> 3, number()))
        else:
            length = {1: 8, 5: 4}.get(key & 7) or number()
            found.append((key >> 3, message[place:place + length]))
            place += length
    return found


class Discovery:
    """One aggregated stream of a client that speaks by hand; requests and responses are those of the protocol."""

    def __init__(self, address, node, is_delta=False, metadata=()):
        import grpc

        self.is_delta = is_delta
        self.requests = queue.Queue()
        values = b"".join(run(1, run(1, name) + run(2, run(3, value))) for name, value in metadata)
        self.node = run(1, node) + (run(3, values) if values else b"")
        self.channel = grpc.insecure_channel(address)
        method = "DeltaAggregatedResources" if is_delta else "StreamAggregatedResources"
        self.responses = self.channel.stream_stream(SERVICE + method)(iter(self.requests.get, None), timeout=300)

    def ask(self, kind, names=(), nonce="", version="", error=None):
        """Sends a request: in delta the names are those that are added."""
        status = varint(1 << 3) + varint(3) + run(2, error) if error else b""
        if self.is_delta:
            parts = [(1, self.node), (2, TYPES[kind]), *((3, name) for name in names), (6, nonce), (7, status)]
        else:
            parts = [(1, version), (2, self.node), *((3, name) for name in names), (4, TYPES[kind]), (5, nonce), (6, status)]
        self.requests.put(b"".join(run(number, content) for number, content in parts if content))
        self.node = b""

    def next(self):
        """The next response: (type, {name: bytes} or [bytes], removed names, nonce, version)."""
        found = fields(next(self.responses))
        url = next(content.decode() for number, content in found if number == 4)
        kind = next(name for name, known in TYPES.items() if known == url)
        nonce = next(content.decode() for number, content in found if number == 5)
        version = next((content.decode() for number, content in found if number == 1), "")
        entries = [fields(content) for number, content in found if number == 2]
        if self.is_delta:
            resources = {dict(entry)[3].decode(): dict(fields(dict(entry)[2]))[2] for entry in entries}
        else:
            resources = [dict(entry)[2] for entry in entries]
        return kind, resources, [c.decode() for number, c in found if number == 6 and self.is_delta], nonce, version

    def close(self):
        self.requests.put(None)
        self.channel.close()


def endpoints(assignment):
    """The addresses in the bytes of a ClusterLoadAssignment."""
    found = []
    for group in (content for number, content in fields(assignment) if number == 2):
        for endpoint in (content for number, content in fields(group) if number == 2):
            socket = dict(fields(dict(fields(dict(fields(dict(fields(endpoint))[1]))[1]))[1]))
            found.append(f"{socket[2].decode()}:{socket[3]}")
    return sorted(found)


def serve_calls():
    import grpc

    channels = {}
    for line in sys.stdin:
        target, count, timeout = json.loads(line)
        channel = channels.setdefault(target, None) or grpc.insecure_channel(target)
        channels[target] = channel
        answers = {}
        for _ in range(count):
            try:
                answer = channel.unary_unary("/test/who")(b"", timeout=timeout).decode()
            except grpc.RpcError as error:
                answer = f"error {error.code().name}: {error.details()}"
            answers[answer] = answers.get(answer, 0) + 1
        print(json.dumps(answers), flush=True)


if __name__ == "__main__":
    serve_calls()
