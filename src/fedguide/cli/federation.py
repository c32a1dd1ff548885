"""``fedguide federation`` and ``fedguide hub``: the operator's side of a network."""

from __future__ import annotations

import datetime
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedguide.cli.configure import FileOption, found
from fedguide.cli.output import JsonOption, LangOption, begin, table

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from fedguide.config import Settings
    from fedguide.runtime.members import Member

app = typer.Typer(help="Federation: create, invite, approve / 联邦", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="Lower-case name", show_default=False)]


def passphrase() -> str | None:
    """What encrypts this machine's identity: ``FEDGUIDE_PASSPHRASE``, or nothing."""
    return os.environ.get("FEDGUIDE_PASSPHRASE") or None


@app.command("create")
def create(
    name: NameArgument,
    host: Annotated[
        list[str] | None,
        typer.Option("--host", help="Name or address parties reach the hub by; repeatable"),
    ] = None,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Make a federation: its hub's authority, database and the coordinator's identity."""
    from fedguide import config
    from fedguide.crypto.certificates import fingerprint
    from fedguide.runtime import homes, members

    settings = config.load(found(path))
    out = begin("federation create", as_json=as_json, lang=lang, fallback=settings.lang)
    members.check_name(name)
    hosts = tuple(dict.fromkeys([*(host or ["127.0.0.1"]), "localhost"]))
    address = f"https://{_in_url(hosts[0])}:{settings.hub.port}"
    key = homes.identity(settings.home, passphrase())
    made = homes.Federation(name, address, hosts)
    authority = homes.create_federation(settings.home, made, datetime.datetime.now(datetime.UTC))
    with members_of(settings) as db:
        members.add_driver(db, homes.COORDINATOR, key.public, time.time())
    shown = fingerprint(authority.certificate)
    data = {"name": name, "address": address, "authority": shown, "coordinator": str(key.public)}
    out.finish(
        data,
        out.pick(f"federation {name} at {address}", f"联邦 {name}，地址 {address}"),
        out.pick(f"authority {shown}", f"证书指纹 {shown}"),
        out.pick(
            "next: fedguide hub, then fedguide federation invite NAME",
            "下一步：fedguide hub，然后 fedguide federation invite 名称",
        ),
    )


@app.command("invite")
def invite(
    name: NameArgument,
    hours: Annotated[int, typer.Option("--hours", help="How long it is good", min=1)] = 72,
    admit: Annotated[
        bool, typer.Option("--admit", help="Who holds it needs no approval any more")
    ] = False,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Print ONE string for a shop to join with: address, pinned authority, one-time token."""
    from fedguide import config
    from fedguide.crypto.certificates import to_der
    from fedguide.crypto.invitation import Invitation, new_token, write_invitation
    from fedguide.runtime import homes, members

    settings = config.load(found(path))
    out = begin("federation invite", as_json=as_json, lang=lang, fallback=settings.lang)
    federation = homes.federation_of(settings.home)
    expires_s = int(time.time()) + hours * 3600
    token = new_token(os.urandom)
    with members_of(settings) as db:
        members.invite(db, name, token, float(expires_s), admit=admit)
    authority = to_der(homes.authority_of(settings.home).certificate)
    coordinator = homes.identity(settings.home, passphrase()).public
    text = write_invitation(
        Invitation(
            federation.name, name, federation.address, authority, coordinator, token, expires_s
        )
    )
    out.note(
        f"for {name}, once, within {hours} h; send it like a password",
        f"仅供 {name} 使用一次，{hours} 小时内有效；请像密码一样传递",
    )
    out.finish({"party": name, "invitation": text, "expires_s": expires_s}, text)


@app.command("approve")
def approve(
    name: NameArgument,
    lead: Annotated[
        bool,
        typer.Option(
            "--lead", help="It may propose tasks to others too: a shop that trains with partners"
        ),
    ] = False,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Let an enrolled shop take part; compare the key it shows with the one printed here."""
    from fedguide.runtime import members

    _change("approve", name, members.ADMITTED, path, as_json, lang, lead=lead)


@app.command("revoke")
def revoke(
    name: NameArgument,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Shut a shop out, at once; nobody waits for its answers any more."""
    from fedguide.runtime import members

    _change("revoke", name, members.REVOKED, path, as_json, lang)


@app.command("show")
def show(path: FileOption = None, as_json: JsonOption = False, lang: LangOption = None) -> None:
    """Who belongs to the federation, and who was heard of when."""
    from fedguide import config
    from fedguide.crypto.certificates import fingerprint
    from fedguide.runtime import homes, members

    settings = config.load(found(path))
    out = begin("federation show", as_json=as_json, lang=lang, fallback=settings.lang)
    federation = homes.federation_of(settings.home)
    with members_of(settings) as db:
        everybody = members.members(db)
    shown = fingerprint(homes.authority_of(settings.home).certificate)
    data = {
        "name": federation.name,
        "address": federation.address,
        "authority": shown,
        "members": [_plain(one) for one in everybody],
    }
    rows = [(one.party, one.role, one.status, _ago(one.seen_s), one.key[:16]) for one in everybody]
    heads = (
        out.pick("member", "成员"),
        out.pick("role", "角色"),
        out.pick("status", "状态"),
        out.pick("heard of", "最近联系"),
        out.pick("key", "公钥"),
    )
    out.finish(data, f"{federation.name}  {federation.address}", shown, table("", heads, rows))


def hub(
    host: Annotated[str | None, typer.Option("--host", help="Address to listen on")] = None,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Run the hub of the federation in this home until it is stopped (Ctrl-C)."""
    from fedguide import config
    from fedguide.runtime import homes
    from fedguide.runtime.hub import HubPlan, hub_app
    from fedguide.runtime.hub_server import hub_server, listen, tls_context
    from fedguide.runtime.hub_tables import open_database
    from fedguide.runtime.hub_watch import json_lines

    settings = config.load(found(path))
    out = begin("hub", as_json=as_json, lang=lang, fallback=settings.lang)
    federation = homes.federation_of(settings.home)
    now = datetime.datetime.now(datetime.UTC)
    files = homes.server_files(settings.home, federation.hosts, now)
    engine = open_database(_database(settings))
    # Several hubs may share a Postgres; each looks often, for the others' bells are not heard here.
    shared = engine.dialect.name == "postgresql"
    plan = HubPlan(recheck_s=0.1) if shared else HubPlan()
    hub_log = json_lines(sys.stderr.write)
    listening = listen(host or settings.hub.host, settings.hub.port)

    def ready() -> None:
        data = {"address": federation.address, "port": listening.getsockname()[1]}
        out.finish(
            data,
            out.pick(
                f"hub of {federation.name} listens at {federation.address}",
                f"{federation.name} 的中枢已在 {federation.address} 监听",
            ),
        )
        sys.stdout.flush()

    app_ = hub_app(engine, time.time, plan, hub_log)
    try:
        hub_server(app_, tls_context(*files), ready).run(sockets=[listening])
    finally:
        engine.dispose()


@contextmanager
def members_of(settings: Settings) -> Iterator[Connection]:
    """A transaction on the hub's database, which the operator's machine holds."""
    from fedguide.runtime import homes
    from fedguide.runtime.hub_tables import open_database

    homes.federation_of(settings.home)  # a home without a hub gets no database
    engine = open_database(_database(settings))
    try:
        with engine.begin() as db:
            yield db
    finally:
        engine.dispose()


def _database(settings: Settings) -> str:
    return settings.hub.database or f"sqlite:///{settings.home.absolute() / 'hub' / 'hub.db'}"


def _change(
    command: str,
    name: str,
    status: str,
    path: Path | None,
    as_json: bool,
    lang: str | None,
    *,
    lead: bool = False,
) -> None:
    from fedguide import config
    from fedguide.runtime import mailbox, members

    settings = config.load(found(path))
    out = begin(f"federation {command}", as_json=as_json, lang=lang, fallback=settings.lang)
    with members_of(settings) as db:
        if status == members.REVOKED:
            mailbox.dismiss(db, name)
        member = members.set_status(db, name, status)
        if lead:
            member = members.set_lead(db, name)
    line = f"{member.party}: {member.status}, {out.pick('key', '公钥')} {member.key}"
    out.finish(_plain(member), line)


def _plain(member: Member) -> dict[str, Any]:
    return {
        "name": member.party,
        "role": member.role,
        "status": member.status,
        "key": str(member.key),
        "seen_s": member.seen_s,
    }


def _ago(seen_s: float | None) -> str:
    return "-" if seen_s is None else f"{max(0.0, time.time() - seen_s):.0f} s"


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
