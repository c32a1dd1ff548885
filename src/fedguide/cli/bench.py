"""``fedguide bench``: run a benchmark of the checkout, keep its table, compare two, draw one.

A kept table is the benchmark's own JSON (bars, figures, machine, versions, commit) in a file whose
name says what was measured and when; nothing in it is written again.
"""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from fedguide.cli.configure import FileOption, found
from fedguide.cli.output import JsonOption, LangOption, begin, table
from fedguide.errors import ConfigError, NotFoundError, RunError

app = typer.Typer(help="Benchmarks: run, compare, plot / 基准测试", no_args_is_help=True)

KeptArgument = Annotated[
    str, typer.Argument(help="A kept table: its name, or a JSON file", show_default=False)
]

_STYLE = (
    "<style>text{font:13px sans-serif;fill:#333}.bar,.line{fill:#2f6f6a;stroke:#2f6f6a}"
    ".line{fill:none;stroke-width:2}.area{fill:none}.grid{stroke:#ddd}.whisker{stroke:#333}"
    "</style>"
)


@app.command("run")
def run(
    name: Annotated[str, typer.Argument(help="Name of a file in benchmarks/", show_default=False)],
    options: Annotated[
        list[str] | None,
        typer.Argument(help="The benchmark's own options, behind --", show_default=False),
    ] = None,
    folder: Annotated[
        Path, typer.Option("--from", help="Folder of the benchmarks (a checkout)")
    ] = Path("benchmarks"),
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Run one benchmark and keep its table with machine, versions and commit."""
    from fedguide import config

    settings = config.load(found(path))
    out = begin("bench run", as_json=as_json, lang=lang, fallback=settings.lang)
    script = _script(folder, name)
    with tempfile.TemporaryDirectory(prefix="fedguide-") as scratch:
        made = Path(scratch) / "table.json"
        command = [sys.executable, str(script), "--json", str(made), *(options or [])]
        # With --json the one object is all that may stand on stdout.
        pipe = subprocess.PIPE if as_json else None
        done = subprocess.run(command, check=False, stdout=pipe, text=True)  # noqa: S603 - the user's own file
        sys.stderr.write(done.stdout or "")
        if done.returncode != 0 or not made.is_file():
            raise RunError(
                f"{script} ended with code {done.returncode}",
                hint=f"python {script} --help",
            )
        body = _read(made)
    now = datetime.datetime.now(datetime.UTC)
    body |= {"benchmark": name, "made": now.isoformat(timespec="seconds"), "options": options or []}
    commit = (body.get("machine") or {}).get("commit") or "no-commit"
    target = _kept(settings.home) / f"{name}-{now:%Y%m%d-%H%M%S}-{commit}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(body, indent=1, ensure_ascii=False), "utf-8")
    held = sum(bar["holds"] is True for bar in body["bars"])
    out.finish(
        {"kept": str(target), "bars": body["bars"]},
        out.pick(
            f"kept as {target.stem}: {held} of {len(body['bars'])} bars hold",
            f"已保存为 {target.stem}：{len(body['bars'])} 条标准中 {held} 条达到",
        ),
    )


@app.command("compare")
def compare(
    before: KeptArgument,
    after: KeptArgument,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Hold two kept tables of one benchmark against each other, bar by bar."""
    from fedguide import config

    settings = config.load(found(path))
    out = begin("bench compare", as_json=as_json, lang=lang, fallback=settings.lang)
    one, other = (_table(settings.home, name) for name in (before, after))
    if one.get("benchmark") != other.get("benchmark"):
        raise ConfigError(
            f"only tables of one benchmark can be compared, got {one.get('benchmark')} and "
            f"{other.get('benchmark')}"
        )
    rows = [_row(name, one, other) for name in _names(one, other)]
    machines = [{**(kept.get("machine") or {}), "made": kept.get("made")} for kept in (one, other)]
    shown = [
        (
            row["bar"],
            _figure(row["before"]),
            _figure(row["after"]),
            _figure(row["ratio"]),
            row["wanted"],
        )
        for row in rows
    ]
    heads = ("bar", out.pick("before", "之前"), out.pick("after", "之后"), "×")
    notes = [] if _alike(machines) else [_differ(out.pick("en", "zh"))]
    out.finish(
        {"rows": rows, "machines": machines},
        table(f"{before} → {after}", (*heads, out.pick("wanted", "标准")), shown),
        *notes,
    )


@app.command("plot")
def plot(
    name: KeptArgument,
    target: Annotated[
        Path | None, typer.Option("--out", help="SVG file; default: beside the table")
    ] = None,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Draw the figures of a kept table that have bars, as an SVG file."""
    from fedguide import config
    from fedguide.web.charts import Bar, bar_chart

    settings = config.load(found(path))
    out = begin("bench plot", as_json=as_json, lang=lang, fallback=settings.lang)
    kept = _table(settings.home, name)
    bars = [
        Bar(f"{bar['name']} ({bar['bar']})", bar["value"], bar["value"], bar["value"])
        for bar in kept["bars"]
        if bar["value"] is not None
    ]
    if not bars:
        raise NotFoundError(f"{name} has no figure with a bar", hint="fedguide bench run NAME")
    file = target or _kept(settings.home) / f"{Path(name).stem}.svg"
    # Names of bars are longer than a page's labels: a margin of their own.
    drawing = str(bar_chart(str(kept.get("benchmark", name)), bars))
    wide = drawing.replace('viewBox="0 0', 'xmlns="http://www.w3.org/2000/svg" viewBox="-340 0', 1)
    wide = wide.replace("-340 0 640", "-340 0 980", 1)
    start = wide.index(">") + 1
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(wide[:start] + _STYLE + wide[start:], "utf-8")
    out.finish({"file": str(file), "figures": len(bars)}, str(file))


def _script(folder: Path, name: str) -> Path:
    """The benchmark's file.

    Raises:
        NotFoundError: there is no such benchmark.
    """
    script = folder / f"{name}.py"
    if not (folder / "report.py").is_file():
        raise NotFoundError(
            f"there are no benchmarks in {folder}: they come with a checkout, not with the package",
            hint="fedguide bench run NAME --from CHECKOUT/benchmarks",
        )
    if name in ("report", "run") or Path(name).name != name or not script.is_file():
        names = sorted(p.stem for p in folder.glob("*.py") if p.stem not in ("report", "run"))
        raise NotFoundError(f"no benchmark {name!r}; there are {', '.join(names)}")
    return script


def _kept(home: Path) -> Path:
    """The folder of kept tables."""
    return home / "bench"


def _table(home: Path, name: str) -> dict[str, Any]:
    """A kept table by its name, or any benchmark's JSON file.

    Raises:
        NotFoundError: there is none.
    """
    for file in (_kept(home) / f"{name}.json", Path(name)):
        if file.is_file():
            return _read(file)
    names = sorted(p.stem for p in _kept(home).glob("*.json"))
    raise NotFoundError(
        f"no kept table {name!r}", hint=f"one of {', '.join(names[-5:]) or 'none yet'}"
    )


def _read(file: Path) -> dict[str, Any]:
    """A benchmark's figures.

    Raises:
        ConfigError: the file is not what a benchmark writes.
    """
    try:
        body = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file} is no benchmark's table: {type(error).__name__}") from None
    if isinstance(body, dict) and "data" in body:
        named = {"benchmark": str(body.get("command", "")).removeprefix("bench ")}
        body = named | (body["data"] if isinstance(body["data"], dict) else {})
    keys = {"name", "value", "bar", "holds"}
    bars = body.get("bars") if isinstance(body, dict) else None
    if not isinstance(bars, list) or any(not keys <= set(bar) for bar in bars):
        raise ConfigError(f"{file} is no benchmark's table: it has no bars")
    table_of: dict[str, Any] = body
    return table_of


def _names(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """The names of all bars, in the order they stand in."""
    return list(dict.fromkeys(bar["name"] for kept in (one, other) for bar in kept["bars"]))


def _row(name: str, one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """One bar in both tables; what is missing is ``None``."""
    found: list[dict[str, Any]] = [
        next((bar for bar in kept["bars"] if bar["name"] == name), {}) for kept in (one, other)
    ]
    before, after = (bar.get("value") for bar in found)
    ratio = after / before if before and after is not None else None
    wanted = found[1].get("bar") or found[0].get("bar") or ""
    return {"bar": name, "before": before, "after": after, "ratio": ratio, "wanted": wanted}


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _alike(machines: list[dict[str, Any]]) -> bool:
    """Were both made on the same kind of machine with the same versions?"""
    keys = ("python", "system", "cores", "versions")
    return all(machines[0].get(key) == machines[1].get(key) for key in keys)


def _differ(lang: str) -> str:
    if lang == "zh":
        return "两次的机器或版本不同：差异不只来自代码"
    return "machines or versions differ: not every difference is the code's"
