"""Sessions of the console: who has signed in with a key, and that a form is our own.

The cookie holds a signed pass with the key's id, never the key; it goes to no other site
(SameSite=Strict), to no script (HttpOnly), and ends by itself. The key is looked up at every
request, so that revoking it ends its sessions. A form's token is a hash of the cookie that only
the server can make: another site can neither read nor guess it.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from fedguide.errors import NotAuthorizedError, RoleError
from fedguide.office.desk import Desk, Holder
from fedguide.office.passes import FOR_SESSION, make_pass, read_pass

COOKIE, PATH = "fedguide_console", "/console"
LASTS_S = 8 * 3600
MAY_LOOK = ("operator", "auditor")


@dataclass(frozen=True)
class Session:
    """Somebody who has signed in; ``token`` goes into every form."""

    holder: Holder
    token: str

    @property
    def may_change(self) -> bool:
        """An operator may; an auditor looks."""
        return self.holder.role == "operator"


def begin(desk: Desk, request: Request, response: Response, text: str) -> None:
    """Signs a key's holder in.

    Raises:
        NotAuthorizedError: the key is not accepted.
        RoleError: it is a shop's, which has no business here.
    """
    if desk.keys is None:
        raise NotAuthorizedError("there are no keys here")
    holder = desk.keys.check(text.strip())
    if holder.role not in MAY_LOOK:
        raise RoleError(f"a key of role {holder.role} does not open the console")
    until_s = int(desk.clock()) + LASTS_S
    value = make_pass(desk.secret, FOR_SESSION, {"key": holder.id}, until_s)
    secure = request.url.scheme == "https"
    response.set_cookie(
        COOKIE, value, LASTS_S, path=PATH, httponly=True, samesite="strict", secure=secure
    )


def end(response: Response) -> None:
    """Signs out."""
    response.delete_cookie(COOKIE, path=PATH, httponly=True, samesite="strict")


def session_of(desk: Desk, request: Request) -> Session | None:
    """The session of a request; ``None`` where nobody is signed in, or no longer."""
    value = request.cookies.get(COOKIE, "")
    facts = read_pass(desk.secret, FOR_SESSION, value, desk.clock()) if value else None
    holder = desk.keys.still(facts["key"]) if facts and desk.keys else None
    if holder is None or holder.role not in MAY_LOOK:
        return None
    return Session(holder, _token(desk, value))


def require_own(session: Session, sent: str) -> None:
    """Returns if a form is our own and its sender may change something.

    Raises:
        NotAuthorizedError: the token is not the session's.
        RoleError: the holder only looks.
    """
    if not hmac.compare_digest(session.token.encode(), sent.encode("utf-8", "surrogatepass")):
        raise NotAuthorizedError("the form is too old, or not of this session")
    if not session.may_change:
        raise RoleError(f"a key of role {session.holder.role} may look and change nothing")


def _token(desk: Desk, cookie: str) -> str:
    return hmac.digest(desk.secret, b"fedguide/form\0" + cookie.encode(), "sha256").hex()
