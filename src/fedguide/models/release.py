"""A release: what serving loads, with numpy alone, and only if every byte is as it was signed.

A release is one folder::

    release.json         the manifest: format, signer, size and SHA-256 of every other file
    release.sig          Ed25519 signature of the manifest's bytes
    card.json  card.md   the model card: data period, shops, rounds, measurements, privacy
    features.json        which text features, which encoder, names and shapes of its arrays
    network.safetensors  the network
    shop.safetensors  catalogue.json  slates.json    the shop's own half
    aside.json  aside.safetensors    another network for one slate, in format 2 only

A release of one network is of format 1. One whose slates are scored by different networks is of
format 2, which is refused by name where only format 1 is known: half of it would be the wrong
model. Both networks are checked alike.

The network is shared and may leave; the shop's half (its items, its sales, its neighbours) stays
with the shop. Shoppers' histories are in neither: they are served from the shop's own store. The
signer is handed in, because this room knows no keys. Nothing is unpickled; sizes are limited
before a file is read, and what is parsed is the very file that was hashed.

Tensors stay in their file: they are mapped into memory, read-only, and the pages that serving
touches are shared by all its processes. So a release is replaced by another folder and never
written over: whoever can write into a folder that is being served is trusted not to.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from fedguide.errors import ConfigError, MalformedError, ReleaseError, SignatureError
from fedguide.models.card import Card, card_text
from fedguide.models.encoders import Network, encoder_named, item_vectors
from fedguide.models.scorer import SLATES, Aside, ShopModel, SlateWeights, served_by
from fedguide.models.tensors import tensors
from fedguide.models.text import TextSpec
from fedguide.values import Catalogue

ONE_NETWORK, TWO_NETWORKS = 1, 2
"""Versions of the folder's format; another one is refused."""

PURPOSE = "release/1"
"""What a release is signed for; pass it to ``crypto.signing`` with the manifest."""

MANIFEST, SIGNATURE = "release.json", "release.sig"
_FILES = (
    "card.json",
    "card.md",
    "catalogue.json",
    "features.json",
    "network.safetensors",
    "shop.safetensors",
    "slates.json",
)
_ASIDE = ("aside.json", "aside.safetensors")
_TENSORS = ("network.safetensors", "shop.safetensors", "aside.safetensors")
_LARGEST_BYTES = 4 << 30
_LARGEST_MANIFEST_BYTES = 1 << 16
_SPOT_CHECKED_ITEMS = 16
# What msgspec raises on bytes that are not the JSON asked for.
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

Verify = Callable[[str, bytes, bytes], None]
"""(public key, message, signature) → returns, or raises ``SignatureError``."""

T = TypeVar("T")


@dataclass(frozen=True)
class Signer:
    """Who signs: the public key others know, and what makes a signature of some bytes."""

    public: str
    sign: Callable[[bytes], bytes]


@dataclass(frozen=True)
class Release:
    """A loaded release: the model, its card, who signed it and the manifest's SHA-256."""

    model: ShopModel
    card: Card
    signer: str
    digest: str


@dataclass(frozen=True)
class _File:
    """One line of the manifest."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class _Manifest:
    """What is signed."""

    format: int
    signer: str
    files: Mapping[str, _File]


@dataclass(frozen=True)
class _Features:
    """``features.json``: what a network needs to be read."""

    text: TextSpec
    encoder: str
    events: int
    arrays: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class _Aside:
    """``aside.json``: the slate that another network scores, and what it needs to be read.

    ``neighbours`` says that it has some of its own; else they are the first network's.
    """

    slate: str
    neighbour_days: float
    neighbours: bool
    features: _Features


@dataclass(frozen=True)
class _Slates:
    """``slates.json``: the shop's weights."""

    last_day: int
    neighbour_days: float
    slates: Mapping[str, SlateWeights]


@dataclass(frozen=True)
class _Texts:
    """``catalogue.json``: the texts of the shop's items; prices are a tensor."""

    ids: tuple[str, ...]
    titles: tuple[str, ...]
    brands: tuple[str, ...]
    categories: tuple[str, ...]


def save_release(path: Path, model: ShopModel, card: Card, signer: Signer) -> str:
    """Writes and signs a release into a new folder; gives the manifest's SHA-256.

    The folder appears whole or not at all.

    Raises:
        ConfigError: ``path`` is already there.
        ReleaseError: the model's parts do not fit together.
    """
    if path.exists():
        raise ConfigError(
            f"{path} is already there and is not written over", hint="choose another folder"
        )
    _require_fit(model)
    half_done = path.with_name(f".{path.name}.{os.getpid()}")
    half_done.mkdir(parents=True)
    try:
        contents = _contents(model, card)
        version = ONE_NETWORK if model.aside is None else TWO_NETWORKS
        files = {}
        for name in _files_of(version):
            data = contents.pop(name)
            (half_done / name).write_bytes(data)
            files[name] = _File(hashlib.sha256(data).hexdigest(), len(data))
        manifest = msgspec.json.encode(_Manifest(version, signer.public, files))
        (half_done / MANIFEST).write_bytes(manifest)
        (half_done / SIGNATURE).write_bytes(signer.sign(manifest))
        half_done.rename(path)
    except BaseException:
        shutil.rmtree(half_done)
        raise
    return hashlib.sha256(manifest).hexdigest()


def load_release(path: Path, trusted: Collection[str], verify: Verify) -> Release:
    """Reads a release that one of the trusted keys signed.

    Args:
        path: the folder.
        trusted: public keys whose releases may be served.
        verify: checks a signature; see ``Verify``.

    Raises:
        ReleaseError: it is not a release, of another format version, a tensor is missing, extra,
            of another type or shape, or not finite, or its parts do not fit together.
        SignatureError: it is unsigned, signed by an unknown key, or any byte was changed.
    """
    raw = _read(path, MANIFEST, _LARGEST_MANIFEST_BYTES)
    manifest = _manifest(path, raw)
    if manifest.signer not in trusted:
        raise SignatureError(
            f"{path} is signed by {manifest.signer[:16]!r}…, which is none of the "
            f"{len(trusted)} trusted keys",
            hint="add the key to the trusted ones if you know its owner",
        )
    if not (path / SIGNATURE).is_file():
        raise SignatureError(f"{path} is not signed: {SIGNATURE} is missing")
    verify(manifest.signer, raw, _read(path, SIGNATURE, 1 << 10))
    _require_files(path, manifest)
    names = _files_of(manifest.format)
    maps = {name: _mapped(path, name, manifest.files[name]) for name in names if name in _TENSORS}
    texts = [name for name in names if name not in _TENSORS]
    data = {name: _hashed(path, name, manifest.files[name]) for name in texts}
    digest = hashlib.sha256(raw).hexdigest()
    card = _parsed(path, "card.json", data, Card)
    model = _model(path, data, maps)
    for mapped in maps.values():
        # The checks went through every page; what serving asks for comes back by itself.
        mapped.madvise(mmap.MADV_DONTNEED)
    return Release(model, card, manifest.signer, digest)


def _contents(model: ShopModel, card: Card) -> dict[str, bytes]:
    """The bytes of every signed file."""
    from safetensors.numpy import save

    catalogue = model.catalogue
    texts = _Texts(catalogue.ids, catalogue.titles, catalogue.brands, catalogue.categories)
    slates = _Slates(int(model.last_day), float(model.neighbour_days), model.slates)
    contents = {
        "card.json": _json(card),
        "card.md": card_text(card).encode(),
        "catalogue.json": _json(texts),
        "features.json": _json(_features(model.network)),
        "network.safetensors": save(_arrays(model.network)),
        "shop.safetensors": save(_shop_arrays(model)),
        "slates.json": _json(slates),
    }
    if model.aside is None:
        return contents
    described, arrays = _aside_of(model, model.aside)
    return contents | {"aside.json": _json(described), "aside.safetensors": save(arrays)}


def _arrays(network: Network) -> dict[str, NDArray[Any]]:
    return {name: np.ascontiguousarray(a, np.float32) for name, a in network.arrays.items()}


def _features(network: Network) -> _Features:
    shapes = {name: tuple(array.shape) for name, array in network.arrays.items()}
    return _Features(network.text, network.encoder, network.events, shapes)


def _aside_of(model: ShopModel, aside: Aside) -> tuple[_Aside, dict[str, NDArray[Any]]]:
    """What the files of the other network hold; neighbours only where they are its own."""
    arrays = {f"network.{name}": array for name, array in _arrays(aside.network).items()}
    arrays["item_vectors"] = np.ascontiguousarray(aside.item_vectors, np.float32)
    own = not (
        np.array_equal(aside.neighbours, model.neighbours)
        and np.array_equal(aside.neighbour_weights, model.neighbour_weights)
    )
    if own:
        arrays["neighbours"] = np.ascontiguousarray(aside.neighbours, np.int32)
        arrays["neighbour_weights"] = np.ascontiguousarray(aside.neighbour_weights, np.float32)
    days = float(aside.neighbour_days)
    return _Aside(aside.slate, days, own, _features(aside.network)), arrays


def _shop_arrays(model: ShopModel) -> dict[str, NDArray[Any]]:
    return {
        "item_vectors": np.ascontiguousarray(model.item_vectors, np.float32),
        "neighbours": np.ascontiguousarray(model.neighbours, np.int32),
        "neighbour_weights": np.ascontiguousarray(model.neighbour_weights, np.float32),
        "popularity": np.ascontiguousarray(model.popularity, np.float32),
        "recent_sales": np.ascontiguousarray(model.recent_sales, np.float32),
        "prices": np.ascontiguousarray(model.catalogue.prices, np.float32),
    }


def _json(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=1)


def _read(path: Path, name: str, limit_bytes: int) -> bytes:
    """A file's bytes, if it is a plain file and not too large."""
    return _plain(path, name, limit_bytes).read_bytes()


def _plain(path: Path, name: str, limit_bytes: int) -> Path:
    """A file's path, if it is a plain file and not too large."""
    file = path / name
    if file.is_symlink() or not file.is_file():
        raise ReleaseError(
            f"{path} is not a release: {name} is missing", hint="name the folder of a release"
        )
    size = file.stat().st_size
    if size > limit_bytes:
        raise ReleaseError(f"{file} has {size} bytes, at most {limit_bytes} are allowed")
    return file


def _manifest(path: Path, raw: bytes) -> _Manifest:
    try:
        found = msgspec.json.decode(raw, type=dict[str, Any])
        version = found.get("format")
        if version not in (ONE_NETWORK, TWO_NETWORKS):
            raise ReleaseError(
                f"{path} is of format {version!r}, this fedguide reads the formats "
                f"{ONE_NETWORK} and {TWO_NETWORKS}",
                hint="make the release again, or use the fedguide that made it",
            )
        return msgspec.json.decode(raw, type=_Manifest)
    except _UNREADABLE as error:
        raise ReleaseError(f"{path / MANIFEST} is not a manifest: {error}") from error


def _files_of(version: int) -> tuple[str, ...]:
    return _FILES if version == ONE_NETWORK else (*_FILES, *_ASIDE)


def _require_files(path: Path, manifest: _Manifest) -> None:
    there = {entry.name for entry in path.iterdir()} - {MANIFEST, SIGNATURE}
    files = set(_files_of(manifest.format))
    if set(manifest.files) != files:
        wrong = sorted(set(manifest.files) ^ files)
        raise ReleaseError(
            f"{path}: a manifest of format {manifest.format} misses or adds {', '.join(wrong)}"
        )
    if there != files:
        wrong = sorted(there ^ files)
        raise SignatureError(f"{path} misses or adds unsigned files: {', '.join(wrong)}")


def _hashed(path: Path, name: str, signed: _File) -> bytes:
    data = _read(path, name, min(signed.size_bytes, _LARGEST_BYTES))
    _require_signed(path / name, signed, len(data), hashlib.sha256(data).hexdigest())
    return data


def _mapped(path: Path, name: str, signed: _File) -> mmap.mmap:
    """A file mapped into memory once its bytes are known to be the signed ones."""
    with _plain(path, name, min(signed.size_bytes, _LARGEST_BYTES)).open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        _require_signed(path / name, signed, stream.tell(), digest)
        if not signed.size_bytes:
            raise ReleaseError(f"{path / name} is empty")
        return mmap.mmap(stream.fileno(), signed.size_bytes, access=mmap.ACCESS_READ)


def _require_signed(file: Path, signed: _File, size_bytes: int, sha256: str) -> None:
    if (size_bytes, sha256) != (signed.size_bytes, signed.sha256):
        raise SignatureError(
            f"{file} is not the file that was signed",
            hint="get the release again from its signer",
        )


def _parsed(path: Path, name: str, data: dict[str, bytes], kind: type[T]) -> T:
    try:
        return msgspec.json.decode(data.pop(name), type=kind)
    except (*_UNREADABLE, ConfigError) as error:
        raise ReleaseError(f"{path / name} cannot be read: {error}") from error


def _model(path: Path, data: dict[str, bytes], maps: Mapping[str, mmap.mmap]) -> ShopModel:
    features = _parsed(path, "features.json", data, _Features)
    slates = _parsed(path, "slates.json", data, _Slates)
    texts = _parsed(path, "catalogue.json", data, _Texts)
    network = Network(
        features.text,
        features.encoder,
        _tensors(path, "network.safetensors", maps, _float32(features.arrays)),
        features.events,
    )
    count = len(texts.ids)
    shop = _tensors(path, "shop.safetensors", maps, _shop_shapes(count))
    model = ShopModel(
        catalogue=Catalogue(
            texts.ids,
            texts.titles,
            _shared(texts.brands),
            _shared(texts.categories),
            shop["prices"],
        ),
        network=network,
        item_vectors=shop["item_vectors"],
        neighbours=shop["neighbours"],
        neighbour_weights=shop["neighbour_weights"],
        popularity=shop["popularity"],
        recent_sales=shop["recent_sales"],
        last_day=slates.last_day,
        slates=slates.slates,
        neighbour_days=slates.neighbour_days,
    )
    if "aside.json" in data:
        model = replace(model, aside=_aside(path, data, maps, model))
    _require_fit(model)
    return model


def _aside(
    path: Path, data: dict[str, bytes], maps: Mapping[str, mmap.mmap], model: ShopModel
) -> Aside:
    found = _parsed(path, "aside.json", data, _Aside)
    features = found.features
    names = ("item_vectors", *(("neighbours", "neighbour_weights") if found.neighbours else ()))
    shapes = {name: _shop_shapes(len(model.catalogue))[name] for name in names}
    shapes |= {f"network.{name}": shape for name, shape in _float32(features.arrays).items()}
    arrays = _tensors(path, "aside.safetensors", maps, shapes)
    network = {name: arrays[f"network.{name}"] for name in features.arrays}
    return Aside(
        found.slate,
        Network(features.text, features.encoder, network, features.events),
        arrays["item_vectors"],
        arrays.get("neighbours", model.neighbours),
        arrays.get("neighbour_weights", model.neighbour_weights),
        found.neighbour_days,
    )


def _shared(texts: tuple[str, ...]) -> tuple[str, ...]:
    """The same texts, equal ones being one object: a hundred thousand items have few brands."""
    known: dict[str, str] = {}
    return tuple(known.setdefault(text, text) for text in texts)


_Shape = tuple[str, tuple[int | None, ...]]


def _float32(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, _Shape]:
    return {name: ("float32", shape) for name, shape in shapes.items()}


def _shop_shapes(items: int) -> dict[str, _Shape]:
    """Type and shape of each tensor of the shop; ``None`` is free here and checked later."""
    return {
        "item_vectors": ("float32", (items, None)),
        "neighbours": ("int32", (items, None)),
        "neighbour_weights": ("float32", (items, None)),
        "popularity": ("float32", (items,)),
        "recent_sales": ("float32", (items,)),
        "prices": ("float32", (items,)),
    }


def _tensors(
    path: Path, name: str, maps: Mapping[str, mmap.mmap], expected: Mapping[str, _Shape]
) -> dict[str, NDArray[Any]]:
    """The tensors of one file, once each is known to be what its specification says."""
    try:
        arrays = tensors(memoryview(maps[name]))
    except MalformedError as error:
        raise ReleaseError(f"{path / name} is not a safetensors file: {error}") from error
    if set(arrays) != set(expected):
        wrong = sorted(set(arrays) ^ set(expected))
        raise ReleaseError(f"{path / name} misses or adds tensors: {', '.join(wrong)}")
    for tensor, (dtype, shape) in expected.items():
        array = arrays[tensor]
        fits = len(array.shape) == len(shape) and all(
            want is None or want == got for want, got in zip(shape, array.shape, strict=True)
        )
        if str(array.dtype) != dtype or not fits:
            raise ReleaseError(
                f"{path / name}: {tensor} must be {dtype} {shape}, got {array.dtype} {array.shape}"
            )
        if dtype == "float32" and tensor != "prices" and not np.isfinite(array).all():
            raise ReleaseError(f"{path / name}: {tensor} holds NaN or an infinity")
    return arrays


def _require_fit(model: ShopModel) -> None:
    """Raises ``ReleaseError`` unless the parts of a model belong together."""
    catalogue, count = model.catalogue, len(model.catalogue)
    columns = (catalogue.titles, catalogue.brands, catalogue.categories, catalogue.prices)
    if any(len(column) != count for column in columns):
        raise ReleaseError(f"the catalogue's columns must have {count} rows each")
    if len(set(catalogue.ids)) != count:
        raise ReleaseError("an item id stands twice in the catalogue")
    if set(model.slates) != set(SLATES):
        raise ReleaseError(f"slates must be {SLATES}, got {tuple(model.slates)}")
    if model.aside is not None and model.aside.slate not in SLATES:
        raise ReleaseError(f"the slate of another network must be one of {SLATES}")
    for slate in SLATES if model.aside else SLATES[:1]:
        _require_network(served_by(model, slate))
    weights = [value for slate in model.slates.values() for value in asdict(slate).values()]
    if not np.isfinite(weights).all():
        raise ReleaseError("slate weights must be finite")


def _require_network(model: ShopModel) -> None:
    """The same of one network, its item vectors and its neighbours."""
    catalogue, network, count = model.catalogue, model.network, len(model.catalogue)
    try:
        encoder_named(network.encoder)
        vectors = item_vectors(network, _first_items(catalogue, _SPOT_CHECKED_ITEMS))
    except (ConfigError, KeyError, ValueError, IndexError) as error:
        raise ReleaseError(f"the network cannot be used: {error}") from error
    if model.item_vectors.shape != (count, network.size) or not np.allclose(
        vectors, model.item_vectors[:_SPOT_CHECKED_ITEMS], rtol=1e-3, atol=1e-4
    ):
        raise ReleaseError("the item vectors are not this network's for this catalogue")
    shape = model.neighbours.shape
    if len(shape) != 2 or shape != model.neighbour_weights.shape or shape[0] != count:
        raise ReleaseError(
            f"neighbours {shape} and their weights {model.neighbour_weights.shape} must both be "
            f"({count}, k)"
        )
    if model.neighbours.size and not (
        model.neighbours.min() >= -1 and model.neighbours.max() < count
    ):
        raise ReleaseError(f"neighbours must lie in [-1, {count})")
    if not np.isfinite(model.neighbour_days) or model.neighbour_days <= 0:
        raise ReleaseError(f"neighbour_days must be above 0, got {model.neighbour_days}")


def _first_items(catalogue: Catalogue, count: int) -> Catalogue:
    return Catalogue(
        catalogue.ids[:count],
        catalogue.titles[:count],
        catalogue.brands[:count],
        catalogue.categories[:count],
        catalogue.prices[:count],
    )
