"""Drawings: the head noun of a title decides, in both languages."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from fedguide.web.art import HUES, art_for, load_drawings, symbols

DRAWINGS = load_drawings()


@pytest.mark.parametrize(
    ("title", "category", "shape"),
    [
        ("REGENCY CAKESTAND 3 TIER", "", "cake"),
        ("JUMBO BAG RED RETROSPOT", "", "bag"),
        ("PARTY BUNTING", "", "bunting"),
        ("WHITE HANGING HEART T-LIGHT HOLDER", "", "candle"),
        ("ALARM CLOCK BAKELIKE RED", "", "clock"),
        ("防水越野跑鞋", "", "shoe"),
        ("陶瓷杯", "", "mug"),
        ("双肩背包", "", "backpack"),
        ("轻量陶瓷杯 Light ceramic mug", "", "mug"),
        ("Model 7", "Home/Lamps", "lamp"),
        ("燕麦片 浅灰 Oatmeal Light Grey", "", "bowl"),
        ("保温杯 家庭装 Thermos Cup Family Pack", "", "mug"),
        ("瑜伽垫 Yoga Mat", "", "ball"),
        ("床品四件套 Bedding Set", "", "cushion"),
        ("DOOR MAT UNION FLAG", "", "bunting"),
        ("PINK LIGHT", "", "lamp"),
        ("Model 7 light", "Home/Clocks", "clock"),
        ("", "厨房/茶", "teapot"),
    ],
)
def test_the_shape_is_what_the_title_names(title: str, category: str, shape: str) -> None:
    assert art_for(DRAWINGS, title, category).shape == shape


@pytest.mark.parametrize("title", ["", "Xyzzy 42", "Перчатки", "<script>"])
def test_anything_else_gets_a_plain_shape(title: str) -> None:
    art = art_for(DRAWINGS, title, "")
    assert art.shape in {"tag", "cube", "waves", "hexagon", "box"}
    assert 0 <= art.hue < HUES
    assert art_for(DRAWINGS, title, "") == art


def test_a_category_has_one_colour() -> None:
    assert len({art_for(DRAWINGS, title, "Home/Toys").hue for title in "abcdefgh"}) == 1
    assert len({art_for(DRAWINGS, title, "").hue for title in "abcdefgh"}) > 1


def test_every_drawing_is_sound_and_asks_for_nothing_outside() -> None:
    drawn = str(symbols(DRAWINGS, set(DRAWINGS.svg)))
    root = ET.fromstring(f"<svg>{drawn}</svg>")  # noqa: S314 - our own file
    assert {symbol.get("id") for symbol in root} == {f"art-{name}" for name in DRAWINGS.svg}
    assert "href" not in drawn
    assert "style" not in drawn
    for words in (DRAWINGS.words, DRAWINGS.weak):
        assert set(words.latin.values()) | set(words.han.values()) <= set(DRAWINGS.svg)
    for element in root.iter():
        assert element.get("class") in (None, "a", "b", "l")
