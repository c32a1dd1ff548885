"""The cohort of shoppers: those whose events may be used for something, and nobody else.

It is built anew for every training and every start of serving, so that an opt-out counts from the
next round on. The catalogue stays whole: it is the shop's, and says nothing about a shopper.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from fedguide.data.contract import ABSENT, Dataset, restrict
from fedguide.errors import DataError


def cohort(dataset: Dataset, allows: Callable[[str], bool]) -> Dataset:
    """The data set with the events, ids, texts and baskets of allowed shoppers only.

    Raises:
        DataError: nobody is left.
    """
    events = dataset.events
    allowed = np.array([allows(shopper) for shopper in events.user_ids], np.bool_)
    if allowed.all():
        return dataset
    rows = np.flatnonzero(allowed[events.users]).astype(np.int64)
    if not len(rows):
        raise DataError(
            f"{dataset.name}: none of its {len(allowed)} shoppers may be used",
            hint="fedguide shopper consent FILE, or [privacy] consent in fedguide.toml",
        )
    kept = restrict(dataset, rows, dataset.name)
    places = {item: place for place, item in enumerate(dataset.catalogue.ids)}
    # One place more: ABSENT is -1 and stays so.
    back = np.array([places[item] for item in kept.catalogue.ids] + [ABSENT], np.int32)
    return replace(
        kept,
        events=replace(kept.events, items=back[kept.events.items]),
        catalogue=dataset.catalogue,
        dropped=dataset.dropped,
    )
