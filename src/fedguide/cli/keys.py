"""``fedguide keys``: API keys and their roles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedguide.cli.configure import FileOption, found
from fedguide.cli.ledgers import when
from fedguide.cli.output import JsonOption, LangOption, begin, table

if TYPE_CHECKING:
    from fedguide.api.keys import Key

app = typer.Typer(help="API keys: create, list, revoke / 接口密钥", no_args_is_help=True)


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="What or who uses it", show_default=False)],
    role: Annotated[
        str,
        typer.Option(
            "--role",
            help="shop: events, shoppers' rights; operator: all of the console; "
            "auditor: looks and changes nothing",
        ),
    ],
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Make a key and show it, this once; only a keyed hash of it is kept."""
    from fedguide import config
    from fedguide.cli.service import key_book, service_database

    settings = config.load(found(path))
    out = begin("keys create", as_json=as_json, lang=lang, fallback=settings.lang)
    with service_database(settings) as database:
        key, text = key_book(settings, database).create(name, role)
    out.note("shown this once; keep it like a password", "仅显示这一次；请像密码一样保管")
    out.finish(_plain(key) | {"key": text}, text)


@app.command("list")
def list_all(path: FileOption = None, as_json: JsonOption = False, lang: LangOption = None) -> None:
    """Every key that was made: role, name, whether it still counts. No secrets."""
    from fedguide import config
    from fedguide.cli.service import key_book, service_database

    settings = config.load(found(path))
    out = begin("keys list", as_json=as_json, lang=lang, fallback=settings.lang)
    with service_database(settings) as database:
        keys = key_book(settings, database).all()
    heads = (
        out.pick("key", "密钥"),
        out.pick("role", "角色"),
        out.pick("name", "名称"),
        out.pick("made", "创建"),
        out.pick("revoked", "吊销"),
    )
    rows = [
        (
            key.id,
            key.role,
            key.name,
            when(key.made_s),
            "-" if key.revoked_s is None else when(key.revoked_s),
        )
        for key in keys
    ]
    shown = [table("", heads, rows)] if rows else [out.pick("there are no keys", "尚无密钥")]
    out.finish({"keys": [_plain(key) for key in keys]}, *shown)


@app.command("revoke")
def revoke(
    key: Annotated[str, typer.Argument(help="Id of the key, as list shows it", show_default=False)],
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """End a key at once, in a running server too."""
    from fedguide import config
    from fedguide.cli.service import key_book, service_database

    settings = config.load(found(path))
    out = begin("keys revoke", as_json=as_json, lang=lang, fallback=settings.lang)
    with service_database(settings) as database:
        ended = key_book(settings, database).revoke(key)
    name = f"{ended.id} ({ended.name})"
    out.finish(_plain(ended), out.pick(f"{name} counts no more", f"{name} 已失效"))


def _plain(key: Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "role": key.role,
        "made_s": key.made_s,
        "revoked_s": key.revoked_s,
    }
