"""Where runs, releases, stores and keys lie under the home folder, and how they are opened.

HOME/keys/signing.pem          this machine's signing key (0600)
HOME/keys/trusted.txt          other public keys whose releases may be served, one a line
HOME/keys/shoppers.key         key of the register (0600)
HOME/stores.txt                stores that were imported to other places, one a line
HOME/shoppers.txt              what shoppers said about their data, by keyed hash
HOME/privacy/ledger.db, .mark  the party's budget ledger and its high-water mark
HOME/ledgers/NAME/SHOP.db      the ledgers of a simulated run's shops
HOME/runs/NAME/run.json        what was trained and measured
HOME/runs/NAME/shared.npy      the model all shops shared, before each went on by itself
HOME/runs/NAME/shops/SHOP/     release/ (signed) and store.duckdb (the shop's own events)
HOME/models/SHOP.json          which release of a shop was promoted
HOME/latest                    the name of the newest run
"""

from __future__ import annotations

import datetime
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedguide.errors import ConfigError, DataError, NotFoundError

if TYPE_CHECKING:
    from fedguide.config import Settings
    from fedguide.crypto.signing import SigningKey
    from fedguide.data.contract import Dataset
    from fedguide.guide.engine import Guide
    from fedguide.guide.histories import Histories
    from fedguide.models.card import Card
    from fedguide.models.scorer import ShopModel
    from fedguide.values import Vector

LATEST = "latest"
SHARED = "shared.npy"
LIVE_DAYS = 60
"""Data whose last day is younger than this are of today; older ones are asked as of their end."""


@dataclass(frozen=True)
class Trained:
    """One shop's outcome of a run: what to release and whose events to serve."""

    dataset: Dataset
    model: ShopModel
    card: Card


def signing_key(home: Path) -> SigningKey:
    """This machine's key, made on first use."""
    from fedguide.crypto.signing import load_key, make_key, save_key

    path = home / "keys" / "signing.pem"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        save_key(path, make_key())
    return load_key(path)


def trusted_keys(home: Path) -> set[str]:
    """Public keys whose releases may be served: our own and those in ``trusted.txt``."""
    listed = home / "keys" / "trusted.txt"
    lines = listed.read_text("utf-8").split() if listed.is_file() else []
    return {str(signing_key(home).public), *lines}


def save_run(
    home: Path,
    name: str,
    shops: Sequence[Trained],
    record: Mapping[str, Any],
    shared: Vector | None = None,
) -> Path:
    """Writes a run whole, or not at all, and makes it the latest.

    ``shared`` is the model all shops shared, which an audit of the run needs.

    Raises:
        ConfigError: a run of that name is there.
    """
    import numpy as np

    from fedguide.crypto.signing import sign
    from fedguide.data.store import write_store
    from fedguide.models.release import PURPOSE, Signer, save_release

    target = home / "runs" / name
    if target.exists():
        raise ConfigError(f"run {name!r} is already there", hint="--name another")
    key = signing_key(home)
    signer = Signer(key.public, lambda message: sign(key, PURPOSE, message))
    half_done = target.with_name(f".{name}.part")
    shutil.rmtree(half_done, ignore_errors=True)
    try:
        for shop in shops:
            folder = half_done / "shops" / shop.dataset.name
            folder.mkdir(parents=True)
            write_store(folder / "store.duckdb", shop.dataset)
            save_release(folder / "release", shop.model, shop.card, signer)
        if shared is not None:
            np.save(half_done / SHARED, shared, allow_pickle=False)
        text = json.dumps(record, ensure_ascii=False, indent=1, allow_nan=False)
        (half_done / "run.json").write_text(text, encoding="utf-8")
        half_done.rename(target)
    except BaseException:
        shutil.rmtree(half_done, ignore_errors=True)
        raise
    (home / LATEST).write_text(name, encoding="utf-8")
    return target


def run_folder(home: Path, name: str | None) -> Path:
    """The folder of a run; without a name, of the latest.

    Raises:
        NotFoundError: there is no such run, or none at all.
    """
    pointer = home / LATEST
    if name is None and pointer.is_file():
        name = pointer.read_text("utf-8").strip()
    folder = home / "runs" / name if name else None
    if folder is None or not (folder / "run.json").is_file():
        what = f"run {name!r}" if name else "a run"
        raise NotFoundError(f"{what} is not there under {home}", hint="fedguide demo, fedguide sim")
    return folder


def run_record(folder: Path) -> dict[str, Any]:
    """What a run wrote about itself.

    Raises:
        DataError: ``run.json`` is not JSON.
    """
    try:
        record: dict[str, Any] = json.loads((folder / "run.json").read_text("utf-8"))
    except json.JSONDecodeError as error:
        raise DataError(f"{folder / 'run.json'} is damaged: {error}") from error
    return record


def shared_model(folder: Path) -> Vector:
    """The model all shops of a run shared.

    Raises:
        NotFoundError: the run is of an earlier version and has none.
        DataError: the file is damaged.
    """
    import numpy as np

    path = folder / SHARED
    if not path.is_file():
        raise NotFoundError(f"run {folder.name!r} kept no shared model", hint="fedguide sim")
    try:
        params: Vector = np.load(path, allow_pickle=False)
    except ValueError as error:
        raise DataError(f"{path} is damaged: {error}") from error
    if params.ndim != 1 or params.dtype != np.float32:
        raise DataError(f"{path} must hold a float32 vector, got {params.dtype}{params.shape}")
    return params


def open_guides(
    settings: Settings, folder: Path, only: str | None = None, *, pinned: bool = True
) -> dict[str, Guide]:
    """The guides of a run's shops, by name; ``only`` one of them.

    Nobody who may not be profiled has a history in them, and an opt-out counts at once. With
    ``pinned`` off a shop is served from the release that was promoted, where one was.

    Raises:
        NotFoundError: no such shop.
        ReleaseError, SignatureError: a release must not be loaded.
    """
    from fedguide.cli.registry import served_folders

    places = served_folders(settings, folder, pinned=pinned)
    if only is not None and only not in places:
        known = ", ".join(places)
        raise NotFoundError(f"shop {only!r} is not in this run", hint=f"one of: {known}")
    wanted = places if only is None else {only: places[only]}
    return {name: open_shop(settings, name, place) for name, place in wanted.items()}


def open_shop(settings: Settings, name: str, place: Path) -> Guide:
    """The guide of the shop whose release and store lie in a folder.

    Raises:
        ReleaseError, SignatureError: the release must not be loaded.
    """
    from fedguide.cli.registry import loaded
    from fedguide.cli.rights import rights_of
    from fedguide.data.store import read_store
    from fedguide.guide.engine import open_guide
    from fedguide.guide.rules import Rules

    rights = rights_of(settings, lasting=True)
    release = loaded(settings, place)
    dataset = read_store(place / "store.duckdb")
    ids, today = release.model.catalogue.ids, day_of_question(dataset)
    histories = served_histories(dataset, ids, rights.allows)
    kept = settings.rules
    rules = Rules(kept.pinned, kept.buried, kept.out_of_stock, kept.category_caps, kept.relevance)
    return open_guide(
        release,
        histories,
        today,
        name,
        allows=rights.allows,
        rules=rules,
        new_share=kept.new_share,
    )


def served_histories(
    dataset: Dataset, served: Sequence[str], allows: Callable[[str], bool]
) -> Histories:
    """Allowed shoppers' histories in the rows of a release; items it does not know are left out."""
    import numpy as np

    from fedguide.data.baskets import baskets
    from fedguide.data.contract import restrict
    from fedguide.guide.histories import histories_from

    rows = {name: row for row, name in enumerate(served)}
    known = np.array([rows.get(name, -1) for name in dataset.catalogue.ids], np.int32)
    events = dataset.events
    may = np.array([allows(shopper) for shopper in events.user_ids], np.bool_)
    serves = (events.items < 0) | (known[events.items] >= 0)
    keep = np.flatnonzero(serves & may[events.users]).astype(np.int64)
    kept = restrict(dataset, keep, dataset.name)
    place = np.array([rows[name] for name in kept.catalogue.ids], np.int32)
    made = baskets(kept.events)
    items = np.where(made.items >= 0, place[made.items], made.items).astype(np.int32)
    return histories_from(replace(made, items=items))


def day_of_question(dataset: Dataset) -> Callable[[], int]:
    """The day recommendations are asked for, in the unit of the data's days.

    Live data are asked as of today; data that ended long ago as of the day after their end, or
    every event would have faded away; data without times as of the next position.
    """
    last = int(dataset.events.days.max())

    def today() -> int:
        now = (datetime.datetime.now(datetime.UTC).date() - datetime.date(1970, 1, 1)).days
        live = dataset.clocked and 0 <= now - last <= LIVE_DAYS
        return now if live else last + 1

    return today
