"""Clients and endpoints that do everything wrong at random; afterwards nothing may be left over."""

import random
import re
import socket
import threading
import time

from proxykit import Client, OWN_BUFFERS, Origin, Proxy, cluster, eventually, free_port, get, http_filter, listener, route, serving, tcp_filter

SECONDS = 6


def chaotic_origin(seed):
    dice = random.Random(seed)

    def behaviour(peer):
        while True:
            choice = dice.random()
            if choice < 0.04:
                return peer.reset()
            if choice < 0.08:
                return
            head, _ = peer.request()
            choice = dice.random()
            size = dice.choice([0, 1, 100, 5000, 70_000, 300_000])
            if choice < 0.4:
                peer.answer(b"x" * size)
            elif choice < 0.6:
                peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
                for _ in range(dice.randint(0, 5)):
                    piece = b"y" * (size // 4 + 1)
                    peer.send(b"%x\r\n%s\r\n" % (len(piece), piece))
                peer.send(b"0\r\n\r\n" if dice.random() < 0.8 else b"zz\r\n")
            elif choice < 0.65:
                peer.answer(b"no", status="503 No")
            elif choice < 0.7:
                peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\npart")
                return peer.reset() if dice.random() < 0.5 else None
            elif choice < 0.75:
                peer.send(b"HTTP/1.1 200 OK\r\n\r\nuntil the end" + b"z" * size)
                return
            elif choice < 0.8:
                peer.send(b"HTTP/1.1 100 Continue\r\n\r\n" * dice.randint(1, 12))
                peer.answer(b"late")
            elif choice < 0.85:
                peer.send(bytes(dice.randrange(256) for _ in range(200)))
            elif choice < 0.9:
                time.sleep(dice.random() * 0.3)
                peer.answer(b"slow")
            elif choice < 0.95:
                peer.answer(b"twice")
                peer.answer(b"twice")
            else:
                return peer.reset()
    return behaviour


def chaotic_client(port, seed, end, alive):
    dice = random.Random(seed)
    while time.monotonic() < end and alive():
        try:
            with Client(port) as client:
                client.socket.settimeout(2)
                for _ in range(dice.randint(1, 8)):
                    if not one_step(client, dice):
                        break
        except (OSError, EOFError, ValueError, IndexError):
            continue


def one_step(client, dice):
    choice = dice.random()
    size = dice.choice([1, 100, 20_000, 100_000, 400_000])
    if choice < 0.4:
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response()
    elif choice < 0.5:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + b"b" * size).response()
    elif choice < 0.6:
        client.send("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(dice.randint(0, 4)):
            client.send(b"%x\r\n%s\r\n" % (size, b"c" * size))
        client.send("0\r\n\r\n" if dice.random() < 0.8 else "q\r\n").response()
    elif choice < 0.65:
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n" * dice.randint(2, 30))
        client.response()
    elif choice < 0.7:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\npart")
        return False
    elif choice < 0.75:
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        return False
    elif choice < 0.8:
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").finish()
        client.rest()
        return False
    elif choice < 0.85:
        client.send(bytes(dice.randrange(256) for _ in range(dice.randint(1, 300))))
        client.response()
    elif choice < 0.9:
        client.send("GET / HTTP/1.1\r\nHos")
        return False
    elif choice < 0.95:
        client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n").response()
    else:
        client.send("GET / HTTP/1.0\r\n\r\n").response()
    return True


def gauges(proxy):
    """Everything in use: connections, requests, places in breakers."""
    text = proxy.admin("/stats/prometheus")
    found = {}
    for line in text.splitlines():
        match = re.match(r"(\w*(?:connections|requests|retries|pending|in_use|open_connections|buffer_bytes)\w*)(\{.*\})? (\S+)$", line)
        if match and not match.group(1).endswith("_total"):
            found[match.group(1) + (match.group(2) or "")] = float(match.group(3))
    return found


def works(port):
    try:
        return get(port)[0] == 200
    except (OSError, EOFError):
        # The chaotic origins are still there.
        return False


def test_nothing_is_left_over_after_chaos():
    origins = [Origin(chaotic_origin(seed)) for seed in range(3)] + [Origin(serving(b"fine"))]
    port, raw = free_port(), free_port()
    policy = {"retry_on": "5xx,reset,connect-failure", "num_retries": 2,
              "retry_back_off": {"base_interval": "0.01s", "max_interval": "0.05s"}}
    web = listener(port, http_filter(
        [route({"cluster": "origin", "timeout": "1s", "retry_policy": policy})],
        upgrade_configs=[{"upgrade_type": "websocket"}], stream_idle_timeout="1s"), name="web")
    tcp = listener(raw, tcp_filter(idle_timeout="1s"), name="tcp")
    settings = {"circuit_breakers": {"thresholds": [{"max_connections": 12, "max_pending_requests": 20, "retry_budget": {
        "budget_percent": {"value": 20}, "min_retry_concurrency": 3}}]},
        "outlier_detection": {"consecutive_5xx": 5, "base_ejection_time": "0.2s", "interval": "0.5s"}}
    dead = free_port()
    try:
        with Proxy([web, tcp], [cluster("origin", *[o.port for o in origins], dead, **settings)]) as proxy:
            end = time.monotonic() + SECONDS

            def alive():
                return proxy.process.poll() is None
            threads = [threading.Thread(target=chaotic_client, args=(port if n % 5 else raw, n, end, alive)) for n in range(24)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert alive(), proxy.text()

            def left():
                now = gauges(proxy)
                active = [line for line in proxy.admin("/clusters").splitlines()
                          if "rq_active" in line and not line.endswith("::0")]
                rest = {name: now[name] for name in ("downstream_connections", "downstream_requests") if now[name]}
                if now["upstream_connections"] != now["upstream_connections_idle"]:
                    rest["upstream"] = (now["upstream_connections"], now["upstream_connections_idle"])
                # One buffer is each worker's own.
                if now["buffer_bytes"] > OWN_BUFFERS:
                    rest["buffers"] = now["buffer_bytes"]
                return active, rest
            assert eventually(lambda: left() == ([], {}), 8), left()
            assert eventually(lambda: works(port))
    finally:
        for origin in origins:
            origin.__exit__()
