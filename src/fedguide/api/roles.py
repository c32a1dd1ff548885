"""Who may ask for what: one table of operations, and the one place that holds it.

An operation that is not in the table is refused, so a new route is closed until it is listed.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request

from fedguide.api.keys import Key, KeyBook, Role
from fedguide.errors import NotAuthorizedError, RoleError

_EVERYBODY: frozenset[Role] = frozenset()
_SHOP: frozenset[Role] = frozenset({"shop"})
_OPERATOR: frozenset[Role] = frozenset({"operator"})
_LOOKERS: frozenset[Role] = frozenset({"operator", "auditor"})

MAY: Mapping[str, frozenset[Role]] = {
    "recommend": _EVERYBODY,
    "search": _EVERYBODY,
    "similar": _EVERYBODY,
    "item": _EVERYBODY,
    "shops": _EVERYBODY,
    "healthz": _EVERYBODY,
    "readyz": _EVERYBODY,
    "guide": _EVERYBODY,
    "session_recommend": _EVERYBODY,
    "rank": _EVERYBODY,
    "compare": _EVERYBODY,
    "events": _SHOP,
    "items": frozenset({"shop", "operator"}),
    "parties": _LOOKERS,
    "runs": _LOOKERS,
    "run": _LOOKERS,
    "run_stream": _LOOKERS,
    "privacy_budget": _LOOKERS,
    "privacy_ledger": _LOOKERS,
    "audit_verify": _LOOKERS,
    "models": _LOOKERS,
    "model_promote": _OPERATOR,
    "model_rollback": _OPERATOR,
    "shopper_privacy": _SHOP,
    "shopper_preferences": _SHOP,
    "shopper_export": _SHOP,
    "shopper_pass": _SHOP,
    "shopper_erase": _SHOP,
    "ads_rank": _SHOP,
    "ads_click": _SHOP,
    "audiences_estimate": frozenset({"shop", "operator"}),
}
"""By operation; an empty set is everybody, without a key."""


def require(operation: str, keys: KeyBook | None, request: Request) -> Key | None:
    """The key that allows an operation; ``None`` where none is needed.

    Raises:
        NotAuthorizedError: there is no key, or it is not accepted.
        RoleError: its role may not do this.
    """
    may = MAY[operation]
    if not may:
        return None
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    if keys is None or scheme.lower() != "bearer" or not text:
        raise NotAuthorizedError(
            "this needs a key", hint="Authorization: Bearer KEY, from fedguide keys create"
        )
    key = keys.check(text.strip())
    if key.role not in may:
        allowed = ", ".join(sorted(may))
        raise RoleError(f"a key of role {key.role} may not do this, only: {allowed}")
    return key
