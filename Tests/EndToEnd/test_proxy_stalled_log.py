"""An access log that nobody reads: requests go on, lines are given up and counted."""

import contextlib
import os

from proxykit import Client, Origin, eventually, serving, simple_proxy

FILE_LOG = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"


def test_a_pipe_that_nobody_reads_holds_up_no_request(tmp_path):
    stalled, read = tmp_path / "stalled", tmp_path / "read"
    os.mkfifo(stalled)
    # Open, so that the proxy can open it, too.
    held = os.open(stalled, os.O_RDWR | os.O_NONBLOCK)

    def log(path):
        return {"name": "file", "typed_config": {
            "@type": FILE_LOG, "path": str(path), "log_format": {"text_format_source": {"inline_string": "%REQ(X-LONG)% %REQ(X-NUMBER)%\n"}}}}
    text = "x" * 4000
    try:
        with Origin(serving()) as origin, simple_proxy(origin.port, access_log=[log(stalled), log(read)]) as (proxy, port), \
                Client(port) as client:
            # More than is held for a file that takes nothing (1 MiB), and than a pipe takes.
            for number in range(0, 400, 4):
                client.send("".join(f"GET / HTTP/1.1\r\nHost: a\r\nX-Long: {text}\r\nX-Number: {number + more}\r\n\r\n" for more in range(4)))
                assert [client.response()[0] for _ in range(4)] == [200] * 4
            assert eventually(lambda: proxy.stat("access_log_dropped_total") > 0)
            # The other log is written, and what the pipe took are whole lines in their order.
            assert eventually(lambda: read.exists() and read.read_text().startswith(f"{text} 0\n{text} 1\n"))
            piped = bytearray()

            def takes():
                with contextlib.suppress(BlockingIOError):
                    piped.extend(os.read(held, 1 << 20))
                return len(piped) > len(text) + 2

            assert eventually(takes) and piped.startswith(f"{text} 0\n".encode())
    finally:
        os.close(held)
