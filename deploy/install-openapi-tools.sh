#!/bin/sh
# Fetches what checks /openapi.json by the published rules and generates a Python client from it, from PyPI into .quanyu/openapi.
# Run it from the project's folder. `make check` needs them and fails without; `make test` leaves out the tests that use them.
set -eu

PACKAGES="openapi-spec-validator==0.9.0 openapi-python-client==0.29.1"
TOOLS=.quanyu/openapi

say() { printf '%s\n' "install-openapi-tools: $*"; }

if [ "$(cat "$TOOLS/complete" 2>/dev/null)" = "$PACKAGES" ]; then
    say "found $PACKAGES"
    exit 0
fi
rm -rf "$TOOLS"
mkdir -p "$TOOLS"
# $PACKAGES is a list, so it is not quoted.
if python3 -m pip install --quiet --disable-pip-version-check --no-warn-conflicts --root-user-action=ignore --only-binary :all: --target "$TOOLS" $PACKAGES; then
    # Written last, so that an interrupted run leaves nothing that looks complete.
    printf '%s' "$PACKAGES" >"$TOOLS/complete"
    say "installed $PACKAGES"
else
    rm -rf "$TOOLS"
    say "$PACKAGES cannot be fetched: python3 3.10 or newer with pip and a network are needed once"
    exit 1
fi
