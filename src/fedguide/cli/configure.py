"""``fedguide config``: the schema of the file, its effective values, a check."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from fedguide.cli.output import JsonOption, LangOption, begin, table

app = typer.Typer(help="Configuration: schema, values, check / 配置", no_args_is_help=True)

FileOption = Annotated[
    Path | None, typer.Option("--config", help="TOML file; default: fedguide.toml if present")
]


def found(path: Path | None) -> Path | None:
    """The config file to read: the one named, else ``fedguide.toml`` here if there is one."""
    if path is not None:
        return path
    here = Path("fedguide.toml")
    return here if here.is_file() else None


@app.command("schema")
def schema(as_json: JsonOption = False, lang: LangOption = None) -> None:
    """Print the JSON Schema of fedguide.toml."""
    from fedguide import config

    out = begin("config schema", as_json=as_json, lang=lang)
    made = config.schema()
    out.finish({"schema": made}, json.dumps(made, indent=2, ensure_ascii=False))


@app.command("show")
def show(path: FileOption = None, as_json: JsonOption = False, lang: LangOption = None) -> None:
    """Print every setting as it counts now: defaults, file and variables together."""
    from fedguide import config

    settings = config.load(found(path)).model_dump(mode="json")
    out = begin("config show", as_json=as_json, lang=lang, fallback=settings["lang"])
    rows = []
    for name, value in settings.items():
        inner = value.items() if isinstance(value, dict) else [("", value)]
        rows += [(f"{name}.{key}" if key else name, json.dumps(v)) for key, v in inner]
    out.finish(settings, table("", (out.pick("setting", "设置"), out.pick("value", "值")), rows))


@app.command("check")
def check(path: FileOption = None, as_json: JsonOption = False, lang: LangOption = None) -> None:
    """Say whether the file is right; a wrong key or value is an error (exit code 4)."""
    from fedguide import config

    where = found(path)
    settings = config.load(where)
    out = begin("config check", as_json=as_json, lang=lang, fallback=settings.lang)
    name = str(where) if where else out.pick("no file, defaults", "无文件, 使用默认值")
    out.finish({"file": str(where) if where else None}, out.pick(f"{name}: ok", f"{name}：正确"))
