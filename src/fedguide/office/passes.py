"""Signed passes: a few facts and an end, which only who has the server's secret can make.

A pass is ``BODY.MAC``: JSON in base64url, and HMAC-SHA-256 of it under a key of its purpose, so
that a pass for one thing never counts for another. It is not secret from its holder and is not
stored: it ends by itself.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Mapping

FOR_SHOPPER, FOR_SESSION = "shopper", "session"
"""What passes are for: a shopper's own page, a session of the console."""

_LONGEST = 2048


def make_pass(secret: bytes, purpose: str, facts: Mapping[str, str], until_s: int) -> str:
    """A pass with these facts that counts before ``until_s``, seconds since 1970."""
    text = json.dumps({**facts, "until_s": until_s}, ensure_ascii=False, sort_keys=True)
    body = base64.urlsafe_b64encode(text.encode("utf-8", "surrogatepass")).rstrip(b"=").decode()
    return f"{body}.{_mac(secret, purpose, body)}"


def read_pass(secret: bytes, purpose: str, text: str, now_s: float) -> Mapping[str, str] | None:
    """The facts of a pass; ``None`` where it is forged, for something else, or over."""
    body, _, mac = text.partition(".")
    if len(text) > _LONGEST or not text.isascii():
        return None
    if not hmac.compare_digest(mac, _mac(secret, purpose, body)):
        return None
    try:
        padded = body + "=" * (-len(body) % 4)
        facts = json.loads(base64.urlsafe_b64decode(padded).decode("utf-8", "surrogatepass"))
    except (binascii.Error, ValueError):  # unreachable without the secret, and no defect then
        return None
    return facts if now_s < facts.pop("until_s") else None


def _mac(secret: bytes, purpose: str, body: str) -> str:
    return hmac.digest(secret, f"fedguide/pass/{purpose}\0{body}".encode(), "sha256").hex()
