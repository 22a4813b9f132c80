"""Who may ask: checks of Host, Origin and token, a limit on the body, and headers that keep the page to itself."""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable, Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
COOKIE = "bench_serve"
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
}


class TooLargeError(Exception):
    """A body exceeds the limit."""


class Access:
    """ASGI middleware around the application.

    Args:
        app: The application.
        hosts: Names by which this server may be asked; None: any (then a token is needed).
        token: What a client must bring, as ``Authorization: Bearer``, cookie, or once as ``?token=``; None: nothing.
        max_body_mb: Largest body.
    """

    def __init__(self, app: Any, *, hosts: tuple[str, ...] | None, token: str | None, max_body_mb: int) -> None:
        self._app, self._hosts, self._token, self._max = app, hosts, token, max_body_mb << 20

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
        refused = self._refusal(scope, headers)
        if refused:
            await _answer(send, *refused)
            return
        fresh = self._token is not None and parse_qs(scope["query_string"].decode("latin-1")).get("token")
        await self._passed(scope, receive, send, cookie=bool(fresh))

    def _refusal(self, scope: Scope, headers: Mapping[str, str]) -> tuple[int, str] | None:
        """Status and reason, or None where the request may pass."""
        host = headers.get("host", "")
        if self._hosts is not None and _name(f"//{host}") not in self._hosts:
            return 403, f"asked as {host or 'no host'}: this server answers to {', '.join(self._hosts)} only"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return 403, "asked by a page of another origin"
        if origin is None and headers.get("sec-fetch-site") in ("cross-site", "same-site") and scope["method"] != "GET":
            return 403, "asked by a page of another site"
        if self._token is not None and not self._knows(scope, headers):
            return 401, "a token is needed: open the address that bench serve printed"
        length = headers.get("content-length", "0")
        if not length.isdecimal() or len(length) > 15 or int(length) > self._max:
            return 413, f"larger than the {self._max >> 20} MB that are accepted"
        return None

    def _knows(self, scope: Scope, headers: Mapping[str, str]) -> bool:
        assert self._token is not None, "asked only then"
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [])
        kind, _, bearer = headers.get("authorization", "").partition(" ")
        given += [bearer.strip()] if kind.lower() == "bearer" else []
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            cookie = None
        given += [cookie.value] if cookie is not None else []
        return any(hmac.compare_digest(one.encode(), self._token.encode()) for one in given)

    async def _passed(self, scope: Scope, receive: Receive, send: Send, *, cookie: bool) -> None:
        taken, started = 0, False

        async def bounded() -> dict[str, Any]:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._max:  # sent without a length, or with a wrong one
                raise TooLargeError
            return message

        async def dressed(message: dict[str, Any]) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message = {**message, "headers": [*message.get("headers", []), *_encoded(self._extra(cookie))]}
            await send(message)

        try:
            await self._app(scope, bounded, dressed)
        except TooLargeError:
            if not started:
                await _answer(send, 413, f"larger than the {self._max >> 20} MB that are accepted")

    def _extra(self, cookie: bool) -> dict[str, str]:
        if not cookie:
            return HEADERS
        return {**HEADERS, "set-cookie": f"{COOKIE}={self._token}; HttpOnly; SameSite=Strict; Path=/"}


def _name(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(key.encode("latin-1"), value.encode("latin-1")) for key, value in headers.items()]


async def _answer(send: Send, status: int, reason: str) -> None:
    body = json.dumps({"error": reason}).encode()
    headers = {**HEADERS, "content-type": "application/json", "content-length": str(len(body))}
    await send({"type": "http.response.start", "status": status, "headers": _encoded(headers)})
    await send({"type": "http.response.body", "body": body})
