"""What a check finds in a table, and that an import then does just that."""

import string
from pathlib import Path

import pytest

from fedguide.data.assemble import REASONS
from fedguide.data.check import Report, check
from fedguide.data.columns import ColumnMap
from fedguide.data.findings import SHOWN_ROWS, TEXTS, Finding, render
from fedguide.data.importers import import_data
from fedguide.errors import ConfigError
from tests.data.made import real

NOW = 1_735_689_600  # 2025-01-01


def run(tmp_path: Path, text: str, **options: object) -> Report:
    path = tmp_path / "e.csv"
    path.write_text(text, "utf-8")
    (report,) = check(path, NOW, **options)
    for finding in report.findings:
        for lang in ("zh", "en"):
            words = render(finding, lang)
            assert words.message
            assert words.fix
    return report


def found(report: Report, code: str) -> Finding:
    matching = [finding for finding in report.findings if finding.code == code]
    assert len(matching) == 1, [finding.code for finding in report.findings]
    return matching[0]


def days(count: int) -> str:
    return "".join(f"u{d},i{d},buy,2024-01-{d:02},t\n" for d in range(1, count + 1))


HEAD = "user,item,kind,time,title\n"


def test_a_clean_table_has_no_findings(tmp_path: Path) -> None:
    report = run(tmp_path, HEAD + days(20))
    assert report.findings == ()
    assert report.ok
    assert (report.rows, report.usable) == (20, 20)
    assert report.columns == {name: name for name in ("user", "item", "kind", "time", "title")}


def test_rows_that_will_be_left_out_are_named_one_by_one(tmp_path: Path) -> None:
    bad = (
        ",i1,buy,2024-02-01,t\n"  # 21: no shopper
        "u1,,buy,2024-02-01,t\n"  # 22: no item
        "u1,i1,steal,2024-02-01,t\n"  # 23: unknown kind
        "u1,i1,buy,soon,t\n"  # 24: no time
        ",i2,buy,2024-02-01,t\n"  # 25: no shopper
    )
    report = run(tmp_path, HEAD + days(20) + bad)
    expected = {
        "no-shopper": ("user", (21, 25)),
        "no-item": ("item", (22,)),
        "unknown-kind": ("kind", (23,)),
        "bad-time": ("time", (24,)),
    }
    for code, (column, rows) in expected.items():
        finding = found(report, code)
        assert (finding.severity, finding.column, finding.rows) == ("warning", column, rows)
        assert finding.count == len(rows)
    assert "steal" in render(found(report, "unknown-kind")).message
    (data,) = import_data(tmp_path / "e.csv")
    assert len(data.events) == report.usable == 20
    assert data.dropped == {code: len(rows) for code, (_, rows) in expected.items()}


def test_only_the_first_rows_are_named_but_all_are_counted(tmp_path: Path) -> None:
    report = run(tmp_path, HEAD + days(20) + ",i,buy,2024-02-01,t\n" * 50)
    finding = found(report, "no-shopper")
    assert finding.count == 50
    assert finding.rows == tuple(range(21, 21 + SHOWN_ROWS))


def test_times_in_the_future_and_before_1990(tmp_path: Path) -> None:
    late = "u1,i1,buy,2031-01-01,t\nu1,i1,buy,1970-01-02,t\n"
    report = run(tmp_path, HEAD + days(20) + late)
    assert found(report, "future-time").rows == (21,)
    assert found(report, "ancient-time").rows == (22,)
    # Tomorrow may be a time zone; two days ahead are not.
    soon = "u1,i1,buy,2025-01-01 20:00,t\n"
    assert all(f.code != "future-time" for f in run(tmp_path, HEAD + days(20) + soon).findings)


def test_ambiguous_dates_are_an_error(tmp_path: Path) -> None:
    report = run(tmp_path, HEAD + "u,i,buy,01/02/2024,t\n")
    assert found(report, "ambiguous-time").severity == "error"
    assert not report.ok


def test_few_days_are_said(tmp_path: Path) -> None:
    assert found(run(tmp_path, HEAD + days(3)), "few-days").count == 3


def test_duplicates_numbers_and_missing_values(tmp_path: Path) -> None:
    head = "user,item,time,price,quantity,brand\n"
    rows = "".join(f"u{d},i,2024-01-{d:02},3,1,b\n" for d in range(1, 21))
    bad = "u1,i,2024-01-01,3,1,b\nu1,i,2024-02-01,cheap,1,\nu1,i,2024-02-02,,1,b\n"
    report = run(tmp_path, head + rows + bad)
    assert found(report, "duplicates").rows == (21,)
    assert (found(report, "bad-number").column, found(report, "bad-number").rows) == (
        "price",
        (22,),
    )
    missing = {f.column: f.rows for f in report.findings if f.code == "missing-values"}
    assert missing == {"brand": (22,), "price": (22, 23)}
    assert found(report, "no-title").count == 1


def test_personal_columns_are_found_by_name_and_by_cells(tmp_path: Path) -> None:
    head = "user,item,time,邮箱,note,query\n"
    rows = "".join(f"u{d},i,2024-01-{d:02},,13800000000,\n" for d in range(1, 21))
    asked = "u1,,2024-02-01,,,ring 13800000000\n" + "u1,,2024-02-02,,,mug\n" * 9
    report = run(tmp_path, head + rows + asked)
    kinds = {f.column: f.values["kind"] for f in report.findings if f.code == "personal-column"}
    assert kinds == {"邮箱": "email", "note": "phone"}
    assert report.withheld == ("邮箱", "note")
    assert found(report, "personal").rows == (21,)
    assert report.ok
    assert "13800000000" not in repr(report)
    (data,) = import_data(tmp_path / "e.csv")
    assert len(data.events) == report.usable


def test_a_personal_id_is_an_error(tmp_path: Path) -> None:
    text = "buyer,item,time\n" + "13800000000,i,2024-01-01\n" * 3
    report = run(tmp_path, text, columns=ColumnMap({"user": "buyer"}))
    assert found(report, "personal-id").column == "buyer"
    assert not report.ok
    assert report.usable == 0


def test_a_missing_column_names_the_nearest(tmp_path: Path) -> None:
    report = run(tmp_path, "usr_no,goods,when_bought\na,b,2024-01-01\n")
    fixes = [render(f).fix for f in report.findings if f.code == "no-column"]
    assert len(fixes) == 3
    assert fixes[0].startswith("--column user=usr_no")
    assert not report.ok


def test_no_purchase_and_no_rows_are_errors(tmp_path: Path) -> None:
    views = HEAD + days(20).replace("buy", "view")
    assert found(run(tmp_path, views), "no-purchase").severity == "error"
    assert found(run(tmp_path, HEAD), "no-rows").severity == "error"


def test_the_table_of_items_is_checked_too(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text("user,item,kind,time\n" + days(20).replace(",t\n", "\n"))
    (tmp_path / "items.csv").write_text("item,title\ni1,tea\ni1,Tea\ni2,\n")
    (report,) = check(tmp_path, NOW)
    assert found(report, "duplicate-items").rows == (2,)
    assert found(report, "no-title").count == 19


def test_a_column_to_withhold_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'tite'"):
        run(tmp_path, HEAD + days(20), withhold=("tite",))
    report = run(tmp_path, HEAD + days(20), withhold=("title",))
    assert report.withheld == ("title",)
    assert found(report, "no-title").count == 20


def test_the_texts_say_the_same_in_both_languages() -> None:
    def fields(text: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    for code, texts in TEXTS.items():
        assert set(texts) == {"zh", "en"}, code
        names = [fields("".join(texts[lang])) for lang in ("zh", "en")]
        assert names[0] == names[1], code
    assert set(REASONS) <= set(TEXTS)


def test_worst_findings_come_first(tmp_path: Path) -> None:
    head = "user,item,kind,time,email\n"
    report = run(tmp_path, head + "u1,i1,view,2024-01-01,\n" * 2)
    severities = [finding.severity for finding in report.findings]
    assert severities == sorted(severities, key=["error", "warning", "note"].index)
    assert severities[0] == "error"


def test_the_real_online_retail_is_ready_to_import() -> None:
    (report,) = check(real("online_retail", "online_retail.parquet"), NOW)
    assert report.ok
    assert (report.rows, report.usable) == (193_762, 188_463)
    assert {finding.severity for finding in report.findings} == {"note"}
