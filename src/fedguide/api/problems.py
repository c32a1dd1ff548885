"""Errors as problem documents (RFC 9457), with a title in both languages, a hint and a code."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from fedguide.api.wire import Problem, Titles
from fedguide.errors import (
    FedGuideError,
    InputError,
    NotAuthorizedError,
    NotFoundError,
    OverloadedError,
    RefusedError,
    RoleError,
)

LOG = logging.getLogger("fedguide.api")

OVERLOADED, NO_METHOD, DEFECT, NOT_FOUND, INPUT = "FG429", "FG405", "FG900", "FG404", "FG400"
NO_KEY = "FG221"
SLOW, TOO_LARGE = "FG408", "FG413"

TITLES: Mapping[str, Titles] = {
    "FG400": Titles("请求无法使用", "The request cannot be used"),
    "FG401": Titles("请求中的某个设置不被允许", "A setting in the request is not allowed"),
    "FG402": Titles("请求中的数据无法使用", "The data in the request cannot be used"),
    "FG221": Titles("密钥不被接受", "The key is not accepted"),
    "FG227": Titles("该角色无此权限", "The key's role may not do this"),
    "FG404": Titles("没有找到", "Not found"),
    "FG405": Titles("该地址不接受这种方法", "This address does not take that method"),
    "FG408": Titles("请求没有按时到达", "The request did not arrive in time"),
    "FG413": Titles("请求过大", "The request is too large"),
    "FG429": Titles("同时请求过多", "Too many requests at once"),
    "FG600": Titles("被隐私政策拒绝", "Refused by privacy policy"),
    "FG900": Titles("我们的缺陷", "Our defect"),
}

RETRY_AFTER_S = 1
_HEADERS: Mapping[str, Mapping[str, str]] = {
    OVERLOADED: {"Retry-After": str(RETRY_AFTER_S)},
    NO_KEY: {"WWW-Authenticate": "Bearer"},
}

LONGEST_ECHO = 256
"""Characters of an address that are sent back."""


def problem(request: Request, status: int, code: str, detail: str, hint: str = "") -> Response:
    """One problem document, titled in the language the caller prefers."""
    titles = TITLES[code if code in TITLES else DEFECT]
    chinese = request.headers.get("accept-language", "").lower().startswith("zh")
    body = Problem(
        type=f"urn:fedguide:error:{code}",
        title=titles.zh if chinese else titles.en,
        titles=titles,
        status=status,
        detail=detail,
        code=code,
        instance=request.url.path[:LONGEST_ECHO],
        hint=hint,
    )
    headers = _HEADERS.get(code)
    return Response(
        msgspec.json.encode(body), status, headers, media_type="application/problem+json"
    )


def from_error(request: Request, error: Exception) -> Response:
    """The problem document of an error on purpose; anything else is our defect and is logged."""
    if not isinstance(error, FedGuideError):
        # The text of an unforeseen error may hold a person's data: it is logged by type only.
        LOG.error("defect while answering: %s", type(error).__name__)
        return problem(request, 500, DEFECT, "the server failed on this request")
    code = OVERLOADED if isinstance(error, OverloadedError) else error.code
    return problem(request, status_of(error), code, str(error), error.hint)


def status_of(error: FedGuideError) -> int:
    """The HTTP status of an error."""
    if isinstance(error, NotFoundError):
        return 404
    if isinstance(error, RoleError):
        return 403
    if isinstance(error, NotAuthorizedError):
        return 401
    if isinstance(error, OverloadedError):
        return 503
    if isinstance(error, InputError):
        return 400
    return 403 if isinstance(error, RefusedError) else 500
