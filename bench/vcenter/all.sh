#!/usr/bin/env bash
# Start a vCenter with VMS machines and measure it: one JSON line for each result.
# usage: all.sh PYTHON VMS
set -euo pipefail
python=$(realpath -s "$1") vms=$2
cd "$(dirname "$0")"
export PYTHONDONTWRITEBYTECODE=1
"$python" startup.py --runs 3 --bulk -- "$python" serve.py --vms "$vms"
exec 3< <(exec "$python" serve.py --vms "$vms")
read -r line <&3
url=$(grep -o 'https://[^ ]*' <<<"$line") pid=${line##*=}
trap 'kill "$pid"' EXIT
"$python" bulk.py "$url" --runs 5 --pid "$pid"
if command -v wrk >/dev/null; then "$python" small.py "$url" --seconds 3 --runs 3 --pid "$pid"; else echo "small.py is left out: wrk is not installed" >&2; fi
"$python" power.py "$url" --ops 400 --runs 3 --pid "$pid"
"$python" updates.py "$url" --rounds 20
