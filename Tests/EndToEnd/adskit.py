"""A control plane: serves resources over ADS, state-of-the-world and incremental, from the JSON that Envoy takes.

Messages are encoded by the tables below, from the published numbers of the fields, so that a mistake in the proxy's own tables
cannot hide itself."""

import queue
import struct
import threading
from concurrent import futures

import grpc

from grpckit import HTTP2
from proxykit import DEADLINE, Proxy, cluster, eventually

API = "type.googleapis.com/"
DISCOVERY = "envoy.service.discovery.v3."
TLS = "envoy.extensions.transport_sockets.tls.v3."
KINDS = {
    "lds": API + "envoy.config.listener.v3.Listener",
    "cds": API + "envoy.config.cluster.v3.Cluster",
    "rds": API + "envoy.config.route.v3.RouteConfiguration",
    "eds": API + "envoy.config.endpoint.v3.ClusterLoadAssignment",
    "sds": API + TLS + "Secret",
    "rtds": API + "envoy.service.runtime.v3.Runtime",
}
KIND_METHODS = {"Runtime", "Clusters", "Endpoints", "Secrets", "Listeners", "Routes"}
ORDER = ["rtds", "cds", "eds", "sds", "lds", "rds"]

# --- Protobuf --------------------------------------------------------------------------------------------------------
# name: (number, type). Types: s text, b bytes, u number, t flag, d duration, U number in a wrapper, T flag in a wrapper,
# D double in a wrapper, S struct, any, a message, an enumeration as a dict; [type] repeats, {type} is a map from text.

ADDRESS = {"socket_address": (1, {"": {"protocol": (1, {"TCP": 0}), "address": (2, "s"), "port_value": (3, "u")}})}
STRING_MATCHER = {"exact": (1, "s"), "prefix": (2, "s"), "suffix": (3, "s"), "ignore_case": (6, "t"), "contains": (7, "s")}
DATA_SOURCE = {"filename": (1, "s"), "inline_bytes": (2, "b"), "inline_string": (3, "s")}
GRPC_SERVICE = {"envoy_grpc": (1, {"": {"cluster_name": (1, "s")}})}
CONFIG_SOURCE = {
    "api_config_source": (2, {"": {
        "api_type": (1, {"GRPC": 2, "DELTA_GRPC": 3}), "grpc_services": (4, [{"": GRPC_SERVICE}]),
        "transport_api_version": (8, {"V3": 2})}}),
    "ads": (3, {"": {}}), "initial_fetch_timeout": (4, "d"), "resource_api_version": (6, {"AUTO": 0, "V3": 2})}
CERTIFICATE = {"certificate_chain": (1, {"": DATA_SOURCE}), "private_key": (2, {"": DATA_SOURCE})}
VALIDATION = {"trusted_ca": (1, {"": DATA_SOURCE})}
SDS_SECRET = {"name": (1, "s"), "sds_config": (2, {"": CONFIG_SOURCE})}
COMMON_TLS = {
    "tls_certificates": (2, [{"": CERTIFICATE}]), "validation_context": (3, {"": VALIDATION}), "alpn_protocols": (4, ["s"]),
    "tls_certificate_sds_secret_configs": (6, [{"": SDS_SECRET}]),
    "validation_context_sds_secret_config": (7, {"": SDS_SECRET})}
LB_ENDPOINT = {
    "endpoint": (1, {"": {"address": (1, {"": ADDRESS})}}),
    "health_status": (2, {"UNKNOWN": 0, "HEALTHY": 1, "UNHEALTHY": 2, "DRAINING": 3}), "load_balancing_weight": (4, "U")}
LOCALITY = {"region": (1, "s"), "zone": (2, "s"), "sub_zone": (3, "s")}
ASSIGNMENT = {"cluster_name": (1, "s"), "endpoints": (2, [{"": {
    "locality": (1, {"": LOCALITY}), "lb_endpoints": (2, [{"": LB_ENDPOINT}]), "load_balancing_weight": (3, "U"),
    "priority": (5, "u")}}])}
ROUTE = {
    "match": (1, {"": {"prefix": (1, "s"), "path": (2, "s"), "runtime_fraction": (9, {"": {
        "default_value": (1, {"": {"numerator": (1, "u"), "denominator": (2, {"HUNDRED": 0, "MILLION": 2})}}),
        "runtime_key": (2, "s")}})}}),
    "route": (2, {"": {"cluster": (1, "s"), "cluster_header": (2, "s"), "timeout": (8, "d"), "weighted_clusters": (3, {"": {
        "clusters": (1, [{"": {"name": (1, "s"), "weight": (2, "U")}}])}})}}),
    "direct_response": (7, {"": {"status": (1, "u"), "body": (2, {"": DATA_SOURCE})}}), "name": (14, "s"),
    "typed_per_filter_config": (13, {"map": "any"})}
ROUTES = {"name": (1, "s"), "virtual_hosts": (2, [{"": {
    "name": (1, "s"), "domains": (2, ["s"]), "routes": (3, [{"": ROUTE}])}}])}
FILTER = {"name": (1, "s"), "typed_config": (4, "any")}
CHAIN = {
    "filter_chain_match": (1, {"": {"server_names": (11, ["s"]), "transport_protocol": (9, "s")}}),
    "filters": (3, [{"": FILTER}]), "transport_socket": (6, {"": {"name": (1, "s"), "typed_config": (3, "any")}}),
    "name": (7, "s")}
TYPES = {
    KINDS["lds"]: {
        "name": (1, "s"), "address": (2, {"": ADDRESS}), "filter_chains": (3, [{"": CHAIN}]),
        "per_connection_buffer_limit_bytes": (5, "U"),
        "listener_filters": (9, [{"": {"name": (1, "s"), "typed_config": (3, "any")}}])},
    KINDS["cds"]: {
        "name": (1, "s"), "type": (2, {"STATIC": 0, "STRICT_DNS": 1, "LOGICAL_DNS": 2, "EDS": 3}),
        "eds_cluster_config": (3, {"": {"eds_config": (1, {"": CONFIG_SOURCE}), "service_name": (2, "s")}}),
        "connect_timeout": (4, "d"), "lb_policy": (6, {"ROUND_ROBIN": 0, "LEAST_REQUEST": 1, "RING_HASH": 2, "RANDOM": 3}),
        "transport_socket": (24, {"": {"name": (1, "s"), "typed_config": (3, "any")}}),
        "load_assignment": (33, {"": ASSIGNMENT}), "typed_extension_protocol_options": (36, {"map": "any"})},
    KINDS["rds"]: ROUTES,
    KINDS["eds"]: ASSIGNMENT,
    KINDS["sds"]: {"name": (1, "s"), "tls_certificate": (2, {"": CERTIFICATE}), "validation_context": (4, {"": VALIDATION})},
    KINDS["rtds"]: {"name": (1, "s"), "layer": (2, "S")},
    API + "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager": {
        "stat_prefix": (2, "s"),
        "rds": (3, {"": {"config_source": (1, {"": CONFIG_SOURCE}), "route_config_name": (2, "s")}}),
        "route_config": (4, {"": ROUTES}), "http_filters": (5, [{"": FILTER}]), "server_name": (10, "s")},
    API + "envoy.extensions.filters.http.router.v3.Router": {},
    API + "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy": {"stat_prefix": (1, "s"), "cluster": (2, "s")},
    API + TLS + "DownstreamTlsContext": {"common_tls_context": (1, {"": COMMON_TLS}), "require_client_certificate": (2, "T")},
    API + TLS + "UpstreamTlsContext": {"common_tls_context": (1, {"": COMMON_TLS}), "sni": (2, "s")},
    API + "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "explicit_http_config": (3, {"": {"http_protocol_options": (1, {"": {}}), "http2_protocol_options": (2, {"": {}})}})},
}
NODE = {"id": (1, "s"), "cluster": (2, "s"), "user_agent_name": (6, "s"), "client_features": (10, ["s"])}
STATUS = {"code": (1, "u"), "message": (2, "s")}
RAW = {"type_url": (1, "s"), "value": (2, "b")}
RESOURCE = {"version": (1, "s"), "resource": (2, {"": RAW}), "name": (3, "s"), "ttl": (6, "d")}
REQUEST = {
    "version_info": (1, "s"), "node": (2, {"": NODE}), "resource_names": (3, ["s"]), "type_url": (4, "s"),
    "response_nonce": (5, "s"), "error_detail": (6, {"": STATUS})}
RESPONSE = {
    "version_info": (1, "s"), "resources": (2, [{"": RAW}]), "type_url": (4, "s"), "nonce": (5, "s"),
    "control_plane": (6, {"": {"identifier": (1, "s")}})}
DELTA_REQUEST = {
    "node": (1, {"": NODE}), "type_url": (2, "s"), "resource_names_subscribe": (3, ["s"]),
    "resource_names_unsubscribe": (4, ["s"]), "initial_resource_versions": (5, {"map": "s"}), "response_nonce": (6, "s"),
    "error_detail": (7, {"": STATUS})}
DELTA_RESPONSE = {
    "system_version_info": (1, "s"), "resources": (2, [{"": RESOURCE}]), "type_url": (4, "s"), "nonce": (5, "s"),
    "removed_resources": (6, ["s"])}


def varint(number):
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out + bytes([number]))


def run(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def value(content):
    """google.protobuf.Value"""
    if isinstance(content, bool):
        return b"\x20" + varint(content)
    if isinstance(content, (int, float)):
        return b"\x11" + struct.pack("<d", content)
    if isinstance(content, str):
        return run(3, content.encode())
    return run(5, fields(content))


def fields(content):
    """google.protobuf.Struct"""
    return b"".join(run(1, run(1, name.encode()) + run(2, value(one))) for name, one in sorted(content.items()))


def one(number, kind, content):
    if isinstance(kind, list):
        return b"".join(one(number, kind[0], item) for item in content)
    if isinstance(kind, dict):
        if "" in kind:
            return run(number, encode(kind[""], content))
        if "map" in kind:
            return b"".join(
                run(number, one(1, "s", name) + one(2, kind["map"], item)) for name, item in sorted(content.items()))
        return varint(number << 3) + varint(kind[content] if isinstance(content, str) else content)
    if kind == "any":
        return run(number, any_of(content))
    if kind == "S":
        return run(number, fields(content))
    if kind in "sb":
        return run(number, content.encode() if isinstance(content, str) else content)
    if kind in "ut":
        return varint(number << 3) + varint(int(content))
    if kind in "UT":
        return run(number, b"\x08" + varint(int(content)) if content else b"")
    if kind == "d":
        seconds = float(content[:-1])
        return run(number, b"\x08" + varint(int(seconds)) + b"\x10" + varint(round(seconds % 1 * 1e9)))
    raise ValueError(kind)


def encode(table, message):
    known = sorted((name for name in message if name != "@type"), key=lambda name: table[name][0])
    return b"".join(one(*table[name], message[name]) for name in known)


def any_of(message):
    """google.protobuf.Any of a message with its `@type`."""
    return run(1, message["@type"].encode()) + run(2, encode(TYPES[message["@type"]], message))


def take_varint(content, place):
    number = shift = 0
    while True:
        number |= (content[place] & 0x7F) << shift
        shift += 7
        place += 1
        if content[place - 1] < 0x80:
            return number, place


def decode(table, content):
    """The fields of a message that the table knows."""
    numbers = {number: (name, kind) for name, (number, kind) in table.items()}
    message, place = {}, 0
    while place < len(content):
        key, place = take_varint(content, place)
        if key & 7 == 2:
            length, place = take_varint(content, place)
            item = content[place:place + length]
            place += length
        elif key & 7 == 0:
            item, place = take_varint(content, place)
        else:
            item = content[place:place + (8 if key & 7 == 1 else 4)]
            place += len(item)
        if key >> 3 not in numbers:
            continue
        name, kind = numbers[key >> 3]
        many, kind = isinstance(kind, list), kind[0] if isinstance(kind, list) else kind
        if isinstance(kind, dict) and "map" in kind:
            pair = decode({"key": (1, "s"), "value": (2, kind["map"])}, item)
            message.setdefault(name, {})[pair.get("key", "")] = pair.get("value", "")
            continue
        item = decode(kind[""], item) if isinstance(kind, dict) and "" in kind else item.decode() if kind == "s" else item
        if many:
            message.setdefault(name, []).append(item)
        else:
            message[name] = item
    return message


def name_of(resource):
    return resource.get("cluster_name") or resource["name"]


# --- The server ------------------------------------------------------------------------------------------------------

class Stream:
    """One client. What it asked for, what it was sent, what it said."""

    def __init__(self, is_delta):
        self.is_delta = is_delta
        self.outgoing = queue.Queue()
        self.requests = []
        self.names = {}
        self.sent = {}
        self.nonces = {}
        self.node = None


class ControlPlane(grpc.GenericRpcHandler):
    """Use it as a context. `put` and `drop` change resources; every stream is told in the order of dependencies.

    `silent` holds kinds that get no answer. With `ttl` resources are wrapped and live so long."""

    def __init__(self, port=0):
        self.resources = {kind: {} for kind in KINDS}
        self.versions = {kind: 0 for kind in KINDS}
        self.marks = {}
        self.encoded = {}
        self.silent = set()
        self.ttl = {}
        self.streams = []
        self.methods = []
        self.acks = []
        self.nacks = []
        self.lock = threading.RLock()
        self.port = port
        self.server = None

    def __enter__(self):
        self.pool = futures.ThreadPoolExecutor(16)
        self.server = grpc.server(self.pool, options=[("grpc.so_reuseport", 0)])
        self.server.add_generic_rpc_handlers((self,))
        self.port = self.server.add_insecure_port(f"127.0.0.1:{self.port}")
        self.server.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        for stream in list(self.streams):
            stream.outgoing.put(None)
        if self.server:
            self.server.stop(0).wait(DEADLINE)
            self.server = None
            self.pool.shutdown(wait=False)

    def again(self):
        """The server comes back on its port."""
        self.__enter__()

    # Configuration of a proxy

    def bootstrap(self, variant="GRPC", kinds=("lds", "cds"), **more):
        api = {"api_type": variant, "transport_api_version": "V3", "set_node_on_first_message_only": True,
               "grpc_services": [{"envoy_grpc": {"cluster_name": "control"}}]}
        source = {"ads": {}, "resource_api_version": "V3", **more}
        return {"dynamic_resources": {"ads_config": api, **{f"{kind}_config": source for kind in kinds}}}

    def cluster(self):
        return cluster("control", self.port, **HTTP2)

    # Resources

    def put(self, **kinds):
        """`put(cds=[...], eds=[...])`: these resources are new or changed."""
        with self.lock:
            for kind in ORDER:
                if kind in kinds:
                    self._change(kind, {name_of(one): one for one in kinds[kind]}, [])

    def drop(self, **kinds):
        """Names that are no more."""
        with self.lock:
            for kind in reversed(ORDER):
                if kind in kinds:
                    self._change(kind, {}, kinds[kind])

    def _change(self, kind, changed, removed):
        self.versions[kind] += 1
        for name, resource in changed.items():
            self.resources[kind][name] = resource
            content = resource["raw"] if "raw" in resource else encode(TYPES[KINDS[kind]], resource)
            self.encoded[kind, name] = content
            self.marks[kind, name] = str(self.versions[kind])
        for name in removed:
            self.resources[kind].pop(name, None)
        for stream in self.streams:
            if kind in stream.names:
                self._answer(stream, kind, set(changed) | set(removed))
                if kind == "cds" and "eds" in stream.names:
                    # A changed cluster waits for endpoints that come after it.
                    names = {one.get("eds_cluster_config", {}).get("service_name") or name for name, one in changed.items()}
                    for name in names:
                        stream.sent.setdefault("eds", {}).pop(name, None)
                    self._answer(stream, "eds", names & stream.names["eds"])

    def heartbeat(self, kind):
        """Renews the lives of all resources of a kind without their contents."""
        with self.lock:
            for stream in self.streams:
                items = [{"name": name, "version": self.marks[kind, name], "ttl": self.ttl[kind]}
                         for name in self._wanted(stream, kind)]
                self._send(stream, kind, items, [])

    # The protocol

    def service(self, details):
        method = details.method.split("/")[-1]
        self.methods.append(method)
        if method in ("StreamAggregatedResources", "DeltaAggregatedResources") or method[6:] in KIND_METHODS or \
                method[5:] in KIND_METHODS:
            return grpc.stream_stream_rpc_method_handler(
                lambda requests, context: self._serve(requests, context, method.startswith("Delta")))
        return None

    def _serve(self, requests, context, is_delta):
        stream = Stream(is_delta)
        with self.lock:
            self.streams.append(stream)
        threading.Thread(target=self._listen, args=(stream, requests), daemon=True).start()
        try:
            while (message := stream.outgoing.get()) is not None:
                yield message
        finally:
            with self.lock:
                if stream in self.streams:
                    self.streams.remove(stream)

    def _listen(self, stream, requests):
        try:
            for content in requests:
                with self.lock:
                    self._take(stream, decode(DELTA_REQUEST if stream.is_delta else REQUEST, content))
        except Exception:
            stream.outgoing.put(None)
        stream.outgoing.put(None)

    def _take(self, stream, request):
        stream.requests.append(request)
        stream.node = stream.node or request.get("node")
        kind = next(kind for kind, url in KINDS.items() if url == request["type_url"])
        nonce = request.get("response_nonce", "")
        if nonce and (detail := request.get("error_detail")):
            self.nacks.append((kind, detail["message"], request.get("version_info", "")))
        elif nonce:
            self.acks.append((kind, nonce))
        before = stream.names.get(kind)
        if stream.is_delta:
            names = set(before or ())
            if before is None:
                stream.sent[kind] = dict(request.get("initial_resource_versions", {}))
                if kind in ("lds", "cds") and not request.get("resource_names_subscribe"):
                    names.add("*")
            asked = set(request.get("resource_names_subscribe", ()))
            names |= asked
            names -= set(request.get("resource_names_unsubscribe", ()))
            for name in asked:
                stream.sent.setdefault(kind, {}).pop(name, None) if before is not None else None
            stream.names[kind] = names
            if before is None or asked:
                self._answer(stream, kind, asked, is_first=before is None)
            return
        if nonce and nonce != stream.nonces.get(kind):
            return
        names = set(request.get("resource_names", ())) or ({"*"} if kind in ("lds", "cds") else set())
        stream.names[kind] = names
        grew = before is None or names - before
        if grew and names and request.get("version_info") != str(self.versions[kind]) or before is not None and grew:
            self._answer(stream, kind, names)

    def _wanted(self, stream, kind):
        names = stream.names.get(kind, set())
        return [name for name in sorted(self.resources[kind]) if "*" in names or name in names]

    def _answer(self, stream, kind, names, is_first=False):
        """Says what is new to a stream."""
        if kind in self.silent:
            return
        wanted = self._wanted(stream, kind)
        ttl = {"ttl": self.ttl[kind]} if kind in self.ttl else {}
        if not stream.is_delta:
            if kind not in ("lds", "cds"):
                wanted = [name for name in wanted if name in names]
                if not wanted:
                    return
            self._send(stream, kind, [self._item(kind, name, ttl) for name in wanted], [])
            return
        sent = stream.sent.setdefault(kind, {})
        new = [name for name in wanted if sent.get(name) != self.marks[kind, name]]
        gone = [name for name in sent if name not in self.resources[kind]]
        gone += [name for name in names if name != "*" and name not in self.resources[kind] and name not in gone
                 and name in stream.names[kind]]
        for name in gone:
            sent.pop(name, None)
        if new or gone or is_first:
            self._send(stream, kind, [self._item(kind, name, ttl) for name in new], gone)
            sent.update({name: self.marks[kind, name] for name in new})

    def _item(self, kind, name, ttl):
        return {"name": name, "version": self.marks[kind, name],
                "resource": {"type_url": KINDS[kind], "value": self.encoded[kind, name]}, **ttl}

    def _send(self, stream, kind, items, gone):
        nonce = f"{kind}-{len(stream.requests)}-{self.versions[kind]}-{id(items)}"
        stream.nonces[kind] = nonce
        if stream.is_delta:
            stream.outgoing.put(encode(DELTA_RESPONSE, {
                "system_version_info": str(self.versions[kind]), "resources": items, "type_url": KINDS[kind],
                "nonce": nonce, "removed_resources": gone}))
            return
        wrapped = [item["resource"] if "ttl" not in item else {
            "type_url": API + DISCOVERY + "Resource", "value": encode(RESOURCE, item)} for item in items]
        stream.outgoing.put(encode(RESPONSE, {
            "version_info": str(self.versions[kind]), "resources": wrapped, "type_url": KINDS[kind], "nonce": nonce}))

    # Looking

    def settled(self, kind):
        """Waits until the newest response of a kind was acknowledged by all streams."""
        def look():
            with self.lock:
                said = {nonce for _, nonce in self.acks}
                return self.streams and all(stream.nonces.get(kind) in said for stream in self.streams)
        return eventually(look)

    def refused(self, kind, count=1):
        """Waits for a refusal; its text."""
        return eventually(lambda: [text for one, text, _ in self.nacks if one == kind][count - 1:])[-1]


# --- Resources -------------------------------------------------------------------------------------------------------

ADS = {"ads": {}, "resource_api_version": "V3"}


def eds_cluster(name, **more):
    return {"name": name, "type": "EDS", "connect_timeout": "1s", "eds_cluster_config": {"eds_config": ADS}, **more}


def rds_filter(name="routes", **more):
    return {"name": "http", "typed_config": {
        "@type": API + "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "test", "rds": {"config_source": ADS, "route_config_name": name},
        "http_filters": [{"name": "router", "typed_config": {
            "@type": API + "envoy.extensions.filters.http.router.v3.Router"}}], **more}}


def secret(name, certificate, key):
    return {"name": name, "tls_certificate": {
        "certificate_chain": {"inline_string": certificate}, "private_key": {"inline_string": key}}}


def dynamic(plane, program=Proxy, variant="GRPC", settings=None, **more):
    """A proxy that has everything from a control plane."""
    return program([], [plane.cluster()], **plane.bootstrap(variant, **(settings or {})), **more)
