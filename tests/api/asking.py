"""Asks an application in this process, without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import httpx
from starlette.types import ASGIApp


def ask(app: ASGIApp, path: str, method: str = "GET", **headers: str) -> httpx.Response:
    """One request; header names are given with ``_`` for ``-``."""
    return ask_all(app, [path], method, **headers)[0]


def ask_all(
    app: ASGIApp, paths: Sequence[str], method: str = "GET", **headers: str
) -> list[httpx.Response]:
    """Requests that all arrive at once."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    async def together() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            asked = [client.request(method, path, headers=named) for path in paths]
            return list(await asyncio.gather(*asked))

    return asyncio.run(together())
