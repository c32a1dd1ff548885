"""``fedguide audit``: evidence of what was spent, and its check by anybody, offline."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedguide.cli.configure import FileOption, found
from fedguide.cli.ledgers import RunOption, ShopOption
from fedguide.cli.output import JsonOption, LangOption, Output, begin, table
from fedguide.errors import ConfigError, NotFoundError, TamperedError

if TYPE_CHECKING:
    from fedguide.privacy.evidence import Audit
    from fedguide.privacy.witness import Watched

app = typer.Typer(help="Audit: export, verify / 审计", no_args_is_help=True)

EvidenceArgument = Annotated[Path, typer.Argument(help="JSON-lines file", show_default=False)]


@app.command("export")
def export(
    file: EvidenceArgument,
    run: RunOption = None,
    shop: ShopOption = None,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Write a ledger as one signed file that anybody can check."""
    from fedguide import config
    from fedguide.cli.ledgers import one_place, opened, signer_of
    from fedguide.privacy.chain import fingerprint

    settings = config.load(found(path))
    out = begin("audit export", as_json=as_json, lang=lang, fallback=settings.lang)
    place = one_place(settings, run, shop)
    signer = signer_of(settings.home)
    half = file.with_name(f".{file.name}.part")
    try:
        # Made whole, or not at all; what is there is not written over.
        with opened(place) as ledger, half.open("xb") as target:
            ledger.require_whole()
            lines = 0
            for line in ledger.export(signer):
                target.write(line)
                lines += 1
        file.hardlink_to(half)
    except FileExistsError:
        raise ConfigError(f"{file} is already there", hint="choose another name") from None
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror or error}") from None
    finally:
        half.unlink(missing_ok=True)
    data = {"file": str(file), "party": place.party, "records": lines - 2, "key": signer.public}
    out.finish(
        data | {"fingerprint": fingerprint(signer.public)},
        out.pick(f"{file}: {lines - 2:,} records", f"{file}：{lines - 2:,} 条记录"),
        out.pick("fingerprint  ", "指纹  ") + fingerprint(signer.public),
        out.pick("check it: ", "验证：") + f"fedguide audit verify {file}",
    )


@app.command("verify")
def verify(
    file: EvidenceArgument,
    key: Annotated[
        str | None, typer.Option("--key", help="Public key (hex) that must have signed it")
    ] = None,
    known: Annotated[
        Path | None, typer.Option("--known", help="An earlier head that it must go through")
    ] = None,
    delta: Annotated[float, typer.Option("--delta", help="δ at which ε is worked out")] = 1e-6,
    path: FileOption = None,
    as_json: JsonOption = False,
    lang: LangOption = None,
) -> None:
    """Check an export on itself alone: any changed, missing or added byte is found.

    Where the ledger's owner has shown its head in a federation, the export is held against it.
    """
    from fedguide import config
    from fedguide.cli.ledgers import verifier, witness_of
    from fedguide.privacy.chain import fingerprint
    from fedguide.privacy.evidence import verify_export

    settings = config.load(found(path))
    out = begin("audit verify", as_json=as_json, lang=lang, fallback=settings.lang)
    if not file.is_file():
        raise NotFoundError(f"no file {file}", hint="fedguide audit export FILE")
    with file.open("rb") as lines:
        audit = verify_export(lines, verifier(), key)
    if known is not None:
        _require_known(audit, known)
    witnessed = witness_of(settings.home).of_ledger(audit.header.ledger, audit.signed.key)
    for peer in witnessed:
        _require_seen(audit, peer)
    accounts = _accounts(audit, delta)
    public = audit.signed.key
    data = {
        "verified": True,
        "party": audit.header.party,
        "ledger": audit.header.ledger,
        "records": audit.signed.head.seq,
        "counts": dict(audit.counts),
        "head": audit.signed.head.hash,
        "key": public,
        "fingerprint": fingerprint(public),
        "pinned": key is not None,
        "witnessed": [peer.last.head.seq for peer in witnessed],
        "delta": delta,
        "accounts": accounts,
    }
    out.finish(data, *_texts(out, audit, accounts, pinned=key is not None))


def _require_known(audit: Audit, known: Path) -> None:
    from fedguide.cli.ledgers import verifier
    from fedguide.privacy.chain import check_head, head_from_json

    try:
        kept = head_from_json(json.loads(known.read_text("utf-8")))
    except (OSError, ValueError):
        raise ConfigError(f"{known} is not the head of a ledger") from None
    check_head(kept, verifier(), audit.signed.key)
    if not audit.passes(kept.head):
        raise TamperedError(
            f"the export does not go through record {kept.head.seq}, which its owner had signed: "
            "it is older, or another history",
            hint="ask the ledger's owner for a new export",
        )


def _require_seen(audit: Audit, peer: Watched) -> None:
    """Holds the export against what its owner has shown in a federation.

    Raises:
        TamperedError: that contradicts itself, or the export.
    """
    if peer.doubt:
        raise TamperedError(
            f"the ledger of {peer.party} contradicts itself: {peer.doubt}",
            hint="heads.json holds both signed heads",
        )
    if not audit.passes(peer.last.head):
        raise TamperedError(
            f"the export does not go through record {peer.last.head.seq}, which {peer.party} has "
            "shown: it is older, or another history",
            hint="ask the ledger's owner for a new export",
        )


def _accounts(audit: Audit, delta: float) -> list[dict[str, Any]]:
    """What every account has spent, and its ε where the accountant is installed."""
    counts: dict[str, dict[str, int]] = {}
    for (account, what), times in audit.signed.head.spent.items():
        counts.setdefault(account, {})[what] = times
    judged = importlib.util.find_spec("dp_accounting") is not None
    return [
        {
            "account": account,
            "spent": [{"times": n, "what": json.loads(what)} for what, n in spent.items()],
            **(_epsilons(spent, delta) if judged else {}),
        }
        for account, spent in sorted(counts.items())
    ]


def _epsilons(spent: Mapping[str, int], delta: float) -> dict[str, float | None]:
    """Worked out anew from what was done; ∞ is null."""
    from fedguide.cli.ledgers import finite
    from fedguide.privacy.spend import Budget, accounted

    return {
        "epsilon": finite(accounted(spent, Budget(delta=delta))),
        "epsilon_outsider": finite(accounted(spent, Budget(delta=delta, adversary="outsider"))),
    }


def _texts(out: Output, audit: Audit, accounts: list[dict[str, Any]], *, pinned: bool) -> list[Any]:
    from fedguide.privacy.chain import fingerprint

    head = audit.signed.head
    counted = ", ".join(f"{number} {kind}" for kind, number in sorted(audit.counts.items()))
    lines: list[Any] = [
        out.pick(
            f"verified: {audit.header.party}, {head.seq:,} records ({counted or '-'})",
            f"验证通过：{audit.header.party}，{head.seq:,} 条记录（{counted or '-'}）",
        ),
        out.pick("signed by  ", "签名者  ") + fingerprint(audit.signed.key),
    ]
    if not pinned:
        lines.append(
            out.pick(
                "compare this fingerprint with the owner, or give --key",
                "请与所有者核对该指纹，或使用 --key",
            )
        )
    return [*lines, *_epsilon_lines(out, accounts)]


def _epsilon_lines(out: Output, accounts: list[dict[str, Any]]) -> list[Any]:
    from fedguide.cli.ledgers import figure

    if not accounts:
        return []
    if "epsilon" not in accounts[0]:
        return [
            out.pick(
                "to work out ε: pip install 'fedguide[train]'",
                "计算 ε 需要：pip install 'fedguide[train]'",
            )
        ]

    def shown(value: float | None) -> str:
        return figure(float("inf") if value is None else value)

    heads = (
        out.pick("account", "账户"),
        out.pick("ε (insider)", "ε（内部）"),
        out.pick("ε (outsider)", "ε（外部）"),
    )
    rows = [(a["account"], shown(a["epsilon"]), shown(a["epsilon_outsider"])) for a in accounts]
    return [table("", heads, rows)]
