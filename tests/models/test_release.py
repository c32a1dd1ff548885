"""A release: everything comes back as it was; nothing that was changed is let in."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

from fedguide.crypto.signing import SigningKey, make_key
from fedguide.errors import ConfigError, ReleaseError, SignatureError
from fedguide.models.release import (
    MANIFEST,
    SIGNATURE,
    Release,
    load_release,
    save_release,
)
from fedguide.models.scorer import SLATES, ShopModel, slate_scores, with_aside
from tests.guide.sample import (
    LAST_DAY,
    a_card,
    a_history,
    a_model,
    signer_of,
    verifier,
)
from tests.guide.two import another

FILES = (
    MANIFEST,
    SIGNATURE,
    "card.json",
    "card.md",
    "catalogue.json",
    "features.json",
    "network.safetensors",
    "shop.safetensors",
    "slates.json",
)
ASIDE = ("aside.json", "aside.safetensors")


@pytest.fixture(scope="module")
def key() -> SigningKey:
    return make_key()


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory, key: SigningKey) -> Path:
    folder = tmp_path_factory.mktemp("pristine") / "release"
    save_release(folder, a_model(), a_card(), signer_of(key))
    return folder


@pytest.fixture
def folder(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "release"))


@pytest.fixture(scope="module")
def pristine_pair(tmp_path_factory: pytest.TempPathFactory, key: SigningKey) -> Path:
    folder = tmp_path_factory.mktemp("pair") / "release"
    save_release(folder, a_pair(), a_card(), signer_of(key))
    return folder


@pytest.fixture
def pair(pristine_pair: Path, tmp_path: Path) -> Path:
    """A release of two networks."""
    return Path(shutil.copytree(pristine_pair, tmp_path / "pair"))


def a_pair(aside: str = "discover") -> ShopModel:
    return with_aside(a_model(), aside, another(a_model()))


def opened(folder: Path, key: SigningKey) -> Release:
    return load_release(folder, {key.public}, verifier)


def sign_again(folder: Path, key: SigningKey, **changes: object) -> None:
    """What a signer with other ideas would publish: hashes and signature fit the files."""
    manifest = json.loads((folder / MANIFEST).read_bytes())
    for name in manifest["files"]:
        if (folder / name).exists():
            data = (folder / name).read_bytes()
            manifest["files"][name] = {
                "sha256": hashlib.sha256(data).hexdigest(),
                "size_bytes": len(data),
            }
    manifest |= {"signer": key.public, **changes}
    raw = json.dumps(manifest).encode()
    (folder / MANIFEST).write_bytes(raw)
    (folder / SIGNATURE).write_bytes(signer_of(key).sign(raw))


def test_everything_comes_back(pristine: Path, key: SigningKey) -> None:
    model, release = a_model(), opened(pristine, key)
    assert sorted(file.name for file in pristine.iterdir()) == sorted(FILES)
    assert release.card == a_card()
    assert release.signer == key.public
    assert release.digest == hashlib.sha256((pristine / MANIFEST).read_bytes()).hexdigest()
    for name in ("item_vectors", "neighbours", "neighbour_weights", "popularity", "recent_sales"):
        np.testing.assert_array_equal(getattr(release.model, name), getattr(model, name))
    assert release.model.catalogue.titles == model.catalogue.titles
    np.testing.assert_array_equal(release.model.catalogue.prices, model.catalogue.prices)
    assert release.model.slates == dict(model.slates)
    history = a_history(np.random.default_rng(3), len(model), 40)
    for slate in ("again", "discover"):
        np.testing.assert_array_equal(
            slate_scores(release.model, history, LAST_DAY, slate),
            slate_scores(model, history, LAST_DAY, slate),
        )


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("where", [0.0, 0.5, 1.0])
def test_one_changed_bit_in_any_file_is_refused(
    folder: Path, key: SigningKey, name: str, where: float
) -> None:
    data = bytearray((folder / name).read_bytes())
    data[round(where * (len(data) - 1))] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(ReleaseError):
        opened(folder, key)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_changed_bit_is_refused(
    pristine: Path, key: SigningKey, tmp_path: Path, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(FILES))
    before = (pristine / name).read_bytes()
    bit = data.draw(st.integers(0, 8 * len(before) - 1))
    changed = bytearray(before)
    changed[bit // 8] ^= 1 << bit % 8
    try:
        (pristine / name).write_bytes(changed)
        with pytest.raises(ReleaseError):
            opened(pristine, key)
    finally:
        (pristine / name).write_bytes(before)


@pytest.mark.parametrize("name", FILES[2:])
def test_a_longer_or_shorter_file_is_refused(folder: Path, key: SigningKey, name: str) -> None:
    before = (folder / name).read_bytes()
    for changed in (before + b" ", before[:-1]):
        (folder / name).write_bytes(changed)
        with pytest.raises(ReleaseError):
            opened(folder, key)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_refused(folder: Path, key: SigningKey, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ReleaseError):
        opened(folder, key)


def test_an_unsigned_release_says_so(folder: Path, key: SigningKey) -> None:
    (folder / SIGNATURE).unlink()
    with pytest.raises(SignatureError, match="not signed"):
        opened(folder, key)


def test_an_added_file_is_refused(folder: Path, key: SigningKey) -> None:
    (folder / "extra.bin").write_bytes(b"x")
    with pytest.raises(SignatureError, match=r"extra\.bin"):
        opened(folder, key)


def test_a_link_in_place_of_a_file_is_refused(
    folder: Path, key: SigningKey, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    (folder / "card.md").rename(outside)
    (folder / "card.md").symlink_to(outside)
    with pytest.raises(ReleaseError, match=r"card\.md"):
        opened(folder, key)


def test_an_unknown_signer_is_refused(folder: Path, key: SigningKey) -> None:
    stranger = make_key()
    sign_again(folder, stranger)
    with pytest.raises(SignatureError, match="none of the 1 trusted") as caught:
        opened(folder, key)
    assert caught.value.hint
    assert load_release(folder, {stranger.public}, verifier).signer == stranger.public


def test_a_stranger_cannot_sign_in_another_name(folder: Path, key: SigningKey) -> None:
    sign_again(folder, make_key(), signer=key.public)
    with pytest.raises(SignatureError):
        opened(folder, key)


@pytest.mark.parametrize("version", [0, 2, 3, "1", None])
def test_another_format_version_is_refused(folder: Path, key: SigningKey, version: object) -> None:
    sign_again(folder, key, format=version)
    with pytest.raises(ReleaseError, match="format"):
        opened(folder, key)


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b'{"format": 1}', b"\xff", b'{"\xe6": 1}', b"[" * 60_000]
)
def test_a_broken_manifest_is_refused(folder: Path, key: SigningKey, raw: bytes) -> None:
    (folder / MANIFEST).write_bytes(raw)
    with pytest.raises(ReleaseError):
        opened(folder, key)


Arrays = dict[str, np.ndarray]


def _drop(arrays: Arrays) -> None:
    arrays.pop(next(iter(arrays)))


def _add(arrays: Arrays) -> None:
    arrays["more"] = np.zeros(1, np.float32)


def _narrow(arrays: Arrays) -> None:
    name = next(name for name, array in arrays.items() if array.ndim == 2)
    arrays[name] = np.ascontiguousarray(arrays[name][:-1])


def _half(arrays: Arrays) -> None:
    name = next(name for name, array in arrays.items() if array.dtype == np.float32)
    arrays[name] = arrays[name].astype(np.float16)


def _nan(arrays: Arrays) -> None:
    name = next(name for name in arrays if arrays[name].dtype == np.float32 and name != "prices")
    arrays[name].flat[0] = np.nan


@pytest.mark.parametrize("file", ["network.safetensors", "shop.safetensors"])
@pytest.mark.parametrize("change", [_drop, _add, _narrow, _half, _nan])
def test_signed_but_wrong_tensors_are_refused(
    folder: Path, key: SigningKey, file: str, change: Callable[[Arrays], None]
) -> None:
    arrays = {name: array.copy() for name, array in load((folder / file).read_bytes()).items()}
    change(arrays)
    (folder / file).write_bytes(save(arrays))
    sign_again(folder, key)
    with pytest.raises(ReleaseError, match=file):
        opened(folder, key)


@pytest.mark.parametrize("value", [-2, 80])
def test_neighbours_outside_the_catalogue_are_refused(
    folder: Path, key: SigningKey, value: int
) -> None:
    arrays = {n: a.copy() for n, a in load((folder / "shop.safetensors").read_bytes()).items()}
    arrays["neighbours"][0, 0] = value
    (folder / "shop.safetensors").write_bytes(save(arrays))
    sign_again(folder, key)
    with pytest.raises(ReleaseError, match=r"neighbours must lie in \[-1, 80\)"):
        opened(folder, key)


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("features.json", '"bag"', '"oracle"'),
        ("features.json", '"buckets": 1024', '"buckets": 1'),
        ("slates.json", '"discover"', '"other"'),
        ("slates.json", '"neighbour_days": 120.0', '"neighbour_days": 0'),
        ("catalogue.json", '"sku-0001"', '"sku-0000"'),
    ],
)
def test_signed_but_senseless_settings_are_refused(
    folder: Path, key: SigningKey, file: str, before: str, after: str
) -> None:
    text = (folder / file).read_text()
    assert before in text
    (folder / file).write_text(text.replace(before, after))
    sign_again(folder, key)
    with pytest.raises(ReleaseError):
        opened(folder, key)


def test_a_network_of_another_catalogue_is_refused(tmp_path: Path, key: SigningKey) -> None:
    model = a_model()
    odd = dataclasses.replace(model, item_vectors=model.item_vectors[::-1].copy())
    with pytest.raises(ReleaseError, match="not this network's"):
        save_release(tmp_path / "release", odd, a_card(), signer_of(key))
    assert not list(tmp_path.iterdir())


def test_a_release_is_never_written_over(folder: Path, key: SigningKey) -> None:
    with pytest.raises(ConfigError, match="already there"):
        save_release(folder, a_model(), a_card(), signer_of(key))


def test_a_failing_signer_leaves_nothing(tmp_path: Path, key: SigningKey) -> None:
    def fail(message: bytes) -> bytes:
        raise SignatureError("no key")

    signer = dataclasses.replace(signer_of(key), sign=fail)
    with pytest.raises(SignatureError):
        save_release(tmp_path / "release", a_model(), a_card(), signer)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_no_release_is_refused(tmp_path: Path, key: SigningKey) -> None:
    with pytest.raises(ReleaseError, match="not a release"):
        opened(tmp_path, key)
    with pytest.raises(ReleaseError, match="not a release"):
        opened(tmp_path / "nowhere", key)


@pytest.mark.parametrize("model", [a_model(seed=4, copies=2), a_model(seed=5, events=10)])
def test_other_models_come_back(tmp_path: Path, key: SigningKey, model: ShopModel) -> None:
    save_release(tmp_path / "release", model, a_card(), signer_of(key))
    found = opened(tmp_path / "release", key).model
    assert found.network.events == model.network.events
    assert len(found) == len(model)


@pytest.mark.parametrize("aside", SLATES)
def test_two_networks_come_back(tmp_path: Path, key: SigningKey, aside: str) -> None:
    model, folder = a_pair(aside), tmp_path / "release"
    kept = {slate: "alone" if slate == aside else "together" for slate in SLATES}
    card = dataclasses.replace(a_card(), chosen=kept)
    save_release(folder, model, card, signer_of(key))
    assert opened(folder, key).card == card
    assert sorted(file.name for file in folder.iterdir()) == sorted((*FILES, *ASIDE))
    # Who knows format 1 alone refuses it by its number.
    assert json.loads((folder / MANIFEST).read_bytes())["format"] == 2
    found = opened(folder, key).model
    assert found.aside is not None
    assert found.aside.slate == aside
    assert found.slates == dict(model.slates)
    history = a_history(np.random.default_rng(3), len(model), 40)
    for slate in SLATES:
        np.testing.assert_array_equal(
            slate_scores(found, history, LAST_DAY, slate),
            slate_scores(model, history, LAST_DAY, slate),
        )


def test_the_first_network_is_written_as_without_another(pristine: Path, pair: Path) -> None:
    for name in ("network.safetensors", "features.json", "shop.safetensors", "catalogue.json"):
        assert (pair / name).read_bytes() == (pristine / name).read_bytes()
    assert json.loads((pristine / MANIFEST).read_bytes())["format"] == 1


def test_neighbours_of_both_are_written_once(tmp_path: Path, key: SigningKey) -> None:
    model, other = a_model(), another(a_model())
    alike = dataclasses.replace(
        other, neighbours=model.neighbours.copy(), neighbour_weights=model.neighbour_weights.copy()
    )
    save_release(tmp_path / "release", with_aside(model, "again", alike), a_card(), signer_of(key))
    arrays = load((tmp_path / "release" / "aside.safetensors").read_bytes())
    assert not {"neighbours", "neighbour_weights"} & set(arrays)
    found = opened(tmp_path / "release", key).model
    assert found.aside is not None
    assert found.aside.neighbours is found.neighbours


@pytest.mark.parametrize("name", [*FILES, *ASIDE])
@pytest.mark.parametrize("where", [0.0, 0.5, 1.0])
def test_one_changed_bit_in_a_release_of_two_is_refused(
    pair: Path, key: SigningKey, name: str, where: float
) -> None:
    data = bytearray((pair / name).read_bytes())
    data[round(where * (len(data) - 1))] ^= 1
    (pair / name).write_bytes(data)
    with pytest.raises(ReleaseError):
        opened(pair, key)


@pytest.mark.parametrize("name", ASIDE)
def test_half_of_a_release_of_two_is_refused(pair: Path, key: SigningKey, name: str) -> None:
    (pair / name).unlink()
    with pytest.raises(ReleaseError, match=name):
        opened(pair, key)


def test_the_files_are_those_of_the_format(pair: Path, folder: Path, key: SigningKey) -> None:
    sign_again(pair, key, format=1)
    with pytest.raises(ReleaseError, match=r"format 1 misses or adds aside\.json"):
        opened(pair, key)
    sign_again(folder, key, format=2)
    with pytest.raises(ReleaseError, match=r"format 2 misses or adds aside\.json"):
        opened(folder, key)


@pytest.mark.parametrize("change", [_drop, _add, _narrow, _half, _nan])
def test_signed_but_wrong_tensors_of_the_other_network_are_refused(
    pair: Path, key: SigningKey, change: Callable[[Arrays], None]
) -> None:
    file = pair / "aside.safetensors"
    arrays = {name: array.copy() for name, array in load(file.read_bytes()).items()}
    change(arrays)
    file.write_bytes(save(arrays))
    sign_again(pair, key)
    with pytest.raises(ReleaseError, match=r"aside\.safetensors"):
        opened(pair, key)


def _other_items(arrays: Arrays) -> None:
    arrays["item_vectors"] = arrays["item_vectors"][::-1].copy()


def _wider(arrays: Arrays) -> None:
    arrays["item_vectors"] = np.pad(arrays["item_vectors"], ((0, 0), (0, 1)))


def _too_far(arrays: Arrays) -> None:
    arrays["neighbours"][0, 0] = 80


def _too_low(arrays: Arrays) -> None:
    arrays["neighbours"][0, 0] = -2


def _unlike(arrays: Arrays) -> None:
    arrays["neighbour_weights"] = arrays["neighbour_weights"][:, :-1].copy()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_other_items, "not this network's"),
        (_wider, "not this network's"),
        (_too_far, "neighbours must lie in"),
        (_too_low, "neighbours must lie in"),
        (_unlike, "must both be"),
    ],
)
def test_the_other_network_is_checked_as_the_first(
    pair: Path, key: SigningKey, change: Callable[[Arrays], None], said: str
) -> None:
    file = pair / "aside.safetensors"
    arrays = {name: array.copy() for name, array in load(file.read_bytes()).items()}
    change(arrays)
    file.write_bytes(save(arrays))
    sign_again(pair, key)
    with pytest.raises(ReleaseError, match=said):
        opened(pair, key)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"discover"', '"both"'),
        ('"neighbour_days": 45.0', '"neighbour_days": 0'),
        ('"neighbours": true', '"neighbours": false'),
        ('"bag"', '"oracle"'),
        ('"buckets": 1024', '"buckets": 1'),
    ],
)
def test_senseless_settings_of_the_other_network_are_refused(
    pair: Path, key: SigningKey, before: str, after: str
) -> None:
    text = (pair / "aside.json").read_text()
    assert before in text
    (pair / "aside.json").write_text(text.replace(before, after))
    sign_again(pair, key)
    with pytest.raises(ReleaseError):
        opened(pair, key)


def test_another_network_that_is_not_of_the_catalogue_is_not_saved(
    tmp_path: Path, key: SigningKey
) -> None:
    model = a_pair()
    assert model.aside is not None
    odd = dataclasses.replace(model.aside, item_vectors=model.aside.item_vectors[::-1].copy())
    with pytest.raises(ReleaseError, match="not this network's"):
        save_release(
            tmp_path / "release",
            dataclasses.replace(model, aside=odd),
            a_card(),
            signer_of(key),
        )
    assert not list(tmp_path.iterdir())
