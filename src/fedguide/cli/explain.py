"""``fedguide explain``: what a way to aggregate hides, from whom, and what it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedguide.cli.output import JsonOption, LangOption, Output, begin

if TYPE_CHECKING:
    from fedguide.horizontal.threats import Explanation, Text


def explain(
    term: Annotated[
        str | None, typer.Argument(help="Name of an aggregator; without it all are listed")
    ] = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Explain an aggregator: who can learn what, who can change what."""
    from fedguide.horizontal.names import AGGREGATORS, ROBUST_RULES
    from fedguide.horizontal.rule_threats import ROBUST_THREATS
    from fedguide.horizontal.threats import KINDS, kind_of

    out = begin("explain", as_json=as_json, lang=lang)
    if term is None:
        kinds = {name: kind_of(name, ROBUST_RULES) for name in AGGREGATORS}
        listed = {name: KINDS[kind].gist for name, kind in kinds.items()}
        width = max(map(len, listed))
        lines = [f"{name:{width}}  {_said(out, gist)}" for name, gist in listed.items()]
        out.finish({"terms": {name: gist.en for name, gist in listed.items()}}, *lines)
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
