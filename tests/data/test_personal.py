"""What looks like personal data, and what only seems to at first sight."""

from collections.abc import Callable, Iterator

import pytest

from fedguide.data.personal import LEAST_SHARE, PATTERNS, kind_by_name, personal_columns
from fedguide.data.tables import engine

KindsOf = Callable[[str], set[str]]


@pytest.fixture(scope="module")
def kinds_of() -> Iterator[KindsOf]:
    with engine() as connection:

        def found(text: str) -> set[str]:
            query = "SELECT regexp_matches($1, $2)"
            return {
                kind
                for kind, pattern in PATTERNS.items()
                if connection.execute(query, [text, pattern]).fetchall()[0][0]
            }

        yield found


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("someone@example.invalid", "email"),
        ("write to a.b-c+d@mail.example.com please", "email"),
        ("13800000000", "phone"),
        ("+86 138 0000 0000", "phone"),
        ("电话：138-0000-0000", "phone"),
        ("010-66666666", "phone"),
        ("+44 20 7946 0000", "phone"),
        ("(212) 555-0100", "phone"),
        ("11010519900307002X", "id-card"),
        ("北京市朝阳区幸福路12号3单元", "address"),
        ("浙江省杭州市西湖区文一西路969号", "address"),
        ("12 Main Street", "address"),
        ("221B Baker Street, London", "address"),
    ],
)
def test_personal_data_are_recognised(text: str, kind: str, kinds_of: KindsOf) -> None:
    assert kind in kinds_of(text)


@pytest.mark.parametrize(
    "text",
    [
        "17850", "u-000123", "536365", "85123A", "2010-12-01 08:26:00", "2024/03/05", "1709629507",
        "1709629507000", "2.55", "防滑越野跑鞋", "北京烤鸭 500克",
        "WHITE HANGING HEART T-LIGHT HOLDER",
        "6937526504567", "3 WAY SPLITTER", "USB 3.0 to 2.0", "12 PENCILS SMALL TUBE", "市集帆布袋",
        "@home mug", "B004756YJA", "9781234567897", "SET OF 6 SOLDIER SKITTLES", "-3.5e-7",
        "HAND WARMER UNION JACK", "12 month calendar Street art",
    ],
)  # fmt: skip
def test_products_numbers_and_times_are_not_personal(text: str, kinds_of: KindsOf) -> None:
    assert kinds_of(text) == set()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("手机号", "phone"), ("Phone_Number", "phone"), ("E-Mail", "email"),
        ("收货地址", "address"),
        ("身份证号", "id-card"), ("收货人", "name"), ("customer_name", "name"),
        ("product_name", ""), ("item", ""), ("title", ""), ("CustomerID", ""),
    ],
)  # fmt: skip
def test_names_of_columns_speak(name: str, kind: str) -> None:
    assert kind_by_name(name) == kind


@pytest.mark.parametrize(("hits", "flagged"), [(0, False), (1, False), (2, True), (10, True)])
def test_a_column_is_personal_from_the_share_on(hits: int, flagged: bool) -> None:
    assert LEAST_SHARE == 0.2
    cells = [f"a{k}@example.invalid" if k < hits else f"cell {k}" for k in range(10)]
    with engine() as connection:
        connection.execute("CREATE TABLE t(note VARCHAR, other INTEGER)")
        connection.executemany("INSERT INTO t VALUES (?, 7)", [[cell] for cell in cells])
        found = personal_columns(connection.table("t"), ["note", "other"])
    assert found == ({"note": "email"} if flagged else {})


def test_a_number_column_can_hold_phones() -> None:
    with engine() as connection:
        connection.execute("CREATE TABLE t AS SELECT 13800000000 + range AS n FROM range(5)")
        assert personal_columns(connection.table("t"), ["n"]) == {"n": "phone"}
        assert personal_columns(connection.table("t"), []) == {}
