"""What the shop's services share: a small HTTP server, a small HTTP client, health pages and a clean stop.

Python's standard library only. A handler gets a `Request` and returns `(status, body)`: a dict or list is sent as JSON,
a str as HTML. Raise `Problem` to answer with an error.
"""

import http.client
import json
import os
import re
import signal
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

NAME = os.environ.get("SERVICE_NAME", os.path.basename(sys.argv[0]).removesuffix(".py"))
POD = os.environ.get("POD_NAME", socket.gethostname())
VERSION = os.environ.get("VERSION", "1")


class Problem(Exception):
    """An answer that is not a success."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status
        self.message = message


class Request:
    def __init__(self, handler, parameters):
        parts = urlsplit(handler.path)
        self.method = handler.command
        self.path = parts.path
        self.query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        self.headers = handler.headers
        self.parameters = parameters
        length = int(handler.headers.get("Content-Length") or 0)
        self.body = handler.rfile.read(length) if length else b""

    def json(self):
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise Problem(400, f"the body is not JSON: {error}") from error

    def form(self):
        return {key: values[-1] for key, values in parse_qs(self.body.decode("utf-8", "replace")).items()}

    def trace(self):
        """The headers that tie one visitor's requests together; pass them on with every call."""
        names = ("x-request-id", "traceparent", "tracestate")
        return {name: self.headers[name] for name in names if self.headers.get(name)}


def locate(url):
    """Host and port of a service: its name, which every pod can resolve, or without isolation what the variables say."""
    parts = urlsplit(url)
    name = parts.hostname.split(".")[0].upper().replace("-", "_")
    if os.environ.get("WEFT_ISOLATION") == "none" and f"{name}_SERVICE_HOST" in os.environ:
        return os.environ[f"{name}_SERVICE_HOST"], int(os.environ[f"{name}_SERVICE_PORT"])
    return parts.hostname, parts.port or 80


class Client:
    """Calls one other service by its name, over kept connections (one per thread)."""

    def __init__(self, url, timeout=5):
        (self.host, self.port), self.timeout = locate(url), timeout
        self.local = threading.local()

    def call(self, method, path, body=None, headers=None):
        data = None if body is None else json.dumps(body).encode()
        sent = {"Accept": "application/json", **(headers or {})}
        if data is not None:
            sent["Content-Type"] = "application/json"
        kept = getattr(self.local, "connection", None)
        for connection in [kept, None] if kept else [None]:
            fresh = connection is None
            if fresh:
                connection = http.client.HTTPConnection(self.host, self.port, timeout=self.timeout)
            try:
                connection.request(method, path, data, sent)
                answer = connection.getresponse()
                text = answer.read()
                self.local.connection = None if answer.will_close else connection
                break
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                self.local.connection = None
                if fresh:
                    raise Problem(502, f"{self.host} cannot be reached: {error}") from error
        if answer.status >= 400:
            reason = answer.headers.get("x-weft-reason")
            raise Problem(answer.status if answer.status < 500 else 502, reason or text.decode("utf-8", "replace").strip())
        return json.loads(text) if text else None

    def get(self, path, headers=None):
        return self.call("GET", path, headers=headers)

    def post(self, path, body, headers=None):
        return self.call("POST", path, body, headers)


class Service:
    """A service's routes, and the loop that serves them until SIGTERM."""

    def __init__(self):
        self.routes = []
        self.is_ready = lambda: True
        self.stopping = False
        self.route("GET", "/healthz")(lambda request: (200, {"status": "ok"}))
        self.route("GET", "/readyz")(self.ready)

    def route(self, method, pattern):
        expression = re.compile("^" + re.sub(r"<(\w+)>", r"(?P<\1>[^/]+)", pattern) + "$")

        def add(function):
            self.routes.append((method, expression, function))
            return function

        return add

    def ready(self, request):
        if self.stopping or not self.is_ready():
            raise Problem(503, "not ready")
        return 200, {"status": "ready"}

    def answer(self, handler):
        path = urlsplit(handler.path).path
        known = False
        for method, expression, function in self.routes:
            match = expression.match(path)
            if not match:
                continue
            known = True
            if method == handler.command or (method == "GET" and handler.command == "HEAD"):
                return function(Request(handler, match.groupdict()))
        raise Problem(405 if known else 404, f"{NAME} has no {handler.command} {path}")

    def run(self, port=int(os.environ.get("PORT", "8080"))):
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            server_version = NAME
            disable_nagle_algorithm = True
            wbufsize = -1  # one write per answer

            def handle_any(self):
                try:
                    status, body = service.answer(self)
                except Problem as problem:
                    status, body = problem.status, {"error": problem.message, "service": NAME}
                except Exception as error:  # a mistake in a handler must not end the server
                    print(f"{NAME}: {self.command} {self.path}: {error!r}", file=sys.stderr, flush=True)
                    status, body = 500, {"error": "internal error", "service": NAME}
                is_page = isinstance(body, str)
                data = (body if is_page else json.dumps(body)).encode()
                self.send_response(status)
                self.send_header("Content-Type", "text/html; charset=utf-8" if is_page else "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.send_header("X-Pod", POD)
                if status == 303:
                    self.send_header("Location", "/orders")
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)
                self.wfile.flush()

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_any

            def log_message(self, format, *arguments):
                if not self.path.endswith("z") and os.environ.get("LOG_REQUESTS") == "yes":
                    print(f"{self.command} {self.path} {arguments[1]}", flush=True)

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

        server = Server(("0.0.0.0", port), Handler)

        def stop(signum, frame):
            # The pod has left the endpoints before SIGTERM: what is in flight ends, then the process does.
            self.stopping = True
            threading.Thread(target=server.shutdown, daemon=True).start()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        print(f"{NAME} {VERSION} listens on port {port}", flush=True)
        server.serve_forever(poll_interval=0.2)
        time.sleep(0.1)
        print(f"{NAME} stopped", flush=True)


def spin(milliseconds):
    """Works for a while, as a service would that computes something."""
    end = time.perf_counter() + milliseconds / 1000
    while time.perf_counter() < end:
        pass
