"""Every format to the same contract; files are written by the tests."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from fedguide.data.columns import ColumnMap
from fedguide.data.importers import FORMATS, detect_format, import_data
from fedguide.data.tables import engine
from fedguide.errors import ConfigError, DataError, NotFoundError
from tests.data.made import differences, real, spelled

RETAIL = """InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
1,10001,MUG,2,2011-01-03 09:00:00,1.00,17850.0,United Kingdom
1,10001A,RED MUG,1,2011-01-03 09:00:00,3.00,17850.0,United Kingdom
2,10001,BLUE MUG,1,2011-01-04 10:00:00,2.00,17851.0,France
3,10001,MUG,1,2011-01-05 10:00:00,9.00,17851.0,France
C4,10001,MUG,-1,2011-01-06 10:00:00,1.00,17850.0,United Kingdom
5,POST,POSTAGE,1,2011-01-06 10:00:00,18.00,17850.0,United Kingdom
6,10001,MUG,1,2011-01-06 10:00:00,0.00,17850.0,United Kingdom
7,10001,MUG,-2,2011-01-06 10:00:00,1.00,17850.0,United Kingdom
8,10001,MUG,1,2011-01-06 10:00:00,1.00,,United Kingdom
"""
DAY = 14_977  # 2011-01-03


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def test_online_retail_keeps_what_its_rules_say(tmp_path: Path) -> None:
    (data,) = import_data(write(tmp_path / "retail.csv", RETAIL))
    s = 86_400
    assert spelled(data) == [
        ("17850", "10001", "buy", DAY * s + 9 * 3600, DAY, "United Kingdom"),
        ("17850", "10001A", "buy", DAY * s + 9 * 3600, DAY, "United Kingdom"),
        ("17851", "10001", "buy", (DAY + 1) * s + 10 * 3600, DAY + 1, "France"),
        ("17851", "10001", "buy", (DAY + 2) * s + 10 * 3600, DAY + 2, "France"),
    ]
    assert data.catalogue.titles == ("MUG", "RED MUG")  # the most frequent description
    assert data.catalogue.prices.tolist() == [2.0, 3.0]  # the median
    assert data.events.quantities.tolist() == [2, 1, 1, 1]
    assert data.dropped == {"cancelled": 1, "no-shopper": 1, "not-a-product": 1, "not-positive": 2}


def test_the_second_edition_of_online_retail_is_known(tmp_path: Path) -> None:
    head = "Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country"
    second = "\n".join([head, *RETAIL.splitlines()[1:]])
    (first,) = import_data(write(tmp_path / "one.csv", RETAIL))
    (other,) = import_data(write(tmp_path / "two.csv", second))
    assert differences(first.events, other.events) == []


def test_csv_json_lines_and_parquet_give_the_same(tmp_path: Path) -> None:
    rows = [
        dict(zip(("user_id", "item_id", "event", "ts", "q"), row, strict=True))
        for row in (
            ("u1", "7", "view", "2024-01-01T08:00:00Z", ""),
            ("u1", "7", "Purchase", "2024-01-01T08:05:00Z", ""),
            ("u0", "", "搜索", "2024-01-02T08:00:00Z", "跑鞋, 红"),
            ("u0", "8", "add_to_cart", "2024-01-02", ""),
        )
    ]
    lines = write(tmp_path / "a.jsonl", "\n".join(json.dumps(row) for row in rows))
    body = "\n".join(",".join(f'"{value}"' for value in row.values()) for row in rows)
    table = write(tmp_path / "a.csv", ",".join(rows[0]) + "\n" + body)
    with engine() as connection:
        relation = connection.read_csv(str(table), all_varchar=True, header=True)
        relation.write_parquet(str(tmp_path / "a.parquet"))
    columns = ColumnMap({"query": "q"})
    found = [
        import_data(tmp_path / f"a.{end}", "auto", columns)[0]
        for end in ("csv", "jsonl", "parquet")
    ]
    s, day = 86_400, 19_723
    assert spelled(found[0]) == [
        ("u0", "8", "cart", (day + 1) * s, day + 1, ""),
        ("u0", "跑鞋, 红", "search", (day + 1) * s + 8 * 3600, day + 1, ""),
        ("u1", "7", "view", day * s + 8 * 3600, day, ""),
        ("u1", "7", "buy", day * s + 8 * 3600 + 300, day, ""),
    ]
    assert lines.name == "a.jsonl"
    for other in found[1:]:
        assert differences(found[0].events, other.events) == []
        assert differences(found[0].catalogue, other.catalogue) == []


def test_a_table_of_items_names_the_items_even_unsold_ones(tmp_path: Path) -> None:
    write(tmp_path / "events.csv", "user,item,time,title\na,1,2024-01-01,from the event\n")
    write(
        tmp_path / "items.csv", "item,name,品牌,价格,category\n1,茶 Tea,禾间,¥12.50,a/b\n2,杯,,,\n"
    )
    (data,) = import_data(tmp_path)
    assert data.catalogue.ids == ("1", "2")
    assert data.catalogue.titles == ("茶 Tea", "杯")
    assert data.catalogue.brands == ("禾间", "")
    assert data.catalogue.categories == ("a/b", "")
    assert data.catalogue.prices[0] == 12.5
    assert np.isnan(data.catalogue.prices[1])
    assert data.name == tmp_path.name


def test_a_folder_of_folders_is_several_shops(tmp_path: Path) -> None:
    for shop in ("east", "west"):
        write(tmp_path / shop / "events.csv", f"user,item,time\n{shop},1,2024-01-01\n")
    assert [data.name for data in import_data(tmp_path)] == ["east", "west"]


def test_without_times_the_order_of_rows_counts(tmp_path: Path) -> None:
    path = write(tmp_path / "e.csv", "user,item\nb,2\na,9\nb,1\n")
    (data,) = import_data(path, "csv", ColumnMap({"time": "-"}))
    assert not data.clocked
    assert spelled(data) == [
        ("a", "9", "buy", 0, 0, ""),
        ("b", "2", "buy", 0, 0, ""),
        ("b", "1", "buy", 1, 1, ""),
    ]


def test_a_zone_moves_the_day_but_not_the_instant(tmp_path: Path) -> None:
    path = write(tmp_path / "e.csv", "user,item,time\na,1,2024-01-01 02:00\n")
    (data,) = import_data(path, "csv", ColumnMap(timezone="Asia/Shanghai"))
    assert data.events.times.tolist() == [19_723 * 86_400 - 6 * 3600]
    assert data.events.days.tolist() == [19_723]


def test_amazon_sequences_are_two_shops_in_order(tmp_path: Path) -> None:
    with engine() as connection:
        for name in ("Toys_and_Games", "Beauty"):
            rows = connection.query(
                'SELECT * FROM (VALUES (1, 1, 2), (1, 0, 3), (2, 0, 2)) AS t("user", pos, item)'
            )
            rows.write_parquet(str(tmp_path / f"{name}.seq.parquet"))
            items = connection.query(
                "SELECT * FROM (VALUES (2, 'B1', 'nail polish', [1, 2]), (3, 'B2', NULL, [1])) "
                "AS t(item, asin, keywords, attributes)"
            )
            items.write_parquet(str(tmp_path / f"{name}.items.parquet"))
    shops = import_data(tmp_path)
    assert [shop.name for shop in shops] == ["beauty", "toysandgames"]
    for shop in shops:
        assert [row[:2] for row in spelled(shop)] == [("1", "3"), ("1", "2"), ("2", "2")]
        assert shop.events.days.tolist() == [0, 1, 0]
        assert shop.catalogue.titles == ("nail polish", "")
        assert not shop.clocked
    (tmp_path / "Beauty.items.parquet").unlink()
    with pytest.raises(NotFoundError, match=r"needs Beauty\.items\.parquet"):
        import_data(tmp_path)


def test_every_edition_of_movielens(tmp_path: Path) -> None:
    recbole, classic, latest = tmp_path / "r", tmp_path / "c", tmp_path / "l"
    recbole.mkdir()
    with gzip.open(recbole / "ml.inter.gz", "wt") as file:
        file.write(
            "user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\t2\t3\t881250949\n"
        )
    write(
        recbole / "ml.item",
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
        '2\tThe "Best" Film\t1995\tDrama\n',
    )
    write(classic / "u.data", "1\t2\t3\t881250949\n")
    genres = "|".join("0" * 19)
    classic.joinpath("u.item").write_bytes(
        f"2|Café (1995)|01-Jan-1995||x|{genres}\n".encode("latin-1")
    )
    write(latest / "ratings.csv", "userId,movieId,rating,timestamp\n1,2,3.5,881250949\n")
    write(latest / "movies.csv", 'movieId,title,genres\n2,"Film, The (1995)",Drama|War\n')
    expected = [("1", "2", "buy", 881_250_949, 881_250_949 // 86_400, "")]
    titles = []
    for folder in (recbole, classic, latest):
        (data,) = import_data(folder)
        assert spelled(data) == expected
        assert np.isnan(data.events.prices).all()  # stars are no price
        titles.append((data.catalogue.titles[0], data.catalogue.categories[0]))
    assert titles == [
        ('The "Best" Film', "Drama"),
        ("Café (1995)", ""),
        ("Film, The (1995)", "Drama|War"),
    ]
    assert spelled(import_data(classic / "u.data")[0]) == expected


def test_personal_columns_are_withheld_and_never_read(tmp_path: Path) -> None:
    path = write(
        tmp_path / "e.csv",
        "user,item,time,手机号,query,email,country\n"
        "a,1,2024-01-01,13800000000,,x@example.invalid,UK\n"
        "a,,2024-01-02,13800000000,call 13800000000,x@example.invalid,UK\n"
        "a,,2024-01-03,13800000000,red shoes,x@example.invalid,UK\n"
        + "a,,2024-01-03,,blue shoes,,UK\n"
        * 5,
    )
    (data,) = import_data(path)
    assert data.withheld == ("手机号", "email")
    assert data.dropped == {"personal": 1}
    assert data.events.query_texts == ("blue shoes", "red shoes")


def test_a_mapped_column_that_looks_personal_is_withheld(tmp_path: Path) -> None:
    rows = "a,1,2024-01-01,12 Main Street\n" * 3
    path = write(tmp_path / "e.csv", "user,item,time,where\n" + rows)
    (data,) = import_data(path, "csv", ColumnMap({"group": "where"}))
    assert data.withheld == ("where",)
    assert data.events.groups == ("",)


@pytest.mark.parametrize("column", ["phone", "buyer"])
def test_a_shopper_must_not_be_named_by_a_phone_number(tmp_path: Path, column: str) -> None:
    path = write(tmp_path / "e.csv", f"{column},item,time\n13800000000,1,2024-01-01\n")
    with pytest.raises(DataError, match=r"looks like personal data \(phone\)") as caught:
        import_data(path, "csv", ColumnMap({"user": column}))
    assert "13800000000" not in str(caught.value) + caught.value.hint


def test_a_withheld_column_is_not_used(tmp_path: Path) -> None:
    path = write(tmp_path / "e.csv", "user,item,time,price\na,1,2024-01-01,3\n")
    (data,) = import_data(path, withhold=("price",))
    assert np.isnan(data.events.prices).all()
    assert data.withheld == ("price",)
    with pytest.raises(ConfigError, match="no column 'prize'"):
        import_data(path, withhold=("prize",))


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("usr_no,item,time\na,1,2024-01-01\n", "no column for user", "--column user=usr_no"),
        ("user,goods_nr,time\na,1,2024-01-01\n", "no column for item", "--column item=goods_nr"),
        ("user,item,when_bought\na,1,2024-01-01\n", "no column for time", "--column time=-"),
        ("user,item,time\n", "no row can be used .0 rows", "data check"),
        ("user,item,time\na,1,soon\n", "1 bad-time", "data check"),
        ("user,item,time,action\na,1,2024-01-01,3\n", "1 unknown-kind", "'action' holds 3"),
        ("user,item,time,price\na,1,2024-01-01,-1\n", "1 not-positive", "data check"),
        ("", "is empty", ""),
        ("user,item,time\na,1,2024-01-01\na,1,2024-01-01,x,y\n", "line 3: expected 3 columns", ""),
    ],
)
def test_bad_files_are_refused_with_a_hint(
    tmp_path: Path, text: str, message: str, hint: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        import_data(write(tmp_path / "e.csv", text))
    assert hint in caught.value.hint


def test_an_error_never_quotes_a_row(tmp_path: Path) -> None:
    path = tmp_path / "e.csv"
    path.write_bytes("user,item,time\n1,caf\xe9 13800000000,2024-01-01\n".encode("latin-1"))
    with pytest.raises(DataError, match="not UTF-8") as caught:
        import_data(path)
    assert "13800000000" not in str(caught.value) + caught.value.hint
    assert "iconv" in caught.value.hint
    bad = write(tmp_path / "e.jsonl", '{"user": "secret"}\nnot json secret\n')
    with pytest.raises(DataError, match="not readable as jsonl") as caught:
        import_data(bad)
    assert "secret" not in str(caught.value) + caught.value.hint
    not_parquet = write(tmp_path / "e.parquet", "secret")
    with pytest.raises(DataError, match="not readable as parquet"):
        import_data(not_parquet)


def test_a_time_beyond_all_calendars_is_a_bad_time(tmp_path: Path) -> None:
    times = ("-99999999999", "99999999999", "9999-12-31", "0001-01-01", "2024-01-01")
    rows = "".join(f"a,{k},{time}\n" for k, time in enumerate(times))
    (data,) = import_data(write(tmp_path / "e.csv", "user,item,time\n" + rows))
    assert data.dropped == {"bad-time": 4}


def test_a_json_array_is_read_as_well(tmp_path: Path) -> None:
    (data,) = import_data(
        write(tmp_path / "e.json", '[{"user": 1, "item": "x", "time": "2024-01-01"}]')
    )
    assert spelled(data) == [("1", "x", "buy", 19_723 * 86_400, 19_723, "")]


def test_unknown_formats_and_places_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "e.csv", "user,item,time\na,1,2024-01-01\n")
    with pytest.raises(ConfigError, match="got 'cvs'") as caught:
        import_data(path, "cvs")
    assert caught.value.hint == "--format csv"
    for place in (tmp_path / "none.csv", tmp_path / "none"):
        with pytest.raises(NotFoundError, match="no file or folder"):
            import_data(place)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="of no format known"):
        import_data(tmp_path / "empty")
    with pytest.raises(DataError, match=r"ends in \.pdf"):
        import_data(write(tmp_path / "e.pdf", "x"))
    with pytest.raises(NotFoundError, match="MovieLens"):
        import_data(tmp_path, "movielens")
    with pytest.raises(NotFoundError, match="events"):
        import_data(tmp_path, "csv")


def test_detection_goes_by_what_lies_there(tmp_path: Path) -> None:
    assert detect_format(write(tmp_path / "retail.csv", RETAIL)) == "online-retail"
    assert detect_format(write(tmp_path / "e.tsv", "user\titem\n")) == "csv"
    assert detect_format(write(tmp_path / "e.ndjson", '{"user": 1}\n')) == "jsonl"
    assert detect_format(write(tmp_path / "s" / "ratings.csv", "userId\n")) == "movielens"
    assert set(FORMATS) == {"online-retail", "amazon", "movielens", "csv", "jsonl", "parquet"}


def test_the_real_online_retail_has_the_rows_of_the_evaluation_page() -> None:
    (data,) = import_data(real("online_retail", "online_retail.parquet"))
    assert (len(data.events), len(data.events.user_ids), len(data.catalogue)) == (
        188_463,
        2_520,
        3_419,
    )
    assert data.dropped == {"cancelled": 4_438, "not-a-product": 845, "not-positive": 16}
    assert data.withheld == ()


def test_the_real_amazon_and_movielens_are_read() -> None:
    shops = import_data(real("amazon"))
    assert [(s.name, len(s.events), len(s.catalogue)) for s in shops] == [
        ("beauty", 198_502, 12_101),
        ("toysandgames", 167_597, 11_924),
    ]
    (films,) = import_data(real("ml-100k"))
    assert (len(films.events), len(films.events.user_ids)) == (100_000, 943)
    assert films.catalogue.titles[0] == "Toy Story"
