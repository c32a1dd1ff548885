"""A partner's table from a file: numbers, texts, gaps, and what is never read."""

from __future__ import annotations

import numpy as np
import pytest

from fedguide.data.partner_file import columns_of, parsed, read_partner
from fedguide.data.partners import lasting_partners, shopper_keys
from fedguide.data.synth import market
from fedguide.data.truth import MarketPlan
from fedguide.errors import ConfigError, DataError, NotFoundError


def test_a_file_becomes_numbers_and_texts(tmp_path):
    path = tmp_path / "bank.csv"
    path.write_text('user_id,income,"band, age",email\n17,1.5,young,a@b.cd\n18,,"",c@d.ef\n')
    made = read_partner(path, "user_id")
    assert made.keys == ("17", "18")
    assert set(made.cells) == {"income", "band, age"}
    assert made.withheld == ("email",)
    assert made.cells["income"][0] == 1.5
    assert np.isnan(made.cells["income"][1])
    assert made.cells["band, age"].tolist() == ["young", ""]


def test_one_word_makes_a_column_of_texts():
    assert parsed(["1", "two", None]).tolist() == ["1", "two", ""]
    assert parsed([None, ""]).tolist() == ["", ""]


def test_errors_say_what_to_do(tmp_path):
    path = tmp_path / "bank.csv"
    path.write_text("customer_id,phone\n1,+8613800000000\n")
    with pytest.raises(DataError, match="user_id") as found:
        read_partner(path, "user_id")
    assert found.value.hint == "--key customer_id"
    with pytest.raises(DataError, match="no column to learn from"):
        read_partner(path, "customer_id")
    with pytest.raises(NotFoundError):
        read_partner(tmp_path / "none.csv", "user_id")


def test_lasting_partners_know_traits_and_most_shoppers():
    town = market(MarketPlan(shops=1, shoppers=2000, items=20, days=40, seed=3))
    tables = lasting_partners(town)
    keys = shopper_keys(len(town.shops[0].events.user_ids))
    place = {key: row for row, key in enumerate(keys)}
    people = [int(name.rsplit("u", 1)[1]) for name in town.shops[0].events.user_ids]
    for name, trait, column in (
        ("logistics", town.truths[0].activity, "parcels"),
        ("payment", town.truths[0].levels, "log_spend"),
    ):
        made = columns_of(tables[name], "phone")
        known = [(row, place[key]) for row, key in enumerate(made.keys) if key in place]
        theirs, mine = map(np.array, zip(*known, strict=True))
        assert 0.75 < len(known) / len(keys) < 0.85
        truth = trait[np.array(people)[mine]]
        assert np.corrcoef(made.cells[column][theirs], truth)[0, 1] > 0.3
    with pytest.raises(ConfigError, match="shop"):
        lasting_partners(town, 1)
