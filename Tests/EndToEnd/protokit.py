"""Messages of protobuf, written and read by the numbers of their fields, and services of gRPC that take and give such bytes."""

import contextlib
from concurrent import futures

import grpc


def number(value):
    made = b""
    while value >= 0x80:
        made += bytes([value & 0x7F | 0x80])
        value >>= 7
    return made + bytes([value])


def message(*fields):
    """Bytes of `(number, value)`: whole numbers, bytes, texts."""
    made = b""
    for field, value in fields:
        if isinstance(value, int):
            made += number(field << 3) + number(value & (1 << 64) - 1)
        else:
            value = value.encode() if isinstance(value, str) else value
            made += number(field << 3 | 2) + number(len(value)) + value
    return made


def read(data):
    """Values by field number, each a list: whole numbers and bytes."""
    fields, place = {}, 0

    def varint():
        nonlocal place
        value = shift = 0
        while True:
            byte = data[place]
            place += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while place < len(data):
        key = varint()
        kind = key & 7
        if kind == 0:
            value = varint()
        else:
            size = {1: 8, 5: 4}.get(kind) or varint()
            value = data[place:place + size]
            assert len(value) == size, "cut short"
            place += size
            if kind in (1, 5):
                value = int.from_bytes(value, "little")
        fields.setdefault(key >> 3, []).append(value)
    return fields


def dig(data, *path, default=b""):
    """The last value at a path of field numbers."""
    for step in path:
        found = read(data).get(step)
        if not found:
            return default
        data = found[-1]
    return data


def texts(data, field):
    """A map of texts."""
    return {dig(entry, 1).decode(): dig(entry, 2).decode() for entry in read(data).get(field, [])}


class Handlers(grpc.GenericRpcHandler):
    def __init__(self, calls):
        self.calls = calls

    def service(self, details):
        call = self.calls.get(details.method)
        return call and grpc.unary_unary_rpc_method_handler(call)


@contextlib.contextmanager
def server(**calls):
    """A server of unary calls, `path_with_slashes: function(bytes, context) -> bytes`; gives its port."""
    made = grpc.server(futures.ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)],
                       handlers=[Handlers(calls)])
    port = made.add_insecure_port("127.0.0.1:0")
    made.start()
    try:
        yield port
    finally:
        made.stop(0).wait(5)
