"""A real HTTP server on this machine that can misbehave: cut a connection, deny Range, answer 404 or 503."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Site:
    """What the server holds and how it behaves.

    Attributes:
        files: Content by path, e.g. "/a.zip".
        cut_after: Close the connection after so many bytes of a reply...
        cuts: ...this many times; then behave.
        ranges: Honour Range.
        status: Answer this to everything, 0 for none.
        etag: Name of the version, sent and compared with If-Range.
        chunk: Send so many bytes at a time...
        pause_s: ...with this pause after each.
        log: (path, Range header, status) of every request.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    cut_after: int = 0
    cuts: int = 0
    ranges: bool = True
    status: int = 0
    etag: str = '"one"'
    chunk: int = 1 << 30
    pause_s: float = 0.0
    url: str = ""
    log: list[tuple[str, str, int]] = field(default_factory=list)


@contextmanager
def serve(site: Site) -> Iterator[Site]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            body = site.files.get(self.path.partition("?")[0])
            if site.status or body is None:
                self._answer(site.status or 404, b"sorry", wanted)
                return
            match = re.fullmatch(r"bytes=(\d+)-", wanted)
            same = self.headers.get("If-Range", site.etag) == site.etag
            if match and site.ranges and same:
                start = int(match[1])
                if start >= len(body):
                    self._answer(416, b"", wanted)
                    return
                extra = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"}
                self._answer(206, body[start:], wanted, extra)
            else:
                self._answer(200, body, wanted)

        def _answer(self, status: int, body: bytes, wanted: str, extra: dict[str, str] | None = None) -> None:
            site.log.append((self.path, wanted, status))
            self.send_response(status)
            for key, value in {"Content-Length": str(len(body)), "ETag": site.etag, **(extra or {})}.items():
                self.send_header(key, value)
            self.end_headers()
            if site.cuts and status in (200, 206):
                site.cuts -= 1
                self.wfile.write(body[: site.cut_after])
                self.wfile.flush()
                self.close_connection = True
                return
            for start in range(0, len(body), site.chunk):
                self.wfile.write(body[start : start + site.chunk])
                time.sleep(site.pause_s)

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A client that hangs up is no news here."""

    server = Server(("127.0.0.1", 0), Handler)
    site.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
