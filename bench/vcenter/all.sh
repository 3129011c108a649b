#!/usr/bin/env bash
# Measure the vCenter emulator: one table of all figures.
# usage: all.sh PYTHON [--quick] [--json FILE]
set -euo pipefail
python=$(realpath -s "$1")
shift
cd "$(dirname "$0")"
export PYTHONDONTWRITEBYTECODE=1
exec "$python" table.py "$@"
