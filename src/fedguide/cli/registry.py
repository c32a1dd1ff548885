"""Which release of a shop is served: promoted, rolled back, and what was before.

HOME/models/SHOP.json   what was promoted, oldest first; the last one is served

A release lies where its run put it. What is promoted is loaded and checked first, so the pointer
never names a release that does not open.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fedguide.errors import ConfigError, DataError, FedGuideError, NotFoundError

if TYPE_CHECKING:
    from fedguide.config import Settings
    from fedguide.models.release import Release
    from fedguide.office.federation import ModelRow


@dataclass(frozen=True)
class Promotion:
    """One change of what is served."""

    version: str
    digest: str
    time_s: int
    by: str


def shop_folder(home: Path, shop: str, version: str) -> Path:
    """Where a run keeps a shop's release and store.

    Raises:
        NotFoundError: the run has no such shop.
    """
    folder = home / "runs" / version / "shops" / shop
    plain = all(name and "/" not in name and not name.startswith(".") for name in (shop, version))
    if not plain or not (folder / "release").is_dir():
        raise NotFoundError(
            f"run {version[:64]!r} has no release of shop {shop[:64]!r}", hint="fedguide model list"
        )
    return folder


def served_folders(settings: Settings, run: Path, *, pinned: bool) -> dict[str, Path]:
    """The folder of each shop of a run that is served; ``pinned`` to the run, or as promoted."""
    home, found = settings.home, {}
    for path in sorted((run / "shops").iterdir()):
        history = [] if pinned else promotions(home, path.name)
        found[path.name] = shop_folder(home, path.name, history[-1].version) if history else path
    return found


def promotions(home: Path, shop: str) -> list[Promotion]:
    """What was promoted and not rolled back, oldest first.

    Raises:
        DataError: the file is damaged.
    """
    path = home / "models" / f"{shop}.json"
    if not path.is_file():
        return []
    try:
        return [Promotion(**one) for one in json.loads(path.read_text("utf-8"))["promoted"]]
    except (ValueError, TypeError, KeyError):
        raise DataError(f"{path} is damaged", hint="delete it: the latest run is served") from None


def promote(settings: Settings, shop: str, version: str, by: str) -> Promotion:
    """Serves a release from now on; ``by`` says who wants it.

    Raises:
        NotFoundError: there is no such release.
        ReleaseError, SignatureError: it must not be loaded.
    """
    folder = shop_folder(settings.home, shop, version)
    release = loaded(settings, folder)
    made = Promotion(version, release.digest, int(time.time()), by)
    history = promotions(settings.home, shop)
    if not history or history[-1].version != version:
        _write(settings.home, shop, [*history, made])
    return made


def rollback(settings: Settings, shop: str) -> Promotion:
    """Serves what was promoted before.

    Raises:
        ConfigError: nothing was.
        ReleaseError, SignatureError: that must not be loaded.
    """
    history = promotions(settings.home, shop)
    if len(history) < 2:
        raise ConfigError(
            f"nothing of {shop[:64]!r} was promoted before: {len(history)} promotions",
            hint="fedguide model promote SHOP RUN",
        )
    loaded(settings, shop_folder(settings.home, shop, history[-2].version))
    _write(settings.home, shop, history[:-1])
    return history[-2]


def loaded(settings: Settings, folder: Path) -> Release:
    """The release in a shop's folder, every byte of it checked.

    Raises:
        ReleaseError, SignatureError: it must not be loaded.
    """
    from fedguide.cli.folders import trusted_keys
    from fedguide.crypto.signing import PublicKey, verify
    from fedguide.models.release import PURPOSE, load_release

    return load_release(
        folder / "release",
        trusted_keys(settings.home),
        lambda signer, message, signature: verify(PublicKey(signer), PURPOSE, message, signature),
    )


def rows(settings: Settings, only: str | None = None) -> list[ModelRow]:
    """Every release of every shop (or one shop's), newest first; each opened and checked."""
    return sorted(
        _rows(settings, only), key=lambda row: (row.shop, row.made, row.version), reverse=True
    )


def _rows(settings: Settings, only: str | None) -> Iterator[ModelRow]:
    from fedguide.cli.folders import run_folder
    from fedguide.office.federation import ModelRow

    home = settings.home
    try:
        latest = run_folder(home, None).name
    except NotFoundError:
        latest = ""
    for folder in sorted(home.glob("runs/*/shops/*")):
        shop, version = folder.name, folder.parents[1].name
        if only not in (None, shop) or version.startswith("."):
            continue
        history = promotions(home, shop)
        serving = version == (history[-1].version if history else latest)
        try:
            release = loaded(settings, folder)
        except FedGuideError as error:
            yield ModelRow(shop, version, "", "", 0, "", None, None, None, serving, str(error))
            continue
        card = release.card
        metric = next((one for one in card.metrics if one.setting == "discovery"), None)
        yield ModelRow(
            shop,
            version,
            release.digest,
            card.made,
            card.rounds,
            card.privacy,
            metric.value if metric else None,
            metric.low if metric else None,
            metric.high if metric else None,
            serving,
            "",
        )


def _write(home: Path, shop: str, history: list[Promotion]) -> None:
    path = home / "models" / f"{shop}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.{os.getpid()}")
    text = json.dumps({"promoted": [asdict(one) for one in history]}, ensure_ascii=False, indent=1)
    half.write_text(text, "utf-8")
    half.replace(path)
