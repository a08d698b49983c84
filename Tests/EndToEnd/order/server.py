"""A small HTTP/1.1 server that answers with its pod's name and what it got.

At SIGTERM it drops everything at once, as many programs do: whoever ends it has to see to the requests. DELAY is how long it works
on each request, in seconds.
"""

import asyncio
import os

NAME, DELAY = os.environ["POD_NAME"], float(os.environ.get("DELAY", "0.01"))


async def serve(reader, writer):
    try:
        while await reader.readline():
            length, closes = 0, False
            while (field := await reader.readline()) not in (b"\r\n", b""):
                name, value = field.decode("latin-1").lower().split(":", 1)
                length = int(value) if name == "content-length" else length
                closes = closes or (name, value.strip()) == ("connection", "close")
            body = await reader.readexactly(length)
            await asyncio.sleep(DELAY)
            text = f"{os.environ.get('VERSION', '1')} {len(body)}"
            writer.write(f"HTTP/1.1 200 OK\r\nX-Pod: {NAME}\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode())
            await writer.drain()
            if closes:
                break
    except (OSError, EOFError):
        pass
    finally:
        writer.close()


async def main():
    server = await asyncio.start_server(serve, "0.0.0.0", 8080, backlog=1024)
    await server.serve_forever()


asyncio.run(main())
