"""Posts JSON to an application in this process, without a socket."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
from starlette.types import ASGIApp


def post(
    app: ASGIApp, path: str, body: Any, method: str = "POST", **headers: str
) -> httpx.Response:
    """One POST, or another method; bytes are sent as they are."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            return await client.request(method, path, content=content, headers=headers)

    return asyncio.run(send())
