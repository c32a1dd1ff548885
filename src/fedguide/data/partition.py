"""Cuts one data set into shops that share no shopper, no item number and no item id.

Every shop gets its own catalogue (the items of its own events), numbered anew and with the shop's
name before each id, so that nothing but texts and behaviour can be shared between shops.
"""

from __future__ import annotations

import difflib
import hashlib
import unicodedata
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from fedguide.data.contract import Dataset, restrict
from fedguide.errors import ConfigError, DataError

PARTITIONS = ("dirichlet", "country", "hash")
"""``dirichlet:ALPHA`` (shares drawn at random), ``country`` (or another group), ``hash``."""

LEAST_SHOPPERS = 10
"""Fewest shoppers of a shop cut by ``dirichlet``, where there are enough of them.

Li, Diao, Chen and He, "Federated Learning on Non-IID Data Silos", ICDE 2022, draw their shares
again below the same number: a small ALPHA otherwise gives parties with nobody to judge on.
"""

MOST_DRAWS = 1000


def partition(dataset: Dataset, spec: str, shops: int, seed: int) -> tuple[Dataset, ...]:
    """Cuts ``dataset`` into ``shops`` shops as ``spec`` says; the same seed gives the same cut.

    * ``dirichlet:ALPHA``: the shoppers are shuffled and cut at shares drawn from a symmetric
      Dirichlet; shares are drawn again while a shop would have fewer than ``LEAST_SHOPPERS``
      (or half of an equal share, if that is less). ALPHA defaults to 1.
    * ``country``: the largest ``shops - 1`` groups of shoppers, and everybody else as ``rest``.
      One country may hold most shoppers; it is not cut further, since that would no longer be
      a cut by country.
    * ``hash``: a shopper's name and the seed decide, whoever else is in the file.

    Raises:
        ConfigError: unknown spec, ALPHA not above 0, or no such number of shops possible.
        DataError: a shop would be empty, or the data know no countries.
    """
    name, _, argument = spec.partition(":")
    people = len(dataset.events.user_ids)
    if not 1 <= shops <= people:
        raise ConfigError(
            f"shops must be in [1, {people}] (the number of shoppers), got {shops}",
            hint="--shops 6",
        )
    if seed < 0:
        raise ConfigError(f"seed must be 0 or more, got {seed}")
    if name not in PARTITIONS or (argument and name != "dirichlet"):
        near = difflib.get_close_matches(name, PARTITIONS, n=1, cutoff=0.5)
        raise ConfigError(
            f"partition must be dirichlet:ALPHA, country or hash, got {spec!r}",
            hint=f"--partition {near[0] if near else 'dirichlet:2'}",
        )
    if name == "country":
        owners, names = _by_group(dataset, shops)
    else:
        owners = (
            _by_dirichlet(people, shops, _alpha(argument), seed)
            if name == "dirichlet"
            else _by_hash(dataset.events.user_ids, shops, seed)
        )
        names = [f"shop{number + 1}" for number in range(shops)]
    return tuple(_shop(dataset, owners, number, name) for number, name in enumerate(names))


def _shop(dataset: Dataset, owners: NDArray[np.int64], number: int, name: str) -> Dataset:
    rows = np.flatnonzero(owners[dataset.events.users] == number)
    if rows.size == 0:
        raise DataError(
            f"{name} got no shopper",
            hint="cut into fewer shops, or use another --seed",
        )
    return restrict(dataset, rows, name, prefix=f"{name}-")


def _alpha(text: str) -> float:
    try:
        alpha = float(text or "1")
    except ValueError:
        alpha = float("nan")
    if not 0 < alpha < np.inf:
        raise ConfigError(
            f"ALPHA of dirichlet:ALPHA must be a number above 0, got {text!r}",
            hint="--partition dirichlet:2",
        )
    return alpha


def _by_dirichlet(people: int, shops: int, alpha: float, seed: int) -> NDArray[np.int64]:
    """The shop of each shopper; shape ``(people,)``."""
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(people)
    least = max(1, min(LEAST_SHOPPERS, people // (2 * shops)))
    for _ in range(MOST_DRAWS):
        shares = rng.dirichlet(np.full(shops, alpha))
        cuts = (np.cumsum(shares)[:-1] * people).astype(np.int64)
        sizes = np.diff(np.concatenate(([0], cuts, [people])))
        if sizes.min() >= least:
            owners = np.empty(people, np.int64)
            owners[shuffled] = np.repeat(np.arange(shops), sizes)
            return owners
    raise DataError(
        f"{MOST_DRAWS} draws of dirichlet:{alpha:g} gave no cut of {people} shoppers into {shops} "
        f"shops of at least {least}",
        hint="cut into fewer shops, or use a larger ALPHA",
    )


def _by_hash(user_ids: tuple[str, ...], shops: int, seed: int) -> NDArray[np.int64]:
    key = (seed % 2**128).to_bytes(16, "big")
    digests = (hashlib.blake2b(name.encode(), digest_size=8, key=key) for name in user_ids)
    return np.array([int.from_bytes(d.digest(), "big") % shops for d in digests], np.int64)


def _by_group(dataset: Dataset, shops: int) -> tuple[NDArray[np.int64], list[str]]:
    sizes = Counter(dataset.events.groups)
    if not any(sizes):
        raise DataError(
            f"{dataset.name} says of no shopper which country they are from",
            hint="--partition dirichlet:2, or map a column: --column group=THEIR_COLUMN",
        )
    if len(sizes) < shops:
        raise ConfigError(
            f"shops must be in [1, {len(sizes)}] (the number of countries), got {shops}",
            hint=f"--shops {len(sizes)}",
        )
    largest = sorted(sizes, key=lambda group: (-sizes[group], group))
    kept = largest if len(sizes) == shops else largest[: shops - 1]
    numbers = {group: number for number, group in enumerate(kept)}
    owners = np.array([numbers.get(group, len(kept)) for group in dataset.events.groups], np.int64)
    names = [_slug(group) for group in kept] + ["rest"] * (len(kept) < shops)
    return owners, [_unique(name, names[:number]) for number, name in enumerate(names)]


def _slug(group: str) -> str:
    """A group's name for ids and addresses: letters and digits of any script, and dashes."""
    text = unicodedata.normalize("NFKC", group).lower()
    return "-".join("".join(c if c.isalnum() else " " for c in text).split()) or "unknown"


def _unique(name: str, taken: list[str]) -> str:
    return name if name not in taken else f"{name}-{len(taken) + 1}"
