"""A gRPC server in a process of its own, with all kinds of calls, and what a client needs: messages are plain bytes."""

import contextlib
import subprocess
import sys

import grpc

from proxykit import DEADLINE, cluster

HTTP2 = {"typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
    "explicit_http_config": {"http2_protocol_options": {}}}}}


def http2_cluster(name, *ports, options=None, **more):
    """A cluster whose endpoints are spoken to in HTTP/2."""
    settings = {**HTTP2, **more}
    if options is not None:
        settings["typed_extension_protocol_options"] = {name: {**value, "explicit_http_config": {
            "http2_protocol_options": options}} for name, value in HTTP2["typed_extension_protocol_options"].items()}
    return cluster(name, *ports, **settings)


class Service(grpc.GenericRpcHandler):
    """`/test/unary` echoes, `/test/collect` joins a stream, `/test/spread` sends a byte each, `/test/chat` echoes each."""

    def __init__(self):
        self.failures = {}

    def service(self, details):
        kind = details.method.split("/")[-1]
        return {
            "unary": lambda: grpc.unary_unary_rpc_method_handler(self.unary),
            "fail": lambda: grpc.unary_unary_rpc_method_handler(self.fail),
            "time": lambda: grpc.unary_unary_rpc_method_handler(self.time),
            "hang": lambda: grpc.unary_unary_rpc_method_handler(self.hang),
            "collect": lambda: grpc.stream_unary_rpc_method_handler(lambda items, _: b"".join(items)),
            "spread": lambda: grpc.unary_stream_rpc_method_handler(
                lambda body, _: (body[place:place + 1] for place in range(len(body)))),
            "chat": lambda: grpc.stream_stream_rpc_method_handler(lambda items, _: (item for item in items)),
        }.get(kind, lambda: None)()

    def unary(self, body, context):
        seen = dict(context.invocation_metadata())
        context.send_initial_metadata((("x-first", seen.get("x-ask", "none")),))
        context.set_trailing_metadata((("x-last", "end"), ("x-last-bin", b"\x00\xff")))
        return body

    def fail(self, body, context):
        """`name code times`: fails so often, then answers with how often it was asked."""
        name, code, times = body.decode().split()
        self.failures[name] = self.failures.get(name, 0) + 1
        if self.failures[name] <= int(times):
            context.abort(next(status for status in grpc.StatusCode if status.value[0] == int(code)), "on purpose")
        return str(self.failures[name]).encode()

    def time(self, _, context):
        left = context.time_remaining()
        return b"none" if left is None or left > 1e6 else str(left).encode()

    def hang(self, _, context):
        import threading

        done = threading.Event()
        context.add_callback(done.set)
        print("hanging", flush=True)
        done.wait(DEADLINE)
        print("cancelled", flush=True)
        return b""


@contextlib.contextmanager
def server(port=0):
    """Gives (process, port). Each call of `hang` writes `hanging` when it has come, and `cancelled` when it is over."""
    process = subprocess.Popen([sys.executable, __file__, str(port)], stdout=subprocess.PIPE, text=True)
    try:
        yield process, int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def channel(port, **options):
    return grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.enable_retries", 0), *options.items()])


def call(channel, name, body, timeout=DEADLINE, **more):
    return channel.unary_unary(f"/test/{name}")(body, timeout=timeout, **more)


if __name__ == "__main__":
    from concurrent import futures

    made = grpc.server(futures.ThreadPoolExecutor(32), handlers=[Service()],
                       options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", 1 << 26)])
    print(made.add_insecure_port(f"127.0.0.1:{sys.argv[1]}"), flush=True)
    made.start()
    made.wait_for_termination()
