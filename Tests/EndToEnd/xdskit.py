"""Clients of weft's xDS server: a proxyless gRPC client in a process of its own, and plain discovery streams."""

import contextlib
import json
import os
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
                answer = channel.unary_unary("/test/who")(b"", timeout=timeout, wait_for_ready=count < 0).decode()
            except grpc.RpcError as error:
                answer = f"error {error.code().name}: {error.details()}"
            answers[answer] = answers.get(answer, 0) + 1
        print(json.dumps(answers), flush=True)


if __name__ == "__main__":
    serve_calls()
