"""Passes everything between the harness and a driver, and keeps a copy: `tap.py LOG driver...`."""

import subprocess
import sys
import threading

log_path, *command = sys.argv[1:]
driver = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def pump(source, sink) -> None:
    with sink, open(log_path, "ab", 0) as log:
        for line in source:
            log.write(line)
            sink.write(line)
            sink.flush()


back = threading.Thread(target=pump, args=(driver.stdout, sys.stdout.buffer))
back.start()
pump(sys.stdin.buffer, driver.stdin)
back.join()
driver.wait()
