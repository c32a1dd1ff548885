"""Rows of text to a ``Dataset``: parse, judge each row, number the names, collect the items.

All work is done in SQL over columns. ``raw`` is the table of events with the columns
``EVENT_COLUMNS``, ``listed`` the table of items with ``ITEM_COLUMNS``; both hold text only. A row
that cannot be used is left out and counted under the first reason that holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fedguide.data.columns import ColumnMap, plain
from fedguide.data.contract import ABSENT, Dataset, Events, require_events
from fedguide.data.personal import PATTERNS
from fedguide.data.tables import column, texts
from fedguide.data.times import on_calendar, read_clock, zone
from fedguide.errors import DataError
from fedguide.values import KINDS, Catalogue

KIND_WORDS: Mapping[str, tuple[str, ...]] = {
    "view": ("view", "pv", "click", "pageview", "itemview", "detail", "浏览", "点击", "查看"),
    "cart": ("cart", "addtocart", "atc", "fav", "favorite", "favourite", "collect", "wishlist",
             "加购", "加购物车", "加入购物车", "收藏"),
    "buy": ("buy", "purchase", "purchased", "order", "ordered", "transaction", "sale", "pay",
            "paid", "购买", "下单", "成交", "支付", "付款"),
    "search": ("search", "query", "搜索", "检索"),
    "ad_view": ("adview", "adimpression", "impression", "exposure", "曝光", "广告曝光"),
    "ad_click": ("adclick", "广告点击"),
}  # fmt: skip
"""What shops call the kinds of event; compared without case and punctuation."""

REASONS = (
    "no-shopper", "unknown-kind", "no-item", "no-query", "bad-time", "personal", "cancelled",
    "not-a-product", "not-positive",
)  # fmt: skip
"""Why a row is left out; every importer counts under these names."""

MACROS = r"""
CREATE MACRO present(x) AS CASE
    WHEN lower(trim(x)) IN ('', 'na', 'n/a', 'null', 'none', 'nan', '\n', 'undefined') THEN NULL
    ELSE trim(x) END;
CREATE MACRO number(x) AS coalesce(try_cast(x AS DOUBLE), try_cast(CASE
    WHEN regexp_matches(x, '^-?[0-9]+,[0-9]{1,2}$') THEN replace(x, ',', '.')
    ELSE regexp_replace(x, '[¥￥$€£, 元]', '', 'g') END AS DOUBLE));
CREATE MACRO kind_word(x) AS regexp_replace(lower(x), '[^\p{L}\p{N}]', '', 'g');
"""
ANY_GOODS = "CREATE MACRO special(invoice, item, quantity, price) AS NULL;"
"""An importer's own reasons to leave a row out: a macro that gives the reason or NULL."""

JUDGED = """
CREATE TABLE judged AS
WITH present_only AS (
    SELECT rowid AS line, present("user") AS "user", present(item) AS item,
        present(kind) AS said, present(query) AS query,
        number(quantity) AS quantity, number(price) AS price, present(basket) AS basket,
        present("group") AS "group", present(title) AS title, present(brand) AS brand,
        present(category) AS category
    FROM raw),
said AS (
    SELECT k.kind AS said, words.code
    FROM (SELECT DISTINCT present(kind) AS kind FROM raw) AS k
        JOIN kind_words AS words ON words.word = kind_word(k.kind)),
kinds AS (
    SELECT p.* EXCLUDE (said), CASE WHEN p.said IS NOT NULL THEN said.code
        WHEN item IS NULL AND query IS NOT NULL THEN $search ELSE $otherwise END AS kind
    FROM present_only AS p LEFT JOIN said USING (said))
SELECT * REPLACE (
        CASE WHEN kind = $search THEN NULL ELSE item END AS item,
        CASE WHEN kind = $search THEN query END AS query),
    CASE
        WHEN "user" IS NULL THEN 'no-shopper'
        WHEN kind IS NULL THEN 'unknown-kind'
        WHEN kind <> $search AND item IS NULL THEN 'no-item'
        WHEN kind = $search AND query IS NULL THEN 'no-query'
        WHEN kind = $search AND regexp_matches(query, $personal) THEN 'personal'
        WHEN special(basket, item, quantity, price) IS NOT NULL
            THEN special(basket, item, quantity, price)
        WHEN quantity <= 0 OR price < 0 THEN 'not-positive'
    END AS reason
FROM kinds
"""
TIMED = """
CREATE TABLE timed AS
SELECT j.* EXCLUDE (reason), c.seconds, c.is_instant,
    CASE WHEN reason IS NOT NULL THEN reason
        -- 1900 to 2200: beyond lies no sale, and calendars end
        WHEN c.seconds IS NULL OR c.seconds NOT BETWEEN -2208988800 AND 7258118400
        THEN 'bad-time' END AS reason
FROM judged AS j JOIN clock AS c USING (line)
"""
ORDERED = """
CREATE TABLE timed AS
SELECT j.*, true AS is_instant, row_number() OVER (
    PARTITION BY j."user", reason IS NULL ORDER BY number(raw."time"), line) - 1.0 AS seconds
FROM judged AS j JOIN raw ON raw.rowid = line
"""
NUMBERED = """
CREATE TABLE kept AS SELECT * FROM timed WHERE reason IS NULL;
CREATE TABLE users AS SELECT "user", row_number() OVER (ORDER BY "user") - 1 AS code
    FROM (SELECT DISTINCT "user" FROM kept);
CREATE TABLE items AS SELECT item, row_number() OVER (ORDER BY item) - 1 AS code
    FROM (SELECT item FROM kept WHERE item IS NOT NULL
          UNION SELECT present(item) FROM listed WHERE present(item) IS NOT NULL);
CREATE TABLE queries AS SELECT query, row_number() OVER (ORDER BY query) - 1 AS code
    FROM (SELECT DISTINCT query FROM kept WHERE query IS NOT NULL);
CREATE TABLE invoices AS SELECT basket, row_number() OVER (ORDER BY basket) - 1 AS code
    FROM (SELECT DISTINCT basket FROM kept WHERE basket IS NOT NULL);
"""
EVENTS = """
SELECT users.code AS users, coalesce(items.code, -1) AS items, kind AS kinds,
    floor(seconds)::BIGINT AS seconds, is_instant, coalesce(queries.code, -1) AS queries,
    quantity::FLOAT AS quantities, price::FLOAT AS prices, coalesce(invoices.code, -1) AS baskets
FROM kept JOIN users USING ("user") LEFT JOIN items USING (item)
    LEFT JOIN queries USING (query) LEFT JOIN invoices USING (basket)
ORDER BY users.code, seconds, line
"""
GROUPS = """
WITH counted AS (SELECT "user", "group", count(*) AS n FROM kept GROUP BY ALL),
    best AS (SELECT "user", arg_min("group", (-n, "group")) AS "group" FROM counted
             WHERE "group" IS NOT NULL GROUP BY "user")
SELECT users."user" AS "user", best."group" AS "group"
FROM users LEFT JOIN best USING ("user") ORDER BY users.code
"""
CATALOGUE = """
WITH facts AS (
    SELECT present(item) AS item, present(title) AS title, present(brand) AS brand,
        present(category) AS category, number(price) AS price, 1 AS rank FROM listed
    UNION ALL SELECT item, title, brand, category, price, 2 AS rank FROM kept
        WHERE item IS NOT NULL),
    titles AS (SELECT item, arg_min(title, (rank, -n, title)) AS title FROM
        (SELECT item, title, rank, count(*) AS n FROM facts WHERE title IS NOT NULL GROUP BY ALL)
        GROUP BY item),
    brands AS (SELECT item, arg_min(brand, (rank, -n, brand)) AS brand FROM
        (SELECT item, brand, rank, count(*) AS n FROM facts WHERE brand IS NOT NULL GROUP BY ALL)
        GROUP BY item),
    categories AS (SELECT item, arg_min(category, (rank, -n, category)) AS category FROM
        (SELECT item, category, rank, count(*) AS n FROM facts WHERE category IS NOT NULL
         GROUP BY ALL) GROUP BY item),
    prices AS (SELECT item, coalesce(median(price) FILTER (rank = 1), median(price)) AS price
        FROM facts WHERE price > 0 GROUP BY item)
SELECT item AS ids, title AS titles, brand AS brands, category AS categories,
    price::FLOAT AS prices
FROM items LEFT JOIN titles USING (item) LEFT JOIN brands USING (item)
    LEFT JOIN categories USING (item) LEFT JOIN prices USING (item)
ORDER BY items.code
"""


@dataclass(frozen=True)
class Source:
    """How one format's rows are to be read.

    Attributes:
        name: of the data set.
        columns: the map, for its options.
        found: our column names to theirs, as they were loaded.
        rules: SQL macro ``special(invoice, item, quantity, price)``.
        clocked: does ``time`` hold times, or (``False``) positions or nothing?
        withheld: columns of the source that were not read.
    """

    name: str
    columns: ColumnMap
    found: Mapping[str, str]
    rules: str = ANY_GOODS
    clocked: bool = True
    withheld: tuple[str, ...] = ()


def assemble(connection: Any, source: Source) -> Dataset:
    """The data set in the tables ``raw`` and ``listed``.

    Raises:
        DataError: no row can be used; the text counts the reasons.
    """
    judge(connection, source)
    counts = connection.execute(
        "SELECT reason, count(*) FROM timed WHERE reason IS NOT NULL GROUP BY ALL"
    ).fetchall()
    dropped = dict(sorted(counts))
    connection.execute(NUMBERED)
    events = _events(connection, source)
    if len(events) == 0:
        raise _nothing_left(connection, source, dropped)
    return require_events(
        Dataset(
            name=source.name,
            events=events,
            catalogue=_catalogue(connection),
            clocked=source.clocked,
            withheld=source.withheld,
            dropped=dropped,
        )
    )


def judge(connection: Any, source: Source) -> None:
    """Makes ``timed``: every row parsed, with its seconds and the reason against it, if any.

    Raises:
        ConfigError, DataError: see ``read_clock``.
    """
    connection.execute(MACROS)
    connection.execute(source.rules)
    connection.execute("CREATE TABLE kind_words(word VARCHAR, code UTINYINT)")
    words = {plain(w): code for code, kind in enumerate(KINDS) for w in KIND_WORDS[kind]}
    connection.executemany("INSERT INTO kind_words VALUES (?, ?)", list(words.items()))
    parameters = {
        "search": KINDS.index("search"),
        "otherwise": KINDS.index(source.columns.default_kind),
        "personal": "|".join(f"({pattern})" for pattern in PATTERNS.values()),
    }
    connection.execute(JUDGED, parameters)
    if source.clocked:
        read_clock(connection, source.columns.time_format, source.found.get("time", "time"))
        connection.execute(TIMED)
    else:
        connection.execute(ORDERED)


def _events(connection: Any, source: Source) -> Events:
    table = connection.execute(EVENTS).fetchnumpy()
    seconds = column(table, "seconds", 0, np.int64)
    instant = column(table, "is_instant", True, np.bool_)
    if source.clocked:
        times, days = on_calendar(seconds, instant, zone(source.columns.timezone))
    else:
        times, days = seconds, seconds.astype(np.int32)
    people = connection.execute(GROUPS).fetchnumpy()
    return Events(
        users=column(table, "users", ABSENT, np.int32),
        items=column(table, "items", ABSENT, np.int32),
        kinds=column(table, "kinds", 0, np.uint8),
        times=times,
        days=days,
        queries=column(table, "queries", ABSENT, np.int32),
        quantities=column(table, "quantities", np.nan, np.float32),
        prices=column(table, "prices", np.nan, np.float32),
        baskets=column(table, "baskets", ABSENT, np.int32),
        user_ids=texts(people, "user"),
        groups=texts(people, "group"),
        query_texts=_names(connection, "SELECT query AS name FROM queries ORDER BY code"),
        basket_ids=_names(connection, "SELECT basket AS name FROM invoices ORDER BY code"),
    )


def _names(connection: Any, query: str) -> tuple[str, ...]:
    return texts(connection.execute(query).fetchnumpy(), "name")


def _catalogue(connection: Any) -> Catalogue:
    table = connection.execute(CATALOGUE).fetchnumpy()
    return Catalogue(
        ids=texts(table, "ids"),
        titles=texts(table, "titles"),
        brands=texts(table, "brands"),
        categories=texts(table, "categories"),
        prices=column(table, "prices", np.nan, np.float32),
    )


def _nothing_left(connection: Any, source: Source, dropped: Mapping[str, int]) -> DataError:
    counts = ", ".join(f"{number} {reason}" for reason, number in dropped.items()) or "0 rows"
    theirs = source.found.get("kind")
    hint = "fedguide data check FILE shows the rows and how to mend them"
    if dropped.get("unknown-kind"):
        seen = connection.execute(
            "SELECT DISTINCT present(kind) AS k FROM raw WHERE present(kind) IS NOT NULL "
            "ORDER BY k LIMIT 5"
        ).fetchall()
        values = ", ".join(str(row[0])[:20] for row in seen)
        hint = (
            f"column {theirs!r} holds {values}; known are {', '.join(KINDS)}; "
            "if it is something else: --column kind=-"
        )
    return DataError(f"{source.name}: no row can be used ({counts})", hint=hint)
