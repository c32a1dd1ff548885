"""From files to shops, and the recipe of the evaluation page on the real data."""

from pathlib import Path

import pytest

from fedguide.data.shops import cut, load_shops
from fedguide.errors import ConfigError
from tests.data.made import dataset, real


def test_one_data_set_without_a_cut_is_one_shop() -> None:
    data = dataset([("a", "tea", 1)])
    assert cut([data], None, "dirichlet:2", 0) == (data,)
    assert cut([data], 1, "dirichlet:2", 0) == (data,)


def test_real_shops_stay_as_they_are() -> None:
    shops = (dataset([("a", "tea", 1)], name="x"), dataset([("b", "tea", 1)], name="y"))
    assert cut(shops, None, "dirichlet:2", 0) == shops
    assert cut(shops, 2, "hash", 0) == shops
    with pytest.raises(ConfigError, match="2 shops of its own") as caught:
        cut(shops, 6, "hash", 0)
    assert "--shops 2" in caught.value.hint


def test_a_file_becomes_shops(tmp_path: Path) -> None:
    rows = [f"u{u},i{u % 3},2024-{m:02}-{u % 9 + 1:02}" for u in range(40) for m in range(1, 11)]
    (tmp_path / "e.csv").write_text("user,item,time\n" + "\n".join(rows), "utf-8")
    shops = load_shops(tmp_path / "e.csv", shops=2, spec="hash", seed=3)
    assert [shop.name for shop in shops] == ["shop1", "shop2"]
    assert sum(len(shop.train.shopper_ids) for shop in shops) == 40
    assert sum(len(shop.test) for shop in shops) == 40


def test_online_retail_gives_the_shops_of_the_evaluation_page() -> None:
    """EVALUATION section 1: sizes of the six shops, their test cases, and the cold shoppers."""
    shops = load_shops(
        real("online_retail", "online_retail.parquet"), shops=6, spec="dirichlet:2", seed=0
    )
    assert [len(shop.train.shopper_ids) for shop in shops] == [84, 239, 639, 575, 299, 684]
    assert [len(shop.test) for shop in shops] == [30, 82, 204, 166, 100, 229]
    assert sum(len(shop.test) + shop.cold for shop in shops) == 1_082
    sizes = [len(shop.catalogue) for shop in shops]
    assert (min(sizes), max(sizes)) == (1_779, 2_985)
