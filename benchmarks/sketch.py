"""Does a count sketch earn its place? One round's real updates, sent by each way in as few bytes.

Online Retail, six shops, the guide's own local fit from its first parameters; each way sends every
shop's update, and the error is that of the mean that comes out, of the true mean's length. Ways of
sums (what goes under masks): a common random choice, and a count sketch (Charikar, Chen and
Farach-Colton, "Finding Frequent Items in Data Streams", 2002) of three rows with signs, read by the
median, of all coordinates or of its largest only (Rothchild et al., "FetchSGD", 2020). Ways of
single updates: the largest coordinates, and low rank. No error feedback: what one round brings.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from fedguide.codec import encode
from fedguide.data.shops import load_shops
from fedguide.horizontal.thrift import Thrift, chosen_of, spread, squeeze
from fedguide.models.fit import first_params
from fedguide.models.plan import GuidePlan
from fedguide.privacy.sparsify import common
from fedguide.runtime.arms import fits_of
from fedguide.seeds import seeded_root
from report import data_folder, finish, parser, show

ROWS = 3


def sketch(vector: np.ndarray, cells: int, draws: np.random.Generator) -> Any:
    """The vector's count sketch, read again for every coordinate; linear in the vector."""
    read = []
    for _ in range(ROWS):
        place = draws.integers(0, cells // ROWS, len(vector))
        sign = draws.choice(np.float64([-1, 1]), len(vector))
        table = np.bincount(place, sign * vector, cells // ROWS)
        read.append(sign * table[place])
    return np.median(read, axis=0)


def only_largest(vector: np.ndarray, keep: int) -> np.ndarray:
    """The vector's largest coordinates, zeros elsewhere."""
    kept = np.zeros_like(vector)
    places = np.argpartition(-np.abs(vector), keep)[:keep]
    kept[places] = vector[places]
    return kept


def main() -> None:
    """One table."""
    made = parser(__doc__)
    made.add_argument("--size", type=int, default=128)
    args = made.parse_args()
    data = data_folder()
    if data is None:
        print("sketch needs the real data: set FEDGUIDE_DATA", file=sys.stderr)
        sys.exit(4)
    source = data / "online_retail" / "online_retail.parquet"
    shops = load_shops(source, format_name="online-retail", shops=6, spec="dirichlet:2", seed=0)
    plan = GuidePlan(size=args.size)
    first = first_params(plan, 1)
    fits = fits_of(shops, plan)
    changes = [fits[shop.name](first, None, 3).params - first for shop in shops]
    mean = np.mean(changes, axis=0, dtype=np.float64)
    size, rows = len(mean), []

    def tell(name: str, got: np.ndarray, sent_bytes: float) -> None:
        error = float(np.linalg.norm(got - mean) / np.linalg.norm(mean))
        cosine = float(got @ mean / np.linalg.norm(got) / np.linalg.norm(mean))
        rows.append((name, f"1/{4 * size / sent_bytes:.0f}", f"{error:.3f}", f"{cosine:.3f}"))

    def squeezed(name: str, how: Thrift) -> None:
        sent = [squeeze(change, how, None) for change in changes]
        got = np.mean([spread(one) for one in sent], axis=0, dtype=np.float64)
        tell(name, got, float(np.mean([len(encode(one)) for one in sent])))

    for share in (0.05, 0.1):
        cells = chosen_of(size, share)
        chosen = np.zeros(size)
        places = common(size, cells, seeded_root(0), 0)
        chosen[places] = mean[places]
        tell(f"random:{share}, 8 bits, unscaled", chosen, cells)
        tell(f"random:{share}, 8 bits, unbiased", chosen * size / cells, cells)
        read = sketch(mean, cells, np.random.default_rng(5))
        tell(f"sketch of {share}, 8 bits, all", read, cells)
        tell(f"sketch of {share}, 8 bits, its largest", only_largest(read, cells // 10), cells)
    for share in (0.05, 0.02):
        squeezed(f"top:{share}", Thrift(4, share))
    for rank in (4, 8, 16):
        squeezed(f"rank:{rank}", Thrift(8, rank=rank))
    heads = ("way", "bytes of float32", "error", "cosine")
    show(f"the mean of six updates of {size:,} numbers, one round", heads, rows)
    finish("sketch", [], {"rows": rows, "size": size}, args.json)


if __name__ == "__main__":
    main()
