"""The model card: what a release was made from, how well it did, and what left the shop.

Mitchell et al., "Model Cards for Model Reporting", 2019. Only facts of the run stand here; what
was not measured is absent, never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """One measured value with its interval.

    Attributes:
        name: for example ``NDCG@10``.
        setting: ``all`` items, or ``discovery``.
        value: mean over shoppers.
        low: lower end of the 95 % interval.
        high: upper end.
        cases: number of shoppers.
    """

    name: str
    setting: str
    value: float
    low: float
    high: float
    cases: int


@dataclass(frozen=True)
class Card:
    """The facts of one release.

    Attributes:
        shop: the shop it serves.
        made: when, ISO 8601.
        data_from: first day of the training rows, ISO date; empty for data without times.
        data_to: last day of the training rows.
        shops: every shop that trained, this one included.
        rounds: rounds of training; 0 when trained alone.
        bytes_sent: bytes this shop sent in all rounds; ``None`` when not recorded.
        synthetic: was the data generated?
        privacy: the guarantee of what left: ``dp: none`` when there is none.
        currency: ISO 4217 code of prices; empty when unknown.
        clocked: are days real dates (or only positions)?
        metrics: what was measured.
        chosen: which model the shop's gate kept: ``together`` or ``alone``; by slate where it
            kept another one for each.
    """

    shop: str
    made: str
    data_from: str
    data_to: str
    shops: tuple[str, ...]
    rounds: int
    bytes_sent: int | None
    synthetic: bool
    privacy: str = "dp: none"
    currency: str = ""
    clocked: bool = True
    metrics: tuple[Metric, ...] = ()
    chosen: str | Mapping[str, str] = "together"


def chosen_of(kept: Mapping[str, str]) -> str | Mapping[str, str]:
    """What a card says was chosen: one word where all slates kept the same."""
    words = set(kept.values())
    return words.pop() if len(words) == 1 else dict(kept)


def chosen_text(chosen: str | Mapping[str, str]) -> str:
    """What was chosen, in words."""
    if isinstance(chosen, str):
        return chosen
    return ", ".join(f"{model} for {slate}" for slate, model in chosen.items())


def card_text(card: Card) -> str:
    """The card as Markdown, for people."""
    period = f"{card.data_from} to {card.data_to}" if card.data_from else "without times"
    sent = "not recorded" if card.bytes_sent is None else f"{card.bytes_sent:,} bytes"
    lines = [
        f"# Model card: {card.shop}",
        "",
        f"- Made: {card.made}",
        f"- Training data: {period}; synthetic: {'yes' if card.synthetic else 'no'}",
        f"- Shops that trained: {len(card.shops)} ({', '.join(card.shops)})",
        f"- Rounds: {card.rounds}; this shop sent: {sent}; raw rows sent: 0",
        f"- Kept by the shop's gate: {chosen_text(card.chosen)}",
        f"- Privacy of what was sent: {card.privacy}",
        "",
    ]
    if card.metrics:
        lines += [
            "| metric | setting | value | 95 % interval | shoppers |",
            "|---|---|---|---|---|",
        ]
        lines += [
            f"| {m.name} | {m.setting} | {m.value:.4f} | {m.low:.4f} to {m.high:.4f} | {m.cases} |"
            for m in card.metrics
        ]
    else:
        lines.append("Nothing was measured.")
    return "\n".join(lines) + "\n"
