# The Debian packages that Weft needs, and how they get onto the machine. Sourced by ./weft and ./test.

packages_of() {
    case $1 in
        build) echo "libyaml-dev libsqlite3-dev libssl-dev libre2-dev libnghttp2-dev libc-ares-dev libxxhash-dev pkg-config libc6-dev libstdc++-12-dev binutils libncurses6 libxml2 libcurl4 libedit2 zlib1g-dev libbrotli-dev libzstd-dev libcurl4-openssl-dev" ;;
        runtime) echo "libyaml-0-2 libsqlite3-0 libssl3 libre2-9 libnghttp2-14 libc-ares2 libxxhash0 zlib1g libbrotli1 libzstd1 libcurl4 ca-certificates python3" ;;
        test) echo "curl nginx-light redis-server postgresql python3-psycopg2 python3-redis haproxy wrk prometheus python3-pytest python3-pytest-rerunfailures python3-pytest-timeout python3-pip strace procps nftables iproute2 git openssl python3-grpcio python3-h2 nghttp2-client nghttp2-proxy python3-brotli python3-zstandard python3-jwt python3-cryptography python3-prometheus-client docker-registry umoci busybox-static crun runc" ;;
        *) echo "packages_of: no group '$1'" >&2; return 1 ;;
    esac
}

# Prints those of the named packages that are not installed.
missing_packages() {
    local installed package
    installed=$(dpkg-query -W -f '${binary:Package} ${db:Status-Status}\n' 2>/dev/null | sed -n 's/^\([^: ]*\).* installed$/ \1 /p')
    for package in "$@"; do
        case $installed in *" $package "*) ;; *) printf '%s ' "$package" ;; esac
    done
}

# need_packages GROUP...: installs what is missing of these groups, and says which.
need_packages() {
    local group wanted="" missing
    for group in "$@"; do wanted="$wanted $(packages_of "$group")"; done
    command -v dpkg-query >/dev/null || { echo "weft: this is not Debian; please install yourself:$wanted" >&2; return 0; }
    # shellcheck disable=SC2086
    missing=$(missing_packages $wanted)
    [ -n "$missing" ] || return 0
    if [ -n "${WEFT_OFFLINE:-}" ]; then
        echo "weft: missing packages: ${missing}(WEFT_OFFLINE is set; install them with: apt-get install $missing)" >&2
        return 1
    fi
    local sudo=""
    if [ "$(id -u)" != 0 ]; then
        # A password can only be asked for on a terminal.
        command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; } || {
            echo "weft: missing packages: $missing" >&2
            echo "weft: please run as root: apt-get install --no-install-recommends $missing" >&2
            return 1
        }
        sudo=sudo
    fi
    echo "weft: installing Debian packages: $missing" >&2
    local log
    log=$(mktemp)
    # A package that brings a server must not start it: these are used as plain programs.
    # shellcheck disable=SC2086
    if ! { $sudo apt-get update -qq && with_no_services $sudo env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends $missing; } </dev/null >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        echo "weft: the packages could not be installed (whole output: $log)" >&2
        return 1
    fi
    rm -f "$log"
}

# Runs a command while Debian's packages are kept from starting services.
with_no_services() {
    local policy=/usr/sbin/policy-rc.d made="" code=0
    if [ "$(id -u)" = 0 ] && [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy" && made=yes
    fi
    "$@" || code=$?
    [ -z "$made" ] || rm -f "$policy"
    return $code
}

# need_packages_quickly ROOT GROUP: as need_packages, but asks dpkg only when its state changed since the last answer.
need_packages_quickly() {
    local stamp=$1/.build/packages-$2.ok
    [ "$stamp" -nt /var/lib/dpkg/status ] && [ "$stamp" -nt "$1/scripts/packages.sh" ] && return 0
    need_packages "$2" && { touch "$stamp" 2>/dev/null || true; }
}
