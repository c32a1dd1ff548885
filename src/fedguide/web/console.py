"""What stands on each page of the console: rows of the office, as sentences, charts and forms."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from fedguide.errors import ConfigError, NotAuthorizedError, NotFoundError
from fedguide.office.desk import Desk
from fedguide.office.federation import ENDED, BudgetRow, Office, PartyRow, RunRow
from fedguide.web import view
from fedguide.web.charts import Bar, bar_chart, gauge, line_chart
from fedguide.web.content import Page, Visit
from fedguide.web.session import Session, require_own, session_of

ONLINE_S = 60.0
"""A party that asked for messages within so long is online."""

SECTIONS = (
    "overview",
    "parties",
    "runs",
    "models",
    "audiences",
    "ads",
    "privacy",
    "tasks",
    "audit",
)
_RECORDS, _RUNS = 50, 30


@dataclass(frozen=True)
class Inside:
    """A visit of somebody who is signed in."""

    visit: Visit
    desk: Desk
    office: Office
    session: Session

    def say(self, key: str, **values: object) -> str:
        """A text in the visit's language."""
        return self.visit.say(key, **values)


def login(visit: Visit, problem: str = "") -> Page:
    """The form that asks for a key."""
    status = 403 if problem else 200
    values = {"problem": problem, "section": "", "session": None}
    return Page("console_login.html", visit.say("console.login"), values, status=status)


def inside(visit: Visit) -> Inside | None:
    """The visit of whoever is signed in; ``None`` where nobody is.

    Raises:
        NotFoundError: this server has no console.
    """
    desk = visit.site.desk
    if desk is None or desk.office is None:
        raise NotFoundError(visit.request.url.path[:64])
    session = session_of(desk, visit.request)
    return None if session is None else Inside(visit, desk, desk.office, session)


def overview(here: Inside) -> Page:
    """The figures of today: parties, the latest run, the budget, what serves."""
    parties, runs, budgets = here.office.parties(), here.office.runs(), here.office.budgets()
    now = here.desk.clock()
    online = [one for one in parties if _is_online(one, now)]
    latest = here.office.run(runs[0].run) if runs else None
    waiting = [task for task in here.office.tasks() if task.decision == "waiting"]
    serving = [model for model in here.office.models() if model.serving]
    worst = max(budgets, key=_share, default=None)
    values = {
        "tiles": [
            (here.say("console.parties_online"), f"{len(online)} / {len(parties)}", "parties"),
            (here.say("console.runs"), str(len(runs)), "runs"),
            (here.say("console.budget"), _budget(worst), "privacy"),
            (here.say("console.waiting"), str(len(waiting)), "tasks"),
            (here.say("console.serving"), str(len(serving)), "models"),
        ],
        "latest": latest and _run(here, latest),
        "parties": [_party(here, one, now) for one in parties],
        "budgets": [_standing(here, one) for one in budgets],
    }
    return page_of(here, "overview", "console_overview.html", values)


def parties(here: Inside) -> Page:
    """Who is enrolled, who is online."""
    now = here.desk.clock()
    values = {"parties": [_party(here, one, now) for one in here.office.parties()]}
    return page_of(here, "parties", "console_parties.html", values)


def runs(here: Inside) -> Page:
    """Every run."""
    values = {"runs": [_run(here, one) for one in here.office.runs()[:_RUNS]]}
    return page_of(here, "runs", "console_runs.html", values)


def run(here: Inside) -> Page:
    """One run: its rounds, and what was measured."""
    found = here.office.run(here.visit.request.path_params["run"])
    values = {
        "run": _run(here, found),
        "live": found.status not in ENDED,
        "stream": f"/console/runs/{quote(found.run, safe='')}/stream",
        "rounds": [
            {
                "round": one.round,
                "loss": "–" if one.loss is None else f"{one.loss:.4f}",
                "score": "–" if one.score is None else f"{one.score:.4f}",
                "parties": one.parties,
                "missing": one.missing,
                "examples": f"{one.examples:,}",
                "seconds": f"{one.seconds:.1f}",
                "bytes": view.size_of(one.bytes_up),
                "undone": one.undone,
            }
            for one in found.rounds[::-1]
        ],
    }
    return page_of(here, "runs", "console_run.html", values, title=found.run)


def models(here: Inside) -> Page:
    """Every release, which serves, and what to promote."""
    values = {
        "models": [
            {
                "row": one,
                "made": one.made[:16].replace("T", " "),
                "figure": _interval(one.ndcg10, one.low, one.high),
                "privacy": here.say("console.no_bound")
                if one.privacy == "dp: none"
                else one.privacy or "–",
            }
            for one in here.office.models()
        ],
    }
    return page_of(here, "models", "console_models.html", values)


def privacy(here: Inside) -> Page:
    """Budgets with their forecast, the ledger, and whether it holds."""
    asked = here.visit.request.query_params.get("verify") == "1"
    values = {
        "budgets": [_standing(here, one) for one in here.office.budgets()],
        "records": [
            {"row": one, "time": _time(one.time_s), "kind": here.say(f"ledger.{one.kind}")}
            for one in here.office.records(_RECORDS)
        ],
        "verdicts": here.office.verify() if asked else None,
    }
    return page_of(here, "privacy", "console_privacy.html", values)


def tasks(here: Inside) -> Page:
    """What was proposed to this shop, to approve or to refuse."""
    return page_of(here, "tasks", "console_tasks.html", {"tasks": here.office.tasks()[::-1]})


def audit(here: Inside, evidence: bytes | None = None) -> Page:
    """Evidence to take along, and a check of somebody's."""
    values = {
        "ledgers": sorted({one.party for one in here.office.budgets()}),
        "verdict": None if evidence is None else here.office.audit(evidence),
        "sent": (evidence or b"").decode("utf-8", "replace")[:20_000],
    }
    return page_of(here, "audit", "console_audit.html", values)


def act(here: Inside, what: str, form: Mapping[str, str]) -> str:
    """Does what a form asks for; gives the address to go on to.

    Raises:
        NotAuthorizedError, RoleError: the form is not our own, or its sender only looks.
        ConfigError: it asks for something that is not there.
    """
    require_own(here.session, form.get("token", ""))
    by = here.session.holder.name
    match what, form.get("do", ""):
        case "tasks", ("approve" | "refuse") as decision:
            reason = form.get("reason", "").strip()[:500]
            here.office.decide(form.get("task", ""), approve=decision == "approve", reason=reason)
        case "models", "promote":
            here.office.promote(form.get("shop", ""), form.get("version", ""), by)
        case "models", "rollback":
            here.office.rollback(form.get("shop", ""), by)
        case _, other:
            raise ConfigError(f"there is nothing to do called {other[:32]!r}")
    return f"/console/{what}"


PAGES: Mapping[str, Callable[[Inside], Page]] = {
    "/console": overview,
    "/console/parties": parties,
    "/console/runs": runs,
    "/console/runs/{run}": run,
    "/console/models": models,
    "/console/privacy": privacy,
    "/console/tasks": tasks,
    "/console/audit": audit,
}
"""By address."""


def signed_in(make: Callable[[Inside], Any], *, form: bool = False) -> Callable[[Visit], Any]:
    """A page for whoever is signed in; others get the login form, and forms an error."""

    def made(visit: Visit) -> Any:
        here = inside(visit)
        if here is None:
            if form:
                raise NotAuthorizedError("nobody is signed in")
            return login(visit)
        return make(here)

    return made


def page_of(
    here: Inside, section: str, template: str, values: Mapping[str, Any], title: str = ""
) -> Page:
    """A page of a section, with what all of them need."""
    more = {
        "section": section,
        "sections": SECTIONS,
        "session": here.session,
        "here": here.visit.request.url.path,
    }
    return Page(template, title or here.say(f"console.{section}"), {**values, **more})


def _party(here: Inside, one: PartyRow, now: float) -> dict[str, Any]:
    return {
        "name": one.party,
        "role": here.say(f"role.{one.role}"),
        "status": here.say(f"status.{one.status}"),
        "online": _is_online(one, now),
        "seen": here.say("console.never") if one.seen_s is None else _ago(here, now - one.seen_s),
        "since": _time(one.enrolled_s),
    }


def _is_online(one: PartyRow, now: float) -> bool:
    return one.status == "admitted" and one.seen_s is not None and now - one.seen_s <= ONLINE_S


def _run(here: Inside, one: RunRow) -> dict[str, Any]:
    say = here.say
    losses = [(float(r.round), r.loss) for r in one.rounds if r.loss is not None]
    scores = [(float(r.round), r.score) for r in one.rounds if r.score is not None]
    sent = [
        (float(r.round), float(sum(x.bytes_up for x in one.rounds[: n + 1])) / 1e6)
        for n, r in enumerate(one.rounds)
    ]
    charts = [
        (say("chart.loss"), line_chart(say("chart.loss"), losses)),
        (say("chart.score"), line_chart(say("chart.score"), scores)),
        (say("chart.bytes"), line_chart(say("chart.bytes"), sent)),
    ]
    arms: dict[str, list[Bar]] = {}
    for arm in one.arms:
        bar = Bar(say(f"arm.{arm.model}"), arm.ndcg10, arm.low, arm.high)
        arms.setdefault(arm.setting, []).append(bar)
    named = [
        (say(f"setting.{name}"), bar_chart(f"NDCG@10, {say(f'setting.{name}')}", bars))
        for name, bars in arms.items()
    ]
    return {
        "row": one,
        "address": f"/console/runs/{quote(one.run, safe='')}",
        "status": say(f"status.{one.status}"),
        "kind": say(f"run.{one.kind}"),
        "begun": "–" if one.begun_s is None else _time(one.begun_s),
        "done": f"{len(one.rounds)} / {one.planned}" if one.planned else str(len(one.rounds)),
        "epsilon": say("console.no_bound") if one.epsilon is None else f"ε {one.epsilon:.3g}",
        "bytes": view.size_of(one.bytes_up),
        "charts": [(name, chart) for name, chart in charts if chart],
        "arms": named,
    }


def _standing(here: Inside, one: BudgetRow) -> dict[str, Any]:
    if one.unnoised:
        forecast = here.say("console.forecast_unnoised")
    elif one.epsilon is None:
        forecast = here.say("console.forecast_unknown")
    elif one.rounds_left is None:
        forecast = here.say("console.forecast_long")
    else:
        forecast = here.say("console.forecast", rounds=f"{one.rounds_left:,}")
    title = f"{one.party} {one.account}: {_budget(one)}"
    return {
        "row": one,
        "figure": _budget(one),
        "gauge": gauge(title, _share(one)),
        "forecast": forecast,
        "delta": f"{one.delta:.1g}",
    }


def _budget(one: BudgetRow | None) -> str:
    if one is None:
        return "–"
    spent = "∞" if one.unnoised else "?" if one.epsilon is None else f"{one.epsilon:.3g}"
    return f"ε {spent} / {one.cap:g}"


def _share(one: BudgetRow) -> float:
    return math.inf if one.unnoised else (one.epsilon or 0.0) / one.cap


def _interval(value: float | None, low: float | None, high: float | None) -> str:
    if value is None or low is None or high is None:
        return "–"
    return f"{value:.4f} ({low:.4f} – {high:.4f})"


def _time(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M")


def _ago(here: Inside, seconds: float) -> str:
    for unit, size in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * size:
            return here.say(f"console.ago_{unit}", count=int(seconds // size))
    return here.say("console.ago_second", count=max(0, int(seconds)))
