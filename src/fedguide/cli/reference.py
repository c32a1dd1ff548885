"""The reference pages, written from the code: ``python -m fedguide.cli.reference docs/reference``.

A test compares the pages of the repository with what this writes, so they cannot be out of date.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from fedguide import api, config, errors
from fedguide.api.described import describe
from fedguide.api.operation import Operation
from fedguide.api.problems import TITLES
from fedguide.cli.app import build
from fedguide.errors import FedGuideError

_MADE = "\nWritten by `make reference` from the code; changed there, not here.\n"


def pages() -> dict[str, str]:
    """Every page by its file name."""
    return {
        "cli.md": _cli_page(),
        "api.md": _api_page(),
        "config.md": _config_page(),
        "errors.md": _errors_page(),
    }


def main(folder: Path) -> None:
    """Writes the pages into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")


def _cli_page() -> str:
    parts = [
        "# Commands",
        _MADE,
        "Every command also takes `--json` (one object on stdout) and most take `--lang zh|en`. "
        "Exit codes: 0 ok, 1 a run failed, 2 connection or key, 3 too late, 4 input or config, "
        "5 a defect of ours, 6 refused by privacy policy, 130 Ctrl-C.\n",
    ]
    for name, command in _commands(typer.main.get_command(build()), "fedguide"):
        arguments = [p for p in command.params if p.param_type_name == "argument"]
        usage = " ".join([name, *(p.name.upper() for p in arguments)])
        parts += [f"## `{usage}`\n", f"{inspect.cleandoc(command.help or '')}\n"]
        rows = [_parameter(p) for p in command.params if p.name not in ("as_json", "lang", "help")]
        if rows:
            parts.append(_table(("option", "what", "default"), rows))
    return "\n".join(parts)


def _commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Every command that does something, by its whole name."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name, command
        return
    for part, one in inner.items():
        yield from _commands(one, f"{name} {part}")


def _parameter(parameter: Any) -> tuple[str, str, str]:
    argument = parameter.param_type_name == "argument"
    name = parameter.name.upper() if argument else ", ".join(parameter.opts)
    if parameter.required:
        default = "required"
    elif parameter.default in (None, False, ()) or callable(parameter.default):
        default = ""
    else:
        default = f"`{parameter.default}`"
    return f"`{name}`", parameter.help or "", default


def _api_page() -> str:
    document = describe(_operations())
    parts = [
        "# HTTP API",
        _MADE,
        "Base `/api/v1`; the document itself is at `/api/v1/openapi.json`. Errors are problem "
        "documents (RFC 9457) with a title in Chinese and English, a `hint` and a `code` "
        "([errors](errors.md)). `503` comes with `Retry-After`; the Python client "
        "`fedguide.api.client.Client` waits by itself.\n",
    ]
    for path, methods in document["paths"].items():
        for method, one in methods.items():
            parts += [f"## `{method.upper()} {path}`\n", f"{one['summary']}.", ""]
            if "description" in one:
                parts += [one["description"], ""]
            rows = [
                (
                    f"`{p['name']}`",
                    f"{p['in']}{', required' if p.get('required') else ''}",
                    p.get("description", ""),
                )
                for p in one.get("parameters", ())
            ]
            if rows:
                parts.append(_table(("parameter", "where", "what"), rows))
            if "requestBody" in one:
                shape = _shape_of(one["requestBody"]["content"])
                parts += [f"Body: {shape}.", ""]
            answer = _shape_of(one["responses"]["200"]["content"])
            others = ", ".join(sorted(code for code in one["responses"] if code != "200"))
            parts += [f"Answer: {answer}. Else: {others or 'nothing'}.", ""]
    parts.append("## Shapes\n")
    for name, shape in sorted(document["components"]["schemas"].items()):
        parts += [f"### {name}\n", f"{shape.get('description', '')}\n"]
        needed = set(shape.get("required", ()))
        rows = [
            (f"`{key}`", _type_of(value), "yes" if key in needed else "")
            for key, value in shape.get("properties", {}).items()
        ]
        if rows:
            parts.append(_table(("field", "type", "always there"), rows))
    return "\n".join(parts)


def _operations() -> list[Operation]:
    """Every operation that a module of the API describes beside the guide's own."""
    found: dict[str, Operation] = {}
    for module in sorted(one.name for one in pkgutil.iter_modules(api.__path__)):
        for value in vars(importlib.import_module(f"fedguide.api.{module}")).values():
            several = value if isinstance(value, (tuple, list)) else (value,)
            found |= {one.name: one for one in several if isinstance(one, Operation)}
    return [found[name] for name in sorted(found)]


def _shape_of(content: Mapping[str, Any]) -> str:
    media, body = next(iter(content.items()))
    shape = _type_of(body["schema"])
    return shape if media == "application/json" else f"{shape} as `{media}`"


def _type_of(schema: Mapping[str, Any]) -> str:
    """A type in a few words, with a link where it is a shape."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_type_of(one) for one in schema["anyOf"])
    if schema.get("type") == "array":
        items: Mapping[str, Any] = schema.get("items") or {}
        return f"list of {_type_of(items) if items else 'anything'}"
    if "enum" in schema:
        return ", ".join(f"`{one}`" for one in schema["enum"])
    limits = [
        f"{word} {schema[key]}"
        for key, word in _LIMITS.items()
        if key in schema and schema[key] is not None
    ]
    kind = schema.get("type", "anything")
    name = " or ".join(kind) if isinstance(kind, list) else str(kind)
    return f"{name} ({', '.join(limits)})" if limits else name


_LIMITS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
    "minLength": "characters at least",
    "maxLength": "characters at most",
}


def _config_page() -> str:
    schema = config.schema()
    parts = [
        "# Configuration",
        _MADE,
        "`fedguide.toml` in the working folder, or `--config FILE`. A variable beats the file: "
        "`FEDGUIDE_SET__SERVE__PORT=9000` is `port` of `[serve]`. `fedguide config check` says "
        "what is wrong; an unknown key is an error.\n",
    ]
    own = {k: v for k, v in schema["properties"].items() if "$ref" not in v}
    parts += ["## Top level\n", _settings(own)]
    for name, value in schema["properties"].items():
        if "$ref" in value:
            section = schema["$defs"][value["$ref"].rsplit("/", 1)[-1]]
            # The head of a section's text is its own name.
            text = section["description"].partition(": ")[2]
            parts += [f"## `[{name}]`\n", f"{text[:1].upper()}{text[1:]}\n"]
            parts.append(_settings(section["properties"]))
    return "\n".join(parts)


def _settings(properties: Mapping[str, Any]) -> str:
    rows = [
        (
            f"`{key}`",
            _type_of(value),
            "" if value.get("default") is None else f"`{_toml(value['default'])}`",
            value.get("description", ""),
        )
        for key, value in properties.items()
    ]
    return _table(("key", "type", "default", "what"), rows)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    return f"[{', '.join(map(_toml, value))}]" if isinstance(value, list) else str(value)


def _errors_page() -> str:
    rows = [
        (f"`{kind.code}`", f"`{kind.__name__}`", str(kind.exit_code), _first_line(kind))
        for kind in sorted(_kinds(FedGuideError), key=lambda kind: kind.code)
    ]
    titles = [(f"`{code}`", title.en, title.zh) for code, title in sorted(TITLES.items())]
    return "\n".join(
        (
            "# Errors",
            _MADE,
            "Every error raised on purpose is a `FedGuideError` with a stable code. On the command "
            "line it is at most four lines: what happened, the value against the limit, one "
            "command that helps, the code.\n",
            _table(("code", "class", "exit code", "what happened"), rows),
            "Codes of the HTTP API's problem documents:\n",
            _table(("code", "title", "标题"), titles),
            f"The tree, as `{errors.__name__}` draws it:\n",
            f"```text\n{_tree()}\n```\n",
        )
    )


def _kinds(root: type[FedGuideError]) -> Iterator[type[FedGuideError]]:
    if root.__module__ == errors.__name__:
        yield root
    for kind in root.__subclasses__():
        yield from _kinds(kind)


def _tree() -> str:
    lines = inspect.cleandoc(errors.__doc__ or "").splitlines()
    return "\n".join(line[4:] for line in lines if line.startswith("    "))


def _first_line(kind: type) -> str:
    return inspect.cleandoc(kind.__doc__ or "").split("\n\n", 1)[0].replace("\n", " ")


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    made = ("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
    return "\n".join(made) + "\n"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
