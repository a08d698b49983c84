"""Visitors: a steady number of page views and orders per second, and a line of figures every ten seconds."""

import http.client
import os
import random
import signal
import sys
import threading
import time
from urllib.parse import urlencode

from service import locate

target = locate(os.environ["TARGET_URL"])
rate = float(os.environ.get("REQUESTS_PER_SECOND", "20"))
workers = int(os.environ.get("VISITORS", "4"))
items = ["shuttle", "bobbin", "reed", "yarn", "loom", "comb"]
counts = {"ok": 0, "failed": 0}
lock = threading.Lock()
stop = threading.Event()


def visit(connection):
    dice = random.random()
    if dice < 0.70:
        connection.request("GET", "/")
    elif dice < 0.85:
        connection.request("GET", "/orders")
    else:
        form = urlencode({"item": random.choice(items), "user": random.randint(1, 8)})
        connection.request("POST", "/orders", form, {"Content-Type": "application/x-www-form-urlencoded"})
    answer = connection.getresponse()
    answer.read()
    return answer.status < 400


def visitor():
    connection = None
    pause = workers / rate
    next_time = time.monotonic() + random.random() * pause
    while not stop.wait(max(0.0, next_time - time.monotonic())):
        next_time += pause
        try:
            connection = connection or http.client.HTTPConnection(*target, timeout=5)
            ok = visit(connection)
        except (OSError, http.client.HTTPException) as error:
            print(f"failed: {error!r}", file=sys.stderr, flush=True)
            ok, connection = False, None
        with lock:
            counts["ok" if ok else "failed"] += 1


def is_open():
    """Whether the shop answers: everything starts at the same time, and nobody visits before it has opened."""
    try:
        connection = http.client.HTTPConnection(*target, timeout=5)
        try:
            return visit(connection)
        finally:
            connection.close()
    except (OSError, http.client.HTTPException):
        return False


signal.signal(signal.SIGTERM, lambda signum, frame: stop.set())
signal.signal(signal.SIGINT, lambda signum, frame: stop.set())
while not is_open() and not stop.wait(0.1):
    pass
threads = [threading.Thread(target=visitor) for _ in range(workers)]
for thread in threads:
    thread.start()
while not stop.wait(10):
    print(f"visits: {counts['ok']} ok, {counts['failed']} failed", flush=True)
for thread in threads:
    thread.join()
