"""Stand-ins of Hugging Face's and Zenodo's HTTP interfaces on this machine, as far as a client that publishes asks.

The paths, fields and status codes are those that ``huggingface_hub`` sends and reads, and those of
developers.zenodo.org; the real hosts cannot be reached from where the tests run.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "secret-of-the-test"


@dataclass
class Hub:
    """What a stand-in holds and how it misbehaves.

    Attributes:
        repositories: Name -> path -> content. private: Names of private ones.
        objects: Contents by SHA-256 (large files of Hugging Face).
        large: Endings of files that go to ``objects``.
        deposits: Number -> what Zenodo says of it, with ``content`` by name of file.
        refuse: Path (a regular expression) -> status of every request to it.
        cut: Path -> how many requests to it are cut while they send.
        damage: Store another byte than was sent.
        log: "METHOD path" of every request.
    """

    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    private: set[str] = field(default_factory=set)
    objects: dict[str, bytes] = field(default_factory=dict)
    large: tuple[str, ...] = ()
    deposits: dict[str, dict[str, Any]] = field(default_factory=dict)
    refuse: dict[str, int] = field(default_factory=dict)
    cut: dict[str, int] = field(default_factory=dict)
    damage: bool = False
    log: list[str] = field(default_factory=list)
    url: str = ""

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        """Status and JSON for an authorised request."""
        for pattern, status in self.refuse.items():
            if re.search(pattern, path):
                return status, {"error": "sorry", "message": "sorry", "status": status}
        return (self._deposit if path.startswith(("/api/deposit", "/api/files")) else self._hub)(method, path, body)

    def _hub(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        asked = json.loads(body) if body[:1] == b"{" and method == "POST" and "/commit/" not in path else {}
        if path == "/api/repos/create":
            name = f"{asked['organization']}/{asked['name']}"
            status = 409 if name in self.repositories else 200
            self.repositories.setdefault(name, {})
            self.private |= {name} if asked.get("visibility") == "private" or asked.get("private") else set()
            return status, {"url": f"{self.url}/datasets/{name}", "name": name}
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}
        if path.startswith("/objects/"):
            self.objects[path.rpartition("/")[2]] = body
            return 200, {}
        match = re.match(r"/(?:api/)?datasets/([^/]+/[^/]+?)(?:\.git)?(?:/(.*))?$", path)
        if match is None or match[1] not in self.repositories:
            return 404, {"error": "Repository not found"}
        repository, rest = self.repositories[match[1]], match[2] or ""
        if rest.startswith("preupload/"):
            return 200, {"files": [self._mode(one["path"], repository) for one in asked["files"]]}
        if rest.startswith("tree/"):
            return 200, [_listed(name, content) for name, content in repository.items()]
        if rest == "info/lfs/objects/batch":
            return 200, {"transfer": "basic", "objects": [self._object(one) for one in asked["objects"]]}
        if rest.startswith("commit/"):
            for line in map(json.loads, body.splitlines()):
                self._apply(repository, line["key"], line["value"])
            oid = "c0ffee" * 6 + "c0ff"
            return 200, {"commitUrl": f"{self.url}/datasets/{match[1]}/commit/{oid}", "commitOid": oid}
        return 200, {"id": match[1], "sha": "c0ffee" * 6 + "c0ff", "siblings": [], "private": False}

    def _mode(self, name: str, repository: dict[str, bytes]) -> dict[str, Any]:
        is_large = name.endswith(self.large) if self.large else False
        known = repository.get(name)
        oid = None if known is None else hashlib.sha256(known).hexdigest() if is_large else _blob(known)
        return {"path": name, "uploadMode": "lfs" if is_large else "regular", "shouldIgnore": False, "oid": oid}

    def _object(self, wanted: dict[str, Any]) -> dict[str, Any]:
        if wanted["oid"] in self.objects:
            return wanted
        return {**wanted, "actions": {"upload": {"href": f"{self.url}/objects/{wanted['oid']}"}}}

    def _apply(self, repository: dict[str, bytes], key: str, value: dict[str, Any]) -> None:
        if key == "file":
            repository[value["path"]] = base64.b64decode(value["content"])
        elif key == "lfsFile":
            repository[value["path"]] = self.objects[value["oid"]]
        elif key == "deletedFile":
            del repository[value["path"]]

    def _deposit(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        if path == "/api/deposit/depositions" and method == "POST":
            number = str(100 + len(self.deposits))
            links = {"bucket": f"{self.url}/api/files/{number}", "html": f"{self.url}/deposit/{number}"}
            self.deposits[number] = {"id": int(number), "submitted": False, "links": links, "content": {}}
            return 201, self._shown(number)
        number, _, name = path.partition("/api/deposit/depositions/")[2].partition("/")
        if path.startswith("/api/files/"):
            number, _, name = path.removeprefix("/api/files/").partition("/")
        if number not in self.deposits:
            return 404, {"status": 404, "message": "PID does not exist."}
        if name and method == "PUT":
            kept = b"?" + body[1:] if self.damage else body
            self.deposits[number]["content"][unquote(name)] = kept
            return 201, {"key": name, "size": len(kept), "checksum": f"md5:{hashlib.md5(kept).hexdigest()}"}
        if method == "PUT":
            metadata = json.loads(body)["metadata"]
            if metadata["license"] not in ("cc-by-4.0", "mit"):
                fault = {"field": "metadata.license", "message": "Invalid license."}
                return 400, {"status": 400, "message": "Validation error.", "errors": [fault]}
            self.deposits[number]["metadata"] = metadata
        return 200, self._shown(number)

    def _shown(self, number: str) -> dict[str, Any]:
        found = {key: value for key, value in self.deposits[number].items() if key != "content"}
        content = self.deposits[number]["content"]
        files = [{"filename": name, "checksum": hashlib.md5(held).hexdigest()} for name, held in content.items()]
        return {**found, "files": files}


def _listed(name: str, content: bytes) -> dict[str, Any]:
    return {"type": "file", "path": name, "size": len(content), "oid": _blob(content)}


def _blob(content: bytes) -> str:
    """Git's name of a file."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@contextmanager
def serve_hub(hub: Hub) -> Iterator[Hub]:
    """Serve a stand-in on a free port of 127.0.0.1."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_any(self) -> None:
            path = urlsplit(self.path).path
            hub.log.append(f"{self.command} {path}")
            cut = next((one for one, left in hub.cut.items() if left and re.search(one, path)), None)
            if cut is not None:
                hub.cut[cut] -= 1
                self.rfile.read(100)
                self.connection.close()
                self.close_connection = True
                return
            body = self._body()
            # the addresses of large files are signed: they come without the token
            if path.startswith("/objects/") or self.headers.get("Authorization") == f"Bearer {TOKEN}":
                self._reply(*hub.answer(self.command, path, body))
            else:
                self._reply(401, {"error": "Invalid credentials", "message": "Unauthorized", "status": 401})

        do_GET = do_POST = do_PUT = do_any  # noqa: N815 (the server's names)

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            found = b""
            while size := int(self.rfile.readline(), 16):
                found += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return found

        def _reply(self, status: int, found: Any) -> None:
            body = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that hangs up is no news here."""

    server = Server(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
