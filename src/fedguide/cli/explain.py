"""``fedguide explain``: what an aggregator hides, from whom, and what it does not; algorithms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedguide.cli.output import JsonOption, LangOption, Output, begin

if TYPE_CHECKING:
    from fedguide.horizontal.choice import Offer
    from fedguide.horizontal.threats import Explanation, Text


def explain(
    term: Annotated[
        str | None,
        typer.Argument(help="Name of an aggregator or an algorithm; without it all are listed"),
    ] = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Explain an aggregator (who can learn what, who can change what) or an algorithm."""
    from fedguide.guide.terms import MARKET_TERMS
    from fedguide.horizontal.choice import OFFERS
    from fedguide.horizontal.compression import COMPRESSIONS
    from fedguide.horizontal.names import AGGREGATORS, ROBUST_RULES
    from fedguide.horizontal.rule_threats import ROBUST_THREATS
    from fedguide.horizontal.threats import KINDS, kind_of
    from fedguide.vertical.terms import VERTICAL_TERMS

    out = begin("explain", as_json=as_json, lang=lang)
    if term is None:
        kinds = {name: kind_of(name, ROBUST_RULES) for name in AGGREGATORS}
        listed = {name: KINDS[kind].gist for name, kind in kinds.items()}
        listed |= {name: offer.gist for name, offer in OFFERS.items()}
        listed |= COMPRESSIONS
        width = max(map(len, listed))
        lines = [f"{name:{width}}  {_said(out, gist)}" for name, gist in listed.items()]
        out.finish({"terms": {name: gist.en for name, gist in listed.items()}}, *lines)
        return
    if term in COMPRESSIONS:
        gist = COMPRESSIONS[term]
        said = {"term": term, "kind": "compression", "gist": gist.en}
        out.finish(said, f"{term}: {_said(out, gist)}")
        return
    if term in OFFERS:
        out.finish(*_algorithm(out, term, OFFERS[term]))
        return
    if term in MARKET_TERMS:
        text = out.pick(*MARKET_TERMS[term])
        out.finish({"term": term, "kind": "market", "text": text}, text)
        return
    if term in VERTICAL_TERMS:
        text = out.pick(*VERTICAL_TERMS[term])
        out.finish({"term": term, "kind": "vertical", "text": text}, text)
        return
    kind = kind_of(term, ROBUST_RULES)
    data = {"term": term, "kind": kind, **_body(KINDS[kind])}
    lines = _shown(out, term, KINDS[kind])
    for row in ROBUST_THREATS:
        if row.aggregator == term:
            data["rule"] = {"changes": row.changes, "needs": row.needs}
            # Bounds of papers, in the papers' words in both languages.
            lines += [f"\n{row.changes}", out.pick("needs: ", "条件：") + row.needs]
    out.finish(data, *lines)


def _algorithm(out: Output, term: str, offer: Offer) -> tuple[dict[str, Any], str]:
    """An algorithm as JSON and as text."""
    from fedguide.horizontal.compatible import INCOMPATIBLE

    never = [other for pair in INCOMPATIBLE if term in pair for other in pair if other != term]
    data = {
        "term": term,
        "kind": "algorithm",
        "gist": offer.gist.en,
        "number": offer.number,
        "numbers_a_parameter": offer.vectors,
        "never_with": never,
    }
    lines = [
        f"{term}: {_said(out, offer.gist)}",
        out.pick("default NUMBER: ", "默认 NUMBER：") + f"{offer.number:g}",
        out.pick("numbers up for each parameter: ", "每个参数上传的数：") + str(offer.vectors),
    ]
    if never:
        lines.append(out.pick("does not go with: ", "不能搭配：") + ", ".join(never))
    lines.append(f"fedguide sim --algorithm {term}:{offer.number:g}")
    return data, "\n".join(lines)


def _body(explanation: Explanation) -> dict[str, Any]:
    """The explanation as JSON, in English."""
    return {
        "gist": explanation.gist.en,
        "threats": [
            {"actor": t.actor.en, "learns": t.learns.en, "changes": t.changes.en}
            for t in explanation.threats
        ],
    }


def _shown(out: Output, term: str, explanation: Explanation) -> list[str]:
    """The explanation as text: one actor after the other."""
    learns, changes = out.pick("can learn", "可获知"), out.pick("can change", "可改变")
    lines = [f"{term}: {_said(out, explanation.gist)}"]
    for threat in explanation.threats:
        lines.append(f"\n{_said(out, threat.actor)}")
        lines.append(f"  {learns}: {_said(out, threat.learns)}")
        lines.append(f"  {changes}: {_said(out, threat.changes)}")
    return lines


def _said(out: Output, text: Text) -> str:
    """The text in the language asked for."""
    return out.pick(text.en, text.zh)
