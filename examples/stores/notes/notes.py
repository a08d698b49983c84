"""Notes in PostgreSQL and a count of visits in Redis, over HTTP: a client of both through their Services.

It keeps one connection to each, as programs do, and makes a new one when the old one has broken.
"""

import http.server
import json
import os
import signal
import threading
import urllib.parse

import psycopg2
import redis

TABLE = "CREATE TABLE IF NOT EXISTS notes (id bigserial PRIMARY KEY, text text NOT NULL)"


class Notes:
    """One connection to PostgreSQL, which finds itself by PGHOST, PGUSER and PGPASSWORD."""

    def __init__(self):
        self.lock, self.connection = threading.Lock(), None

    def run(self, statement, *values):
        with self.lock:
            is_old = self.connection is not None
            try:
                return self.execute(statement, values)
            except psycopg2.OperationalError:
                self.connection = None
                # Nothing is known of a write whose answer was lost: only what was never sent may be sent again.
                if not is_old or not statement.startswith("SELECT"):
                    raise
                return self.execute(statement, values)

    def execute(self, statement, values):
        if self.connection is None:
            connection = psycopg2.connect(connect_timeout=3, application_name=os.environ.get("HOSTNAME", "notes"))
            connection.autocommit = True
            connection.cursor().execute(TABLE)
            self.connection = connection
        with self.connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall()


NOTES = Notes()
VISITS = redis.Redis(host=os.environ.get("REDIS_HOST", "redis"), socket_timeout=3, socket_connect_timeout=3)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        pages = {
            "/notes": lambda: [{"id": number, "text": text} for number, text in NOTES.run("SELECT id, text FROM notes ORDER BY id")],
            "/visits": lambda: {"visits": VISITS.incr("visits")},
            # Who holds the connections at the other end: the same numbers as long as they live.
            "/sessions": lambda: {"postgres": NOTES.run("SELECT pg_backend_pid()")[0][0], "redis": VISITS.client_id()},
            "/readyz": lambda: {"postgres": NOTES.run("SELECT 1")[0][0], "redis": VISITS.ping()},
        }
        page = pages.get(urllib.parse.urlparse(self.path).path)
        self.answer(page, 200) if page else self.send(404, {"error": "there is no such page"})

    def do_POST(self):
        form = urllib.parse.parse_qs(self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode())
        text = form.get("text", [""])[0]
        if self.path != "/notes" or not text:
            self.send(400, {"error": "POST a text to /notes"})
            return
        self.answer(lambda: {"id": NOTES.run("INSERT INTO notes (text) VALUES (%s) RETURNING id", text)[0][0]}, 201)

    def answer(self, make, status):
        try:
            self.send(status, make())
        except (psycopg2.Error, redis.RedisError) as error:
            self.send(503, {"error": str(error).strip()})

    def send(self, status, value):
        body = json.dumps(value).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main():
    server = http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Handler)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print("notes: listens on port 8080", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
