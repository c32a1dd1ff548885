"""A language model behind an OpenAI-compatible address, asked for one sentence; off by default.

Threat model: whoever runs the model is trusted with what the catalogue is asked for, not with
shoppers, and not with the truth (``voice`` checks that). Anything but a faithful sentence in time
and in size gives the engine's own.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from dataclasses import dataclass, field
from functools import lru_cache

import httpx

from fedguide.errors import ConfigError
from fedguide.guide.phrasing import pick
from fedguide.guide.plain_words import CHINESE, ENGLISH
from fedguide.guide.voice import ENGINE, MODEL, Found, Said, Voice, spoken

LARGEST_REPLY_BYTES = 64 * 1024
MOST_AT_ONCE = 8
"""Sentences asked for at once by one process; further answers are the engine's own."""

_LONGEST_TIMEOUT_S = 30.0
_LOCAL = ("127.0.0.1", "localhost", "::1")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class VoicePlan:
    """Where the model is and how long it may take.

    Attributes:
        address: base of an OpenAI-compatible service; ``/v1/chat/completions`` is added.
        model: the name it is asked for.
        timeout_s: seconds until the engine speaks instead, in (0, 30].
        key: bearer token; empty sends none. It is in no repr and no log.

    Raises:
        ConfigError: a field is out of range, or a wish would cross a network in the open.
    """

    address: str
    model: str
    timeout_s: float = 3.0
    key: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        """Checks the ranges once."""
        try:
            url = httpx.URL(self.address)
        except httpx.InvalidURL as error:
            raise ConfigError(f"voice address is no address: {error}") from None
        if url.userinfo:
            raise ConfigError("voice address must hold no password", hint="[voice] key_file")
        if not (url.scheme == "https" and url.host) and not (
            url.scheme == "http" and url.host in _LOCAL
        ):
            raise ConfigError(
                f"voice address must be https, or http on this machine, got {self.address[:64]!r}"
            )
        if not self.model:
            raise ConfigError("voice needs the name of a model", hint='[voice] model = "…"')
        if not 0 < self.timeout_s <= _LONGEST_TIMEOUT_S:
            raise ConfigError(
                f"voice timeout_s must be in (0, {_LONGEST_TIMEOUT_S:g}], got {self.timeout_s}"
            )
        if not (self.key.isascii() and self.key.isprintable()):
            raise ConfigError("the voice key must be printable ASCII on one line")


def voice_of(plan: VoicePlan) -> Voice:
    """The voice of a plan; at most ``MOST_AT_ONCE`` sentences are asked for at once."""
    busy = 0

    async def say(found: Found) -> Said:
        nonlocal busy
        if not (found.total and found.labels):
            # That nothing fits, or nothing was understood, is said in the engine's exact words.
            return Said(found.said, ENGINE)
        if busy >= MOST_AT_ONCE:
            return _own(found, "too many at once")
        busy += 1
        try:
            async with asyncio.timeout(plan.timeout_s):
                sentence, why = await _asked(plan, found)
        except TimeoutError:
            return _own(found, f"no answer within {plan.timeout_s:g} s")
        finally:
            busy -= 1
        text, why = (sentence, why) if why else spoken(sentence, found)
        return _own(found, why) if why else Said(text, MODEL)

    return say


async def _asked(plan: VoicePlan, found: Found) -> tuple[str, str]:
    """The model's sentence, or an empty text and what went wrong; never more than a limit."""
    # Unpacked answers only: a packed one could be small on the wire and fill the memory.
    headers = {"accept-encoding": "identity"}
    if plan.key:
        headers["authorization"] = f"Bearer {plan.key}"
    address = f"{plan.address.rstrip('/')}/v1/chat/completions"
    try:
        async with (
            httpx.AsyncClient(verify=_trust(), trust_env=False, timeout=plan.timeout_s) as client,
            client.stream("POST", address, json=_question(plan, found), headers=headers) as reply,
        ):
            if reply.status_code != 200:
                return "", f"it answered {reply.status_code}"
            body = bytearray()
            async for chunk in reply.aiter_raw(8192):
                body += chunk
                if len(body) > LARGEST_REPLY_BYTES:
                    return "", f"its answer has more than {LARGEST_REPLY_BYTES} bytes"
    except httpx.TimeoutException:
        return "", f"no answer within {plan.timeout_s:g} s"
    except httpx.HTTPError as error:
        # The type alone: the text may quote the request.
        return "", f"it was not reached ({type(error).__name__})"
    return _sentence(bytes(body))


def _sentence(body: bytes) -> tuple[str, str]:
    try:
        sentence = json.loads(body)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return "", "its answer is not what the protocol says"
    return (sentence, "") if isinstance(sentence, str) else ("", "its answer is no text")


def _question(plan: VoicePlan, found: Found) -> dict[str, object]:
    language = pick(found.lang, "Chinese (简体中文)", "English")
    plain = sorted(CHINESE if found.lang == "zh" else ENGLISH)
    rules = (
        f"You phrase a shop's answer in {language}, in one or two short friendly sentences. "
        "Write {wish} where the shopper's conditions go and {total} where the number of items "
        f"goes; both must be there. {{1}} to {{{len(found.items)}}} stand for the best items, "
        "name and price included; use them or not. Write no number, no name, no price, no quality "
        "and no promise yourself. Use no other words than these: " + " ".join(plain)
    )
    facts = json.dumps({"conditions": found.labels}, ensure_ascii=False)
    return {
        "model": plan.model,
        "temperature": 0,
        "max_tokens": 200,
        "messages": [{"role": "system", "content": rules}, {"role": "user", "content": facts}],
    }


def _own(found: Found, why: str) -> Said:
    """The engine's sentence; what the model said is not logged, for it may hold anything."""
    _log.warning("the engine phrased an answer instead of the model: %s", why)
    return Said(found.said, ENGINE, why)


@lru_cache(maxsize=1)
def _trust() -> ssl.SSLContext:
    """The system's authorities; read once, for it takes as long as many answers."""
    return ssl.create_default_context()
