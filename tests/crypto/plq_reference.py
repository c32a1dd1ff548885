"""The private linear query in Python's whole numbers: slow, and nothing but the specification.

It takes the public polynomials and every secret as plain numbers and does section 4 by hand, with
matrices written out entry by entry. The fast code must give the same bytes.
"""

from __future__ import annotations


def ring_row(a: list[int], j: int, q: int) -> list[int]:
    """Row j of the matrix with <row, s> = (a s)[j] in Z_q[X]/(X^N + 1)."""
    n = len(a)
    return [a[j - i] % q if j >= i else -a[n + j - i] % q for i in range(n)]


def inner(row: list[int], vector: list[int], q: int) -> int:
    return sum(x * y for x, y in zip(row, vector, strict=True)) % q


def product_row(u: list[int], v: list[int], q: int) -> list[int]:
    """u v in the ring."""
    return [inner(ring_row(u, j, q), v, q) for j in range(len(u))]


def public_row(public: list[list[int]], sample: int, q: int) -> list[int]:
    """A's row of a sample."""
    n = len(public[0])
    return ring_row(public[sample // n], sample % n, q)


def hint(matrix, public, p, blinds, errors, q):
    """a' as polynomials whose constant coefficient with s is <a'_r, s>; here as rows."""
    n = len(p)
    result = []
    for row, blind, error in zip(matrix, blinds, errors, strict=True):
        sums = [0] * n
        for sample, entry in enumerate(row):
            a = public_row(public, sample, q)
            sums = [(x + entry * y) % q for x, y in zip(sums, a, strict=True)]
        masked = ring_row(product_row(blind, p, q), 0, q)
        result.append([(x + y + e) % q for x, y, e in zip(sums, masked, error, strict=True)])
    return result


def question(values, public, p, secret, error, key_error, delta, q):
    """b and pk of one vector."""
    b = [
        (inner(public_row(public, j, q), secret, q) + error[j] + delta * m) % q
        for j, m in enumerate(values)
    ]
    pk = [(x + e) % q for x, e in zip(product_row(p, secret, q), key_error, strict=True)]
    return b, pk


def answer(matrix, blinds, b, pk, noise, q):
    """One number a row."""
    return [
        (inner(row, b, q) + product_row(blind, pk, q)[0] + extra) % q
        for row, blind, extra in zip(matrix, blinds, noise, strict=True)
    ]


def opened(hint_rows, secret, answers, delta, k, q):
    """The signed sums."""
    result = []
    for row, number in zip(hint_rows, answers, strict=True):
        rest = (number - inner(row, secret, q)) % q
        value = (rest + delta // 2) // delta % (1 << k)
        result.append(value - (1 << k) if value >> (k - 1) else value)
    return result
