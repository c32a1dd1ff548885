"""How certain a share is: the score interval of a binomial proportion.

Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", 1927; it stays in
[0, 1] and says something where a group has no success at all, which the normal interval does not.
"""

from __future__ import annotations

import math
from statistics import NormalDist

from fedguide.errors import DataError
from fedguide.models.bootstrap import LEVEL, Interval

Z = NormalDist().inv_cdf((1 + LEVEL) / 2)
"""Standard deviations of a normal 95 % interval."""


def wilson(successes: float, count: int) -> Interval:
    """The share of successes with its 95 % interval; all NaN where nobody was asked.

    Raises:
        DataError: there are more successes than trials, or fewer than none.
    """
    if not 0 <= successes <= count:
        raise DataError(f"successes must be in [0, {count}], got {successes}")
    if count == 0:
        return Interval(math.nan, math.nan, math.nan)
    share = successes / count
    scale = 1 + Z**2 / count
    middle = (share + Z**2 / (2 * count)) / scale
    half = Z / scale * math.sqrt(share * (1 - share) / count + (Z / (2 * count)) ** 2)
    return Interval(share, max(0.0, middle - half), min(1.0, middle + half))
