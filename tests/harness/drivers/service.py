"""A driver as a web service: what is posted goes to a driver of lines, its next message is the answer."""

import http.server
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


@contextmanager
def served(command: Sequence[str], *, token: str) -> Iterator[str]:
    """The URL of the service."""
    driver = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Authorization") != f"Bearer {token}":
                return self.answer(401, b"who are you?")
            if self.path != "/driver":
                return self.answer(404, b"nothing is here")
            driver.stdin.write(body + b"\n")
            driver.stdin.flush()
            return self.answer(200, driver.stdout.readline())

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/driver"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        driver.stdin.close()
        driver.wait()
        driver.stdout.close()
