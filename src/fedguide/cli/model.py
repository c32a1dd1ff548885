"""``fedguide model``: the releases of the shops, which is served, and its promotion."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from fedguide.cli.configure import FileOption, found
from fedguide.cli.output import JsonOption, LangOption, Output, begin, table
from fedguide.errors import ConfigError

app = typer.Typer(help="Releases: list, promote, rollback, verify / 模型", no_args_is_help=True)

ShopArgument = Annotated[str, typer.Argument(help="Name of the shop", show_default=False)]
VersionArgument = Annotated[
    str, typer.Argument(help="Run that made the release", metavar="RUN", show_default=False)
]

_OWNER = "owner"


@app.command("list")
def list_all(path: FileOption = None, as_json: JsonOption = False, lang: LangOption = None) -> None:
    """Every release of every shop: measured how well, served or not."""
    from fedguide import config
    from fedguide.cli.registry import rows

    settings = config.load(found(path))
    out = begin("model list", as_json=as_json, lang=lang, fallback=settings.lang)
    models = rows(settings)
    heads = (
        out.pick("shop", "商店"),
        out.pick("run", "训练"),
        out.pick("made", "时间"),
        "NDCG@10",
        out.pick("rounds", "轮次"),
        out.pick("privacy", "隐私"),
        out.pick("state", "状态"),
    )
    lines = [
        (
            one.shop,
            one.version,
            one.made[:16],
            "-" if one.ndcg10 is None else f"{one.ndcg10:.4f}",
            str(one.rounds),
            one.privacy,
            one.problem or (out.pick("served", "在用") if one.serving else "-"),
        )
        for one in models
    ]
    shown = table("", heads, lines) if lines else out.pick("no releases yet", "尚无发布")
    out.finish({"models": [asdict(one) for one in models]}, shown)


@app.command("show")
def show(
    shop: ShopArgument,
    version: VersionArgument,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """The model card of a release."""
    from fedguide import config
    from fedguide.cli.registry import loaded, shop_folder
    from fedguide.models.card import card_text

    settings = config.load(found(path))
    out = begin("model show", as_json=as_json, lang=lang, fallback=settings.lang)
    release = loaded(settings, shop_folder(settings.home, shop, version))
    data = {"card": asdict(release.card), "digest": release.digest, "signer": release.signer}
    out.finish(data, card_text(release.card))


@app.command("promote")
def promote(
    shop: ShopArgument,
    version: VersionArgument,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Serve this release from the next start on; it is checked first."""
    from fedguide import config
    from fedguide.cli.registry import promote as promoted

    settings = config.load(found(path))
    out = begin("model promote", as_json=as_json, lang=lang, fallback=settings.lang)
    made = promoted(settings, shop, version, _OWNER)
    _say(out, shop, asdict(made))


@app.command("rollback")
def rollback(
    shop: ShopArgument,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Serve what was promoted before."""
    from fedguide import config
    from fedguide.cli.registry import rollback as rolled_back

    settings = config.load(found(path))
    out = begin("model rollback", as_json=as_json, lang=lang, fallback=settings.lang)
    _say(out, shop, asdict(rolled_back(settings, shop)))


@app.command("verify")
def verify(
    shop: ShopArgument,
    version: VersionArgument,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Check every byte of a release against its signature, and who signed it."""
    from fedguide import config
    from fedguide.cli.registry import loaded, shop_folder

    settings = config.load(found(path))
    out = begin("model verify", as_json=as_json, lang=lang, fallback=settings.lang)
    release = loaded(settings, shop_folder(settings.home, shop, version))
    out.finish(
        {"verified": True, "digest": release.digest, "signer": release.signer},
        out.pick("every byte matches its signature", "每个字节均与签名相符"),
        f"{release.digest}  {release.signer}",
    )


@app.command("export")
def export(
    shop: ShopArgument,
    version: VersionArgument,
    target: Annotated[Path, typer.Option("--out", help="Folder to write; must not be there")],
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Copy a checked release into a folder, to be served elsewhere."""
    from fedguide import config
    from fedguide.cli.registry import loaded, shop_folder

    settings = config.load(found(path))
    out = begin("model export", as_json=as_json, lang=lang, fallback=settings.lang)
    folder = shop_folder(settings.home, shop, version)
    digest = loaded(settings, folder).digest
    if target.exists():
        raise ConfigError(f"{target} is already there", hint="choose another --out")
    shutil.copytree(folder / "release", target)
    out.finish({"folder": str(target), "digest": digest}, str(target))


def _say(out: Output, shop: str, made: dict[str, Any]) -> None:
    version = made["version"]
    said = out.pick(
        f"{shop} serves {version} from the next start on",
        f"{shop} 自下次启动起使用 {version}",
    )
    out.finish({"shop": shop, **made}, said)
