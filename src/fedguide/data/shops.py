"""From files to shops ready for comparison: import, cut into shops, split in time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fedguide.data.columns import ColumnMap
from fedguide.data.contract import Dataset
from fedguide.data.importers import import_data
from fedguide.data.partition import partition
from fedguide.data.split import split
from fedguide.errors import ConfigError
from fedguide.values import ShopData


def cut(
    datasets: Sequence[Dataset], shops: int | None, spec: str, seed: int
) -> tuple[Dataset, ...]:
    """Shops of one or several data sets.

    Several data sets are shops already, and stay as they are; one is cut into ``shops`` by
    ``spec`` (see ``partition``), or is the only shop where ``shops`` is ``None`` or 1.

    Raises:
        ConfigError: several shops were to be cut into another number of shops.
        DataError: see ``partition``.
    """
    if len(datasets) > 1:
        if shops not in (None, len(datasets)):
            raise ConfigError(
                f"the source holds {len(datasets)} shops of its own and is not cut into {shops}",
                hint=f"leave --shops out, or say --shops {len(datasets)}",
            )
        return tuple(datasets)
    if shops in (None, 1):
        return tuple(datasets)
    return partition(datasets[0], spec, shops, seed)


def load_shops(
    path: Path,
    *,
    format_name: str = "auto",
    columns: ColumnMap | None = None,
    withhold: Sequence[str] = (),
    shops: int | None = None,
    spec: str = "dirichlet:2",
    seed: int = 0,
    train: float = 0.7,
    validation: float = 0.1,
) -> tuple[ShopData, ...]:
    """The shops in ``path``, each split into train, validation and test.

    Raises:
        NotFoundError, ConfigError, DataError: see ``import_data``, ``cut`` and ``split``.
    """
    datasets = import_data(path, format_name, columns, withhold)
    return split(cut(datasets, shops, spec, seed), train, validation)
