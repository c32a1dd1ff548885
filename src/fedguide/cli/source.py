"""Options that say which data a command reads, and how they are cut into shops."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedguide.errors import ConfigError

if TYPE_CHECKING:
    from fedguide.config import DataSettings, Settings
    from fedguide.data.columns import ColumnMap
    from fedguide.data.contract import Dataset

DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="File, folder or store (.duckdb); default: the synthetic market"),
]
FormatOption = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="auto, online-retail, amazon, movielens, csv, jsonl, parquet; default: auto",
    ),
]
ColumnOption = Annotated[
    list[str] | None,
    typer.Option("--column", help="Ours=theirs, for example user=CustomerID; repeatable"),
]
WithholdOption = Annotated[
    list[str] | None, typer.Option("--withhold", help="A column that is never read; repeatable")
]
ShopsOption = Annotated[
    int | None, typer.Option("--shops", help="How many shops to cut one data set into", min=1)
]
PartitionOption = Annotated[
    str, typer.Option("--partition", help="dirichlet:ALPHA, country or hash")
]
SeedOption = Annotated[
    int | None, typer.Option("--seed", help="Seed of the cut and of training", min=0)
]

STORE_SUFFIX = ".duckdb"


def columns(settings: DataSettings, pairs: Sequence[str] | None) -> ColumnMap:
    """The column map of the config file, with the command line's pairs on top.

    Raises:
        ConfigError: a pair is not ``ours=theirs``, or names a column that is not ours.
    """
    from fedguide.data.columns import column_map

    made = dict(settings.columns)
    for pair in pairs or ():
        ours, equals, theirs = pair.partition("=")
        if not (ours and equals and theirs):
            raise ConfigError(
                f"--column wants ours=theirs, got {pair!r}", hint="--column user=CustomerID"
            )
        made[ours.strip()] = theirs.strip()
    return column_map(made)


def read_kept(
    path: Path,
    format_name: str | None,
    settings: Settings,
    pairs: Sequence[str] | None = None,
    withhold: Sequence[str] | None = None,
) -> tuple[Dataset, ...]:
    """The data sets in a file, a folder or a store, without anybody who was erased.

    Raises:
        NotFoundError, ConfigError, DataError: see ``import_data``, ``Store`` and ``Register``.
    """
    from fedguide.cli.rights import rights_of
    from fedguide.data.cohort import cohort

    keeps = rights_of(settings).keeps
    read = _read(path, format_name, settings.data, pairs, withhold)
    return tuple(cohort(dataset, keeps) for dataset in read)


def read_cohort(
    path: Path,
    format_name: str | None,
    settings: Settings,
    pairs: Sequence[str] | None = None,
    withhold: Sequence[str] | None = None,
) -> tuple[Dataset, ...]:
    """The same for training: with those shoppers only who allow it.

    Raises:
        NotFoundError, ConfigError, DataError: as ``read_kept``.
    """
    return cohorts(settings, _read(path, format_name, settings.data, pairs, withhold))


def cohorts(settings: Settings, datasets: Sequence[Dataset]) -> tuple[Dataset, ...]:
    """The data sets with those shoppers only who allow that they are trained on.

    Raises:
        DataError: a data set has no such shopper, or the register cannot be read.
    """
    from fedguide.cli.rights import rights_of
    from fedguide.data.cohort import cohort

    allows = rights_of(settings).allows
    return tuple(cohort(dataset, allows) for dataset in datasets)


def _read(
    path: Path,
    format_name: str | None,
    settings: DataSettings,
    pairs: Sequence[str] | None,
    withhold: Sequence[str] | None,
) -> tuple[Dataset, ...]:
    if path.suffix == STORE_SUFFIX:
        from fedguide.data.store import read_store

        return (read_store(path),)
    from fedguide.data.importers import import_data

    kept_back = (*settings.withhold, *(withhold or ()))
    name = format_name or settings.format
    return import_data(path, name, columns(settings, pairs), kept_back)
