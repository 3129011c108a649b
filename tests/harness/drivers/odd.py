"""Stands between the harness and a driver, and spoils the answer to one method: `odd.py HOW METHOD driver...`."""

import json
import os
import signal
import subprocess
import sys

how, method, *command = sys.argv[1:]
driver = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def silent(line: str) -> None:
    signal.pause()


def dies(line: str) -> None:
    print("out of memory, they say", file=sys.stderr, flush=True)
    os._exit(7)


def killed(line: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def says(text: str):
    def write(line: str) -> None:
        print(text, flush=True)

    return write


def with_result(result: object):
    def write(line: str) -> None:
        print(json.dumps({"id": json.loads(line)["id"], "result": result}), flush=True)

    return write


def endless(line: str) -> None:
    while True:
        sys.stdout.write("x" * 65536)


HOW = {
    "silent": silent,
    "dies": dies,
    "killed": killed,
    "prints": says("Connecting to the appliance ..."),
    "wrong-id": says('{"id": 0, "result": {"answer": "accepted"}}'),
    "no-answer": with_result("yes"),
    "unknown-reason": with_result({"answer": "refused", "reason": "tired"}),
    "unknown-key": with_result({"answer": "accepted", "because": "why not"}),
    "endless": endless,
    "deep": says("[" * 100_000),
}

for line in sys.stdin:
    if json.loads(line).get("method") == method:
        HOW[how](line)
        continue
    driver.stdin.write(line)
    driver.stdin.flush()
    print(driver.stdout.readline(), end="", flush=True)
driver.stdin.close()
driver.wait()
