# Finding the toolchain and building. Sourced by ./weft and ./test.

find_swift() {
    command -v swift >/dev/null && return 0
    local place
    for place in /opt/swift/usr/bin /usr/local/swift/usr/bin "$HOME/.local/share/swiftly/bin"; do
        [ -x "$place/swift" ] && { PATH=$place:$PATH; return 0; }
    done
    echo "weft: no Swift toolchain found. Weft needs Swift 6.3 or later: https://www.swift.org/install/linux" >&2
    return 1
}

# build_is_stale ROOT: true when a program is missing or a source is newer than the oldest one: a build that was broken off may have made
# some of them.
build_is_stale() {
    local program oldest=""
    for program in weft weft-proxy weft-pod-init; do
        program=$1/.build/release/$program
        [ -x "$program" ] || return 0
        if [ -z "$oldest" ] || [ "$program" -ot "$oldest" ]; then oldest=$program; fi
    done
    [ -n "$(find "$1/Sources" "$1/Package.swift" -newer "$oldest" -not -name '*.md' -print -quit 2>/dev/null)" ]
}

# build_release ROOT: builds the programs in release mode; several starts at once build once.
build_release() {
    if [ -e "$1/.build" ] && [ ! -w "$1/.build" ] || [ ! -e "$1/.build" ] && [ ! -w "$1" ]; then
        echo "weft: there is something to build, but $1 belongs to $(stat -c %U "$1"): have that user run ./weft once," >&2
        echo "weft: or build a copy of your own: git clone $1 weft && cd weft && ./weft" >&2
        return 1
    fi
    find_swift || return 1
    mkdir -p "$1/.build"
    (
        flock 9
        build_is_stale "$1" || exit 0
        echo "weft: building (the first time takes some minutes)" >&2
        cd "$1"
        # All at once: rooms that do not need one another are compiled side by side.
        swift build -c release --static-swift-stdlib --explicit-target-dependency-import-check error \
            ${WEFT_JOBS:+--jobs "$WEFT_JOBS"} >&2 || {
            echo "weft: the build failed; the messages above say where" >&2
            exit 1
        }
        touch .build/release/weft .build/release/weft-proxy .build/release/weft-pod-init
    ) 9>"$1/.build/weft-build.lock"
}
