"""What a check of a table found, in Chinese and English; each finding comes with a fix.

A finding names columns, rows and counts, never what is in a cell that may be personal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["error", "warning", "note"]
Language = Literal["zh", "en"]

SHOWN_ROWS = 20
"""A finding names this many rows; its count says how many there are."""


@dataclass(frozen=True)
class Finding:
    """One thing found.

    Attributes:
        code: stable name, a key of ``TEXTS``.
        severity: ``error`` (nothing can be imported), ``warning`` (rows or columns are left out, or
            look wrong), ``note`` (worth knowing).
        column: the source's name of the column, ``""`` where it is about none.
        count: how many rows, items or days.
        rows: numbers of the first rows, counted from 1 after the header.
        values: what the text needs, besides ``column`` and ``count``.
    """

    code: str
    severity: Severity
    column: str = ""
    count: int = 0
    rows: tuple[int, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Rendered:
    """A finding in words: what is so, and what to do."""

    message: str
    fix: str


TEXTS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "no-column": {
        "en": ("no column says {ours}; there are {present}",
               "--column {ours}={nearest}, or rename the column"),
        "zh": ("没有表示 {ours} 的列；现有列：{present}", "--column {ours}={nearest}，或改列名"),
    },
    "personal-column": {
        "en": ("column {column} looks like personal data ({kind}); it is withheld, never imported",
               "nothing to do; leave it out of the export if nothing else needs it"),
        "zh": ("列 {column} 疑似个人信息（{kind}），已屏蔽，绝不导入",
               "无需处理；若无他用，导出时去掉该列"),
    },
    "personal-id": {
        "en": ("column {column} looks like personal data ({kind}) and must not name a {what}",
               "export a number of your own instead and map it: --column {ours}=COLUMN"),
        "zh": ("列 {column} 疑似个人信息（{kind}），不能用作{what}编号",
               "请改为导出内部编号并映射：--column {ours}=列名"),
    },
    "personal": {
        "en": ("{count} searches hold what looks like personal data; these rows are left out",
               "nothing to do; mask such searches where they are logged"),
        "zh": ("{count} 条搜索疑似含个人信息，这些行不导入", "无需处理；建议在记录日志处打码"),
    },
    "no-shopper": {
        "en": ("{count} rows have no shopper and are left out",
               "fill column {column}, or accept that anonymous visits teach nothing"),
        "zh": ("{count} 行没有顾客编号，不导入", "补全列 {column}；匿名访问无法用于训练"),
    },
    "no-item": {
        "en": ("{count} rows have neither an item nor a search and are left out",
               "fill column {column}"),
        "zh": ("{count} 行既无商品也无搜索词，不导入", "补全列 {column}"),
    },
    "no-query": {
        "en": ("{count} searches have no text and are left out",
               "map the column of search texts: --column query=COLUMN"),
        "zh": ("{count} 条搜索没有文本，不导入", "映射搜索词列：--column query=列名"),
    },
    "unknown-kind": {
        "en": ("{count} rows are of an unknown kind ({seen}) and are left out",
               "use {known}; or --column kind=- if column {column} says something else"),
        "zh": ("{count} 行的行为类型未知（{seen}），不导入",
               "请用 {known}；若列 {column} 另有含义，用 --column kind=-"),
    },
    "bad-time": {
        "en": ("{count} rows have no readable time and are left out",
               "write column {column} as 2024-03-05 13:45, or say --column time_format=FORMAT"),
        "zh": ("{count} 行的时间无法识别，不导入",
               "列 {column} 请写成 2024-03-05 13:45，或指定 --column time_format=格式"),
    },
    "ambiguous-time": {
        "en": ("every date in column {column} can be read day first and month first",
               "--column time_format=%d/%m/%Y or --column time_format=%m/%d/%Y"),
        "zh": ("列 {column} 的日期无法区分“日/月”与“月/日”",
               "--column time_format=%d/%m/%Y 或 --column time_format=%m/%d/%Y"),
    },
    "future-time": {
        "en": ("{count} rows lie in the future",
               "check the time zone (--column timezone=Asia/Shanghai) and the clock of the source"),
        "zh": ("{count} 行的时间在未来", "检查时区（--column timezone=Asia/Shanghai）与来源时钟"),
    },
    "ancient-time": {
        "en": ("{count} rows lie before 1990",
               "is column {column} really a time? unix seconds and milliseconds are known"),
        "zh": ("{count} 行的时间早于 1990 年", "列 {column} 确为时间吗？支持 unix 秒与毫秒"),
    },
    "cancelled": {
        "en": ("{count} rows are cancellations and are left out", "nothing to do"),
        "zh": ("{count} 行为取消单，不导入", "无需处理"),
    },
    "not-a-product": {
        "en": ("{count} rows are postage, fees or vouchers and are left out", "nothing to do"),
        "zh": ("{count} 行为邮费、手续费或代金券，不导入", "无需处理"),
    },
    "not-positive": {
        "en": ("{count} rows have a quantity or price below what a sale has and are left out",
               "nothing to do if these are returns; otherwise mend quantity and price"),
        "zh": ("{count} 行的数量或价格不合销售常理，不导入", "若为退货则无需处理，否则请更正"),
    },
    "bad-number": {
        "en": ("{count} cells of column {column} are not numbers and count as missing",
               "write 12.50 without words; a currency sign is fine"),
        "zh": ("列 {column} 有 {count} 个单元格不是数字，按缺失处理", "请写成 12.50；可带货币符号"),
    },
    "missing-values": {
        "en": ("{count} rows have nothing in column {column}",
               "fill it if you can; an item without {ours} is harder to recommend"),
        "zh": ("列 {column} 有 {count} 行为空", "尽量补全；缺少 {ours} 的商品更难推荐"),
    },
    "duplicates": {
        "en": ("{count} rows repeat an earlier row",
               "nothing to do: a basket counts an item once; was a file exported twice?"),
        "zh": ("{count} 行与前面的行重复", "无需处理：同一购物篮中商品只计一次；是否重复导出？"),
    },
    "duplicate-items": {
        "en": ("{count} rows of the items repeat an item id; the most frequent text is used",
               "keep one row an item"),
        "zh": ("商品表有 {count} 行编号重复，取出现最多的文本", "每个商品只保留一行"),
    },
    "no-title": {
        "en": ("{count} items have no title: only behaviour can recommend them",
               "add a table of items, or map one: --column title=COLUMN"),
        "zh": ("{count} 个商品没有标题，只能靠行为推荐", "补充商品表，或映射：--column title=列名"),
    },
    "no-purchase": {
        "en": ("there is no purchase among the rows",
               "map what happened: --column kind=COLUMN, or --column default_kind=buy"),
        "zh": ("没有任何购买行为", "映射行为列：--column kind=列名，或 --column default_kind=buy"),
    },
    "few-days": {
        "en": ("the rows cover {count} days; a comparison over time needs about a hundred",
               "export a longer period"),
        "zh": ("数据只覆盖 {count} 天；按时间比较约需一百天", "请导出更长的时间段"),
    },
    "no-rows": {
        "en": ("no row can be imported", "mend the findings above"),
        "zh": ("没有可导入的行", "请先处理以上问题"),
    },
}  # fmt: skip
"""By code and language: the message and the fix."""


def render(finding: Finding, lang: Language = "en") -> Rendered:
    """The finding in the words of a language."""
    message, fix = TEXTS[finding.code][lang]
    known = {"column": finding.column, "count": f"{finding.count:,}", **finding.values}
    return Rendered(message.format(**known), fix.format(**known))
