"""Which column of a table is what: a map, and a guess at it from common names.

Ours on the left, theirs on the right: ``{"user": "CustomerID", "item": "StockCode"}``. Names in
English and Chinese are known; what is not found is asked for, with the nearest name.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fedguide.errors import ConfigError, DataError
from fedguide.values import KINDS

NONE = "-"
"""In a map: this table has no such column, do not guess one."""

EVENT_COLUMNS = (
    "user", "item", "kind", "time", "query", "quantity", "price", "basket", "group",
    "title", "brand", "category",
)  # fmt: skip
ITEM_COLUMNS = ("item", "title", "brand", "category", "price")
NAMES_OF_ITEMS = ("name", "名称")
"""A title in a table of items; in a table of events it may as well be a person's name."""
OPTIONS = ("default_kind", "time_format", "timezone")

SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "user": ("user", "userid", "customerid", "customer", "memberid", "buyerid", "shopperid",
             "visitorid", "householdid", "clientid", "uid", "sessionid", "reviewerid",
             "用户", "用户id", "用户编号", "客户", "客户id", "客户编号", "会员", "会员id",
             "会员号", "会员编号", "买家", "买家id", "顾客", "顾客id", "顾客编号"),
    "item": ("item", "itemid", "productid", "product", "stockcode", "sku", "skuid", "goodsid",
             "articleid", "movieid", "asin", "parentasin", "itemcode", "spuid", "iid",
             "商品", "商品id", "商品编号", "商品编码", "货号", "物品", "物品id", "产品id",
             "产品编号", "款号"),
    "kind": ("kind", "event", "eventtype", "action", "actiontype", "behavior", "behaviortype",
             "behaviour", "type", "行为", "行为类型", "事件", "事件类型", "动作"),
    "time": ("time", "timestamp", "datetime", "eventtime", "invoicedate", "orderdate", "ordertime",
             "createdat", "date", "unixreviewtime", "transactiontimestamp", "eventdate", "timestmp",
             "ts", "day", "dt", "时间", "下单时间", "订单时间", "成交时间", "付款时间",
             "支付时间", "日期", "下单日期", "时间戳", "行为时间"),
    "query": ("query", "searchquery", "searchterm", "keyword", "searchtext", "searchword",
              "搜索词", "关键词", "查询", "搜索"),
    "quantity": ("quantity", "qty", "units", "count", "数量", "件数", "购买数量"),
    "price": ("price", "unitprice", "itemprice", "saleprice", "单价", "价格", "售价", "成交价"),
    "basket": ("basket", "basketid", "invoice", "invoiceno", "orderid", "orderno", "transactionid",
               "订单", "订单号", "订单编号", "订单id"),
    "group": ("group", "country", "region", "countrycode", "国家", "地区", "区域"),
    "title": ("title", "itemname", "productname", "description", "producttitle",
              "movietitle", "itemtitle", "标题", "商品名", "商品名称", "商品标题", "品名"),
    "brand": ("brand", "brandname", "manufacturer", "品牌"),
    "category": ("category", "categorypath", "categoryname", "categories", "productcategory",
                 "class", "genres", "department", "类目", "分类", "品类", "商品类目", "类别"),
}  # fmt: skip
"""Known names, best first; compared without case, spaces and punctuation."""


@dataclass(frozen=True)
class ColumnMap:
    """What the columns of one source mean.

    Attributes:
        theirs: our name of a column to theirs; a name that is missing here is guessed, a name
            mapped to ``"-"`` is known to be absent.
        default_kind: kind of every event where no column says it.
        time_format: strptime format of times; ``""`` knows ISO, unix s/ms/us, day first, month
            first and Chinese dates.
        timezone: zone of times that carry none of their own, and of the shop's calendar.
    """

    theirs: Mapping[str, str] = field(default_factory=dict)
    default_kind: str = "buy"
    time_format: str = ""
    timezone: str = "UTC"


def column_map(settings: Mapping[str, str]) -> ColumnMap:
    """A map from plain settings: our column names, and ``default_kind time_format timezone``.

    Raises:
        ConfigError: an unknown name or kind.
    """
    known = (*EVENT_COLUMNS, *OPTIONS)
    for name in settings:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
            raise ConfigError(
                f"a column map knows {', '.join(known)}; got {name!r}",
                hint=f"did you mean {near}?",
            )
    options = {name: settings[name] for name in OPTIONS if name in settings}
    kind = options.get("default_kind", "buy")
    if kind not in KINDS or kind == "search":
        raise ConfigError(
            f"default_kind must be one of {', '.join(KINDS)} but search, got {kind!r}"
        )
    return ColumnMap({n: c for n, c in settings.items() if n in EVENT_COLUMNS}, **options)


def plain(name: str) -> str:
    """A column's name without case, spaces, punctuation and type suffix (``user_id:token``)."""
    text = unicodedata.normalize("NFKC", name).split(":")[0].lower()
    return "".join(c for c in text if c.isalnum())


def guess(present: Sequence[str], wanted: Sequence[str]) -> dict[str, str]:
    """Our names of ``wanted`` to those of ``present`` whose name is known to mean the same."""
    by_plain = {plain(name): name for name in reversed(present)}
    found: dict[str, str] = {}
    for ours in wanted:
        for synonym in SYNONYMS[ours]:
            if synonym in by_plain and by_plain[synonym] not in found.values():
                found[ours] = by_plain[synonym]
                break
    return found


def resolve(
    columns: ColumnMap, present: Sequence[str], wanted: Sequence[str], source: str
) -> dict[str, str]:
    """Our names to theirs for one table: what the map says, and guesses for the rest.

    Raises:
        DataError: the map names a column the table does not have.
    """
    chosen: dict[str, str] = {}
    for ours in wanted:
        theirs = columns.theirs.get(ours)
        if theirs is None or theirs == NONE:
            continue
        if theirs not in present:
            raise DataError(
                f"{source} has no column {theirs!r} (mapped to {ours}); "
                f"it has {', '.join(present)}",
                hint=f"--column {ours}={nearest(theirs, present)}",
            )
        chosen[ours] = theirs
    free = [name for name in present if name not in chosen.values()]
    unknown = [ours for ours in wanted if ours not in columns.theirs]
    return chosen | guess(free, unknown)


def nearest(wanted: str, present: Sequence[str]) -> str:
    """The name in ``present`` most like ``wanted`` or one of its synonyms."""
    words = (plain(wanted), *SYNONYMS.get(wanted, ()))

    def likeness(name: str) -> float:
        return max(difflib.SequenceMatcher(None, word, plain(name)).ratio() for word in words)

    return max(present, key=likeness)
