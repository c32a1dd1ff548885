"""Written data sets are read back to the same data."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedguide.data.columns import ColumnMap
from fedguide.data.importers import import_data
from fedguide.data.output import write_dataset, write_partners
from fedguide.data.partners import partners
from fedguide.data.synth import market
from fedguide.data.truth import MarketPlan
from fedguide.errors import ConfigError
from tests.data.made import dataset, differences

TOWN = market(MarketPlan(shops=2, shoppers=40, items=30, days=40, visits=6))


@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_a_market_comes_back_as_it_was(tmp_path: Path, file_format: str) -> None:
    for shop in TOWN.shops:
        write_dataset(shop, tmp_path / shop.name, file_format)
    back = import_data(tmp_path)
    assert [shop.name for shop in back] == ["shop1", "shop2"]
    for one, other in zip(TOWN.shops, back, strict=True):
        assert differences(one.events, other.events) == []
        assert differences(one.catalogue, other.catalogue) == []
        assert (other.synthetic, other.clocked, other.dropped) == (True, True, {})


def test_what_is_real_is_not_marked_synthetic(tmp_path: Path) -> None:
    write_dataset(dataset([("a", "tea", 1)]), tmp_path)
    assert not import_data(tmp_path)[0].synthetic


@settings(max_examples=10)
@given(
    titles=st.lists(st.text("a,\"'\n;茶 é", max_size=6), min_size=3, max_size=3),
    prices=st.lists(st.floats(2**-10, 2**20, width=32), min_size=3, max_size=3),
)
def test_any_title_and_price_come_back(
    tmp_path_factory: pytest.TempPathFactory, titles: list[str], prices: list[float]
) -> None:
    data = dataset([("a", "1", 1), ("b", "2", 2), ("b", "3", 3)], a="FR", b="中国")
    titles = [" ".join(title.split(" ")).strip() for title in titles]
    catalogue = replace(data.catalogue, titles=tuple(titles), prices=np.array(prices, np.float32))
    folder = tmp_path_factory.mktemp("any")
    write_dataset(replace(data, catalogue=catalogue), folder)
    (back,) = import_data(folder)
    assert differences(back.catalogue, catalogue) == []
    assert back.events.groups == ("FR", "中国")


def test_positions_come_back(tmp_path: Path) -> None:
    data = dataset([("a", "tea", 0), ("a", "cup", 1), ("b", "cup", 0)], clocked=False)
    write_dataset(data, tmp_path)
    (back,) = import_data(tmp_path, "csv", ColumnMap({"time": "-"}))
    assert differences(back.events, data.events) == []


@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_partner_tables_are_written(tmp_path: Path, file_format: str) -> None:
    tables = partners(TOWN)
    files = write_partners(tables, tmp_path, file_format)
    assert [file.name for file in files] == [
        *(f"{name}.{file_format}" for name in ("shop", "logistics", "payment")),
        "SYNTHETIC",
    ]
    if file_format == "csv":
        with files[1].open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["phone"] for row in rows] == list(tables.logistics.keys["phone"])
        assert [float(row["parcels"]) for row in rows] == tables.logistics.numbers[
            "parcels"
        ].tolist()
        assert "label" not in rows[0]


def test_unknown_file_formats_are_refused(tmp_path: Path) -> None:
    for write, what in ((write_dataset, TOWN.shops[0]), (write_partners, partners(TOWN))):
        with pytest.raises(ConfigError, match="got 'xlsx'"):
            write(what, tmp_path, "xlsx")
