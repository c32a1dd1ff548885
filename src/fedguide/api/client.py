"""A small client of the API: one method a route, answers as the structs the server sends.

    with Client("http://127.0.0.1:8000") as shop:
        answer = shop.guide("red mug under 30")

An overloaded server (503 or 429) is asked again when it says so, as long as patience lasts; every
other refusal is raised as the error of its code, with the server's own words.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar
from urllib.parse import quote

import httpx
import msgspec

from fedguide.api.asked_wire import (
    ComparedItems,
    Guided,
    GuideQuestion,
    Ranked,
    RankQuestion,
    SessionEvent,
    SessionQuestion,
    SessionRecommended,
)
from fedguide.api.receiving import EventBatch, EventsTaken, SentEvent
from fedguide.api.stocking import ItemBatch, ItemsTaken, SentItem
from fedguide.api.wire import Item, Recommended, Searched, Shops, Similar
from fedguide.errors import (
    ConfigError,
    ConnectionFailedError,
    FedGuideError,
    InputError,
    MalformedError,
    OverloadedError,
    RunError,
    TimedOutError,
    kinds_by_code,
)

A = TypeVar("A", bound=msgspec.Struct)

_BUSY = (429, 503)
_LONGEST_PAUSE_S = 60.0
_KINDS = kinds_by_code()


class Client:
    """A connection to one served shop; close it when done, or use it in a ``with``.

    Args:
        address: base of the server, for example ``http://127.0.0.1:8000``.
        key: an API key, for what needs one; it is in no repr and no error.
        shop: which shop of the server; its first when left out.
        timeout_s: seconds for one answer.
        patience_s: seconds that an overloaded server is asked again for.
        clock: gives seconds that never go back.
        pause: waits for some seconds.

    Raises:
        ConfigError: the address is none, or the key cannot be sent.
    """

    def __init__(
        self,
        address: str,
        key: str = "",
        shop: str = "",
        *,
        timeout_s: float = 10.0,
        patience_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        try:
            url = httpx.URL(address)
        except httpx.InvalidURL as error:
            raise ConfigError(f"the address is none: {error}") from None
        if url.scheme not in ("http", "https") or not url.host:
            raise ConfigError(f"the address must be http or https, got {address[:64]!r}")
        if not (key.isascii() and key.isprintable()):
            raise ConfigError("the key must be printable ASCII on one line")
        self._shop, self._patience_s, self._clock, self._pause = shop, patience_s, clock, pause
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout_s)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Gives the connections back."""
        self._http.close()

    def shops(self) -> Shops:
        """The shops this server has, and the release of each."""
        return self._get("shops", {}, Shops)

    def recommend(self, user: str, k: int = 10, slate: str = "discover") -> Recommended:
        """Items for a shopper; ``slate`` is ``discover``, ``again`` or ``both``."""
        return self._get("recommend", {"user": user, "k": str(k), "slate": slate}, Recommended)

    def search(self, query: str, k: int = 20) -> Searched:
        """Items that fit some words, in any language."""
        return self._get("search", {"q": query, "k": str(k)}, Searched)

    def similar(self, item_id: str, k: int = 10) -> Similar:
        """Items that are closest to one."""
        return self._get(f"similar/{quote(item_id, safe='')}", {"k": str(k)}, Similar)

    def item(self, item_id: str) -> Item:
        """One item of the catalogue."""
        return self._get(f"items/{quote(item_id, safe='')}", {}, Item)

    def guide(
        self,
        text: str = "",
        *,
        user: str = "",
        session: Sequence[SessionEvent] = (),
        chips: Sequence[str] = (),
        lang: str = "",
        k: int = 10,
    ) -> Guided:
        """A wish in Chinese or English; ``chips`` are codes of an earlier answer, stacked."""
        asked = GuideQuestion(text, user, tuple(session), tuple(chips), lang, k)
        return self._post("guide", asked, Guided)

    def session(
        self,
        session: Sequence[SessionEvent],
        *,
        user: str = "",
        slate: str = "discover",
        k: int = 10,
    ) -> SessionRecommended:
        """Items for a visit, of which the server stores nothing."""
        asked = SessionQuestion(tuple(session), user, slate, k)
        return self._post("session/recommend", asked, SessionRecommended)

    def rank(
        self,
        items: Sequence[str],
        *,
        user: str = "",
        session: Sequence[SessionEvent] = (),
        query: str = "",
    ) -> Ranked:
        """Items you name, in the order they suit."""
        return self._post("rank", RankQuestion(tuple(items), user, tuple(session), query), Ranked)

    def compare(
        self, first: str, second: str, *, user: str = "", lang: str = "en"
    ) -> ComparedItems:
        """Two items side by side."""
        asked = {"first": first, "second": second, "lang": lang}
        return self._get("compare", asked | ({"user": user} if user else {}), ComparedItems)

    def events(self, events: Sequence[SentEvent]) -> EventsTaken:
        """Sends events, which needs a key of role ``shop``; each ``id`` counts once."""
        return self._post("events", EventBatch(tuple(events)), EventsTaken)

    def items(self, items: Sequence[SentItem]) -> ItemsTaken:
        """Puts items in by id (role ``shop`` or ``operator``), for the next release."""
        return self._post("items", ItemBatch(tuple(items)), ItemsTaken)

    def _get(self, path: str, query: Mapping[str, str], answer: type[A]) -> A:
        return self._asked("GET", path, query, None, answer)

    def _post(self, path: str, body: msgspec.Struct, answer: type[A]) -> A:
        return self._asked("POST", path, {}, msgspec.json.encode(body), answer)

    def _asked(
        self, method: str, path: str, query: Mapping[str, str], body: bytes | None, answer: type[A]
    ) -> A:
        """The answer; asked again while the server is overloaded and patience lasts.

        Asking again is harmless: only ``events`` and ``items`` change anything, each id once.
        """
        params = dict(query) | ({"shop": self._shop} if self._shop else {})
        until_s = self._clock() + self._patience_s
        while True:
            response = self._once(method, f"/api/v1/{path}", params, body)
            if response.status_code == 200:
                return _decoded(response.content, answer)
            error = _refusal(response)
            if not isinstance(error, OverloadedError):
                raise error
            if self._clock() + error.retry_after_s > until_s:
                raise error
            self._pause(error.retry_after_s)

    def _once(
        self, method: str, path: str, params: Mapping[str, str], body: bytes | None
    ) -> httpx.Response:
        headers = {} if body is None else {"content-type": "application/json"}
        try:
            return self._http.request(method, path, params=params, content=body, headers=headers)
        except httpx.TimeoutException as error:
            raise TimedOutError(
                f"{self._http.base_url} gave no answer in time ({type(error).__name__})"
            ) from None
        except httpx.HTTPError as error:
            raise ConnectionFailedError(
                f"{self._http.base_url} was not reached ({type(error).__name__})",
                hint="fedguide serve",
            ) from None


def _decoded(body: bytes, answer: type[A]) -> A:
    try:
        return msgspec.json.decode(body, type=answer)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise MalformedError(
            f"the server's answer is no {answer.__name__}: {str(error)[:200]}",
            hint="client and server should be of one version",
        ) from None


def _refusal(response: httpx.Response) -> FedGuideError:
    """What the server answered, as if it had been raised here."""
    try:
        problem = msgspec.json.decode(response.content, type=dict[str, object])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        problem = {}
    status = response.status_code
    detail = str(problem.get("detail") or f"the server answered {status}")[:500]
    hint = str(problem.get("hint") or "")[:200]
    if status in _BUSY:
        return OverloadedError(detail, hint=hint, retry_after_s=_retry_after_s(response))
    if status >= 500:
        return RunError(detail, hint=hint or "look into the server's log")
    if status == 408:
        return TimedOutError(detail, hint=hint)
    kind = _KINDS.get(str(problem.get("code")), InputError if status >= 400 else RunError)
    return kind(detail, hint=hint)


def _retry_after_s(response: httpx.Response) -> float:
    text = response.headers.get("retry-after", "")
    return min(float(text), _LONGEST_PAUSE_S) if text.isascii() and text.isdigit() else 1.0
