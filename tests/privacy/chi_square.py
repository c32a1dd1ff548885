"""Pearson's χ² of draws against a law by scipy, and of two samples; a false alarm is 1e-6."""

import math

import numpy as np
from scipy import stats

from fedguide.privacy.laws import DiscreteGaussian, DiscreteLaplace, Polya

FALSE_ALARM = 1e-6
BINS = 40


def reference(law):
    """The law as scipy's, which knows nothing of our tables: its ``ppf`` and its ``cdf``."""
    match law:
        case DiscreteLaplace():
            made = stats.dlaplace(1 / law.scale)
        case Polya():
            made = stats.nbinom(1 / law.divisor, -math.expm1(-1 / law.scale))
        case DiscreteGaussian() if law.sigma > 1000:
            # The normal law in cells of one unit: within 1/(24σ²) < 1e-7 of each probability.
            normal = stats.norm(0, law.sigma)
            return lambda q: np.rint(normal.ppf(q)), lambda k: normal.cdf(k + 0.5)
        case DiscreteGaussian():
            x = np.arange(-math.ceil(9 * law.sigma), math.ceil(9 * law.sigma) + 1)
            p = np.exp(-(x.astype(float) ** 2) / (2 * law.sigma**2))
            made = stats.rv_discrete(values=(x, p / p.sum()))
    return made.ppf, made.cdf


def p_value(draws, law):
    """Probability of a χ² as large as this if the draws have the law; at most 40 bins."""
    ppf, cdf = reference(law)
    edges = np.unique(ppf(np.arange(1, BINS) / BINS))
    expected = len(draws) * np.diff(np.concatenate([[0.0], cdf(edges), [1.0]]))
    found = binned(draws, edges)
    return stats.chi2.sf(((found - expected) ** 2 / expected).sum(), len(edges))


def two_sample_p_value(left, right):
    """Probability of a χ² as large as this if both samples have one law."""
    edges = np.unique(np.quantile(np.concatenate([left, right]), np.arange(1, BINS) / BINS))
    table = np.array([binned(left, edges), binned(right, edges)])
    return stats.chi2_contingency(table[:, table.sum(axis=0) > 0]).pvalue


def binned(draws, edges):
    """How many draws are in each bin; an edge belongs to the bin below it."""
    return np.bincount(np.searchsorted(edges, draws), minlength=len(edges) + 1)
