"""Which columns look like personal data: by their name, and by what is in them.

Phone numbers (Chinese mobile and landline, international), e-mail addresses, postal addresses in
Chinese and English, Chinese identity-card numbers. A pattern can be wrong in both directions; it
decides what is withheld by default, not what is harmless.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fedguide.data.columns import plain
from fedguide.data.tables import quoted

PATTERNS: Mapping[str, str] = {
    "email": r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}",
    "phone": r"(^|[^0-9A-Za-z.])("
    r"(\+?86[ -]?)?1[3-9][0-9][ -]?[0-9]{4}[ -]?[0-9]{4}"  # Chinese mobile
    r"|0[1-9][0-9]{1,2}-[2-9][0-9]{6,7}"  # Chinese landline
    r"|\+[1-9][0-9]{0,2}[ -]?(\(?[0-9]{1,4}\)?[ -]?){2,4}[0-9]{2,4}"  # international
    r"|\(?[2-9][0-9]{2}\)?[ -][2-9][0-9]{2}-[0-9]{4}"  # North America
    r")([^0-9A-Za-z]|$)",
    "id-card": r"(^|[^0-9])[1-9][0-9]{5}(19|20)[0-9]{2}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])"
    r"[0-9]{3}[0-9Xx]([^0-9Xx]|$)",
    "address": r"((省|自治区|市|区|县|镇).{1,20}(路|街|道|巷|弄|村|小区|大厦|广场)"
    r".{0,12}[0-9０-９]+.{0,3}(号|弄|栋|幢|室|单元|楼))"
    r"|(^|[\s,])[0-9]{1,5}[A-Za-z]?,? ([A-Z][A-Za-z'.]*,? ){1,4}"
    r"(Street|St|Road|Rd|Avenue|Ave|Lane|Ln|Drive|Dr|Boulevard|Blvd|Close|Court|Ct|Square|Way"
    r"|Terrace)([\s,.]|$)",
}
"""RE2 patterns, one a kind of personal data."""

NAMES: Mapping[str, tuple[str, ...]] = {
    "email": ("email", "mail", "emailaddress", "邮箱", "电子邮箱", "电子邮件"),
    "phone": ("phone", "phonenumber", "phoneno", "mobile", "mobilephone", "telephone", "tel",
              "cellphone", "手机", "手机号", "手机号码", "电话", "电话号码", "联系电话",
              "联系方式"),
    "id-card": ("idcard", "idcardno", "nationalid", "ssn", "passport", "身份证",
                "身份证号", "证件号"),
    "address": ("address", "addr", "shippingaddress", "deliveryaddress", "street", "streetaddress",
                "postcode", "zipcode", "地址", "收货地址", "收件地址", "详细地址", "邮编"),
    "name": ("fullname", "firstname", "lastname", "customername", "realname", "receiver",
             "consignee", "姓名", "真实姓名", "收货人", "收件人", "联系人"),
}  # fmt: skip
"""Names of columns that hold personal data whatever their values look like."""

LEAST_SHARE = 0.2
"""A column is personal when this share of its filled cells matches: some rows of a free text
(a phone number typed into the search box) do not make the column personal, they are dropped alone.
"""


LOOKED_AT = 50_000
"""Rows from the head of a file that are looked at: enough to see what a column is for."""


def kind_by_name(name: str) -> str:
    """The kind of personal data a column's name speaks of, ``""`` for none."""
    words = plain(name)
    return next((kind for kind, names in NAMES.items() if words in names), "")


def matches(column: str, kind: str) -> str:
    """An SQL condition: does a cell of ``column`` look like that kind of personal data?"""
    return f"regexp_matches({quoted(column)}, '{_escaped(PATTERNS[kind])}')"


def personal_columns(relation: Any, names: Sequence[str]) -> dict[str, str]:
    """Those of ``names`` that are personal, by name or by their first cells, each with its kind."""
    if not names:
        return {}
    head = relation.project(
        ", ".join(f"{quoted(name)}::VARCHAR AS {quoted(name)}" for name in names)
    ).limit(LOOKED_AT)
    counts = [
        f"count_if({matches(name, kind)}), count({quoted(name)})"
        for name in names
        for kind in PATTERNS
    ]
    row = head.aggregate(", ".join(counts)).fetchall()[0]
    found: dict[str, str] = {}
    for place, name in enumerate(names):
        kind = kind_by_name(name)
        for number, other in enumerate(PATTERNS):
            hits, filled = row[2 * (place * len(PATTERNS) + number) :][:2]
            if not kind and filled and hits >= LEAST_SHARE * filled:
                kind = other
        if kind:
            found[name] = kind
    return found


def _escaped(pattern: str) -> str:
    return pattern.replace("'", "''")
