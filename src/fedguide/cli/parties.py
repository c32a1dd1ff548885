"""A shop and its partners in one process: aligned and trained by the real protocols.

Partners' tables are read here, so this is a simulation of what happens between companies: the
messages are the same, the lattice hides the same, only the network is missing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fedguide.errors import ConfigError, RefusedError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fedguide.data.partner_file import Columns as PartnerColumns
    from fedguide.runtime.propensity import Propensity
    from fedguide.values import PartyId
    from fedguide.vertical.features import Columns

SUMS_BUDGET = 1 << 20
"""Sums of bins that a partner's table answers over its life; some hundred trees."""


def partner_files(named: Sequence[str], key: str) -> dict[str, PartnerColumns]:
    """Partners' tables from ``NAME=FILE`` pairs.

    Raises:
        ConfigError: a pair is no such pair, or a name stands twice.
        NotFoundError, DataError: see ``read_partner``.
    """
    from fedguide.data.partner_file import read_partner

    found: dict[str, PartnerColumns] = {}
    for pair in named:
        name, equals, path = pair.partition("=")
        if not (name and equals and path) or name in found:
            raise ConfigError(
                f"--partner wants NAME=FILE, each name once, got {pair!r}",
                hint="--partner payment=payment.csv",
            )
        found[name] = read_partner(Path(path), key)
    return found


def aligned(
    keys: Sequence[str], partners: Mapping[str, PartnerColumns], kind: str, epoch: str
) -> dict[PartyId, NDArray[np.int64]]:
    """Each partner's row of every customer, by blind comparison of keys; -1 where it has none.

    Raises:
        RefusedError: too few are common.
        DataError: a partner's keys repeat.
    """
    from fedguide.errors import QuorumLostError
    from fedguide.protocol import run
    from fedguide.runtime.couriers import Party, in_process
    from fedguide.runtime.propensity import partner_rows
    from fedguide.seeds import fresh_root
    from fedguide.values import PartyId
    from fedguide.vertical import align
    from fedguide.vertical.keys import normalised, refuse_duplicates

    workers = os.cpu_count() or 1
    own = normalised(keys, kind)  # type: ignore[arg-type]  # checked by normalised itself
    contracts, parties = {}, {}
    for name, table in partners.items():
        theirs = normalised(table.keys, kind)  # type: ignore[arg-type]  # as above
        refuse_duplicates(theirs, name)
        contract = align.Contract(epoch, os.urandom(32), max(len(own), 1), len(theirs))
        tags = align.tag_table(theirs, contract, fresh_root(os.urandom), workers)
        env = align.PartnerEnv(contract, tags, fresh_root(os.urandom), lambda _: None, workers)
        contracts[PartyId(name)] = contract
        parties[PartyId(name)] = Party(env, align.answer, align.PartnerState)
    courier = in_process(parties, time.monotonic)
    try:
        found = run(align.align_all(own, contracts, fresh_root(os.urandom), workers), courier)
    except QuorumLostError as error:
        raise RefusedError(f"a partner refused to align: {error}") from error
    return partner_rows(len(own), found)


def trained(
    columns: Columns,
    labels: NDArray[np.float64],
    who: NDArray[np.bool_],
    partners: Mapping[str, PartnerColumns],
    rows: Mapping[PartyId, NDArray[np.int64]],
    seed: int,
) -> Propensity:
    """Both models of a shop, its partners answering under the lattice.

    Raises:
        DataError: see ``fit_propensity``.
        RefusedError: a partner refused.
    """
    from fedguide.errors import QuorumLostError
    from fedguide.protocol import run
    from fedguide.runtime.couriers import Party, in_process
    from fedguide.runtime.propensity import fit_propensity
    from fedguide.seeds import fresh_root
    from fedguide.values import PartyId
    from fedguide.vertical import sums
    from fedguide.vertical.features import codes_of, fit_spec

    parties = {}
    for name, table in partners.items():
        spec = fit_spec(table.cells)
        codes = codes_of(spec, table.cells)
        spend = sums.counted_budget(SUMS_BUDGET)
        env = sums.FeatureEnv(codes, spec.bins, fresh_root(os.urandom), spend)
        parties[PartyId(name)] = Party(env, sums.answer, sums.FeatureState)
    courier = in_process(parties, time.monotonic)
    try:
        fit = fit_propensity(columns, labels, who, rows, fresh_root(os.urandom), seed=seed)
        return run(fit, courier)
    except QuorumLostError as error:
        raise RefusedError(f"a partner refused to train: {error}") from error
