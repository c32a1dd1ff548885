"""The budget ledger: charged once, never over the cap, never refunded, on both databases."""

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from fedguide.crypto.signing import make_key
from fedguide.errors import ConfigError, LedgerError, RefusedError, TamperedError
from fedguide.privacy.chain import CHARGE, ERASURE, GAP, REFUSAL
from fedguide.privacy.events import Event
from fedguide.privacy.evidence import verify_export
from fedguide.privacy.ledger import Ledger
from fedguide.privacy.mechanisms import CorrelatedGaussian, Gaussian, Laplace, Unnoised
from fedguide.privacy.spend import Budget, accounted, counts_of, what_of
from fedguide.privacy.tables import ENTRIES, LEDGER, META, open_database, writing
from tests.privacy.ledgers import (
    NOW,
    PLAIN,
    SIX,
    charge,
    checked,
    fill,
    opened,
    signer_of,
)

KEY = make_key()
SIGNER = signer_of(KEY)
WHAT = what_of(Event("any", PLAIN))


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "ledger.mark"


def kinds(ledger: Ledger) -> list[str]:
    return [entry.record["kind"] for entry in ledger.entries()]


def executed(where: str, statement: str) -> None:
    """Does to the database what nobody should."""
    database = open_database(where)
    try:
        with writing(database) as db:
            db.execute(sa.text(statement))
    finally:
        database.close()


def test_a_charge_stands_before_it_returns(where: str, mark: Path) -> None:
    with opened(where, mark) as ledger:
        receipt = ledger.charge(charge("spring", 3, question="ab" * 32), SIX)
        assert (receipt.seq, receipt.fresh) == (1, True)
        assert ledger.counts("shop1") == {WHAT: 1}
        assert ledger.counts("shop2") == {}
        assert ledger.mark.read().seq == 1
    with opened(where, mark) as again:
        (entry,) = again.entries()
        assert entry.hash == receipt.hash
        assert entry.record == {
            "seq": 1,
            "kind": CHARGE,
            "account": "shop1",
            "task": "spring",
            "round": 3,
            "purpose": "recommend",
            "question": "ab" * 32,
            "recipient": "coordinator",
            "time": NOW,
            "spent": [{"account": "shop1", "times": 1, "what": json.loads(WHAT)}],
        }
        assert again.verify().seq == 1
    # What was done, and nothing that an accountant would work out.
    done = json.loads(WHAT)
    assert done == {
        "mechanism": {"kind": "gaussian", "noise_multiplier": 2.0, "sensitivity_l2": 1.0},
        "placement": "central",
        "relation": "add_or_remove_one",
        "sampling": 1.0,
        "unit": "shopper",
    }


def test_the_same_charge_is_spent_once(where: str, mark: Path) -> None:
    with opened(where, mark) as ledger:
        first = ledger.charge(charge(), SIX)
        again = ledger.charge(charge(), SIX)
        assert again == replace(first, fresh=False)
        assert ledger.counts("shop1") == {WHAT: 1}


@pytest.mark.parametrize(
    "other",
    [
        charge("spring", 0, Gaussian(3.0, 1.0)),
        charge("spring", 0, PLAIN, PLAIN),
        charge(question="cd" * 32),
        replace(charge(), purpose="ads"),
        replace(charge(), recipient="partner"),
    ],
)
def test_the_same_id_with_other_content_is_refused(where: str, mark: Path, other) -> None:
    with opened(where, mark) as ledger:
        ledger.charge(charge(), SIX)
        with pytest.raises(RefusedError, match="charged already, for something else"):
            ledger.charge(other, SIX)
        assert ledger.counts("shop1") == {WHAT: 1}


def test_accounts_are_charged_apart(where: str, mark: Path) -> None:
    with opened(where, mark) as ledger:
        fill(ledger, 6)
        ledger.charge(charge(account="shop2"), SIX)
        assert ledger.spent() == {"shop1": {WHAT: 6}, "shop2": {WHAT: 1}}


def test_nothing_goes_over_the_cap(where: str, mark: Path) -> None:
    with opened(where, mark) as ledger:
        fill(ledger, 6)
        with pytest.raises(RefusedError) as caught:
            ledger.charge(charge("spring", 6), SIX)
        assert str(caught.value) == (
            "spring, round 6: ε would become 7 (now 6) at δ = 1e-06, the cap of shop1 is 6"
        )
        assert "fedguide privacy price" in caught.value.hint
        assert caught.value.exit_code == 6
        # The same refusal again is the same line; what was charged is there all the same.
        with pytest.raises(RefusedError):
            ledger.charge(charge("spring", 6), SIX)
        assert not ledger.charge(charge("spring", 5), SIX).fresh
        assert kinds(ledger) == [CHARGE] * 6 + [REFUSAL]
        assert ledger.counts("shop1") == {WHAT: 6}
        # A charge of several events is one decision.
        with pytest.raises(RefusedError):
            ledger.charge(charge("autumn", 0, PLAIN, PLAIN), Budget(epsilon=7.0))
        assert ledger.charge(charge("autumn", 1), Budget(epsilon=7.0)).fresh
        assert ledger.verify().seq == 9


def test_the_accountant_decides_by_default(where: str, mark: Path) -> None:
    # z = 8, q = 1, δ = 1e-6: PRIVACY's table says 6.312060 after 100 rounds.
    with opened(where, mark, price=accounted) as ledger:
        first = charge("spring", 0, Gaussian(8.0, 1.0))
        ledger.charge(replace(first, events=(replace(first.events[0], rounds=100),)), Budget(6.4))
        assert ledger.price(ledger.counts("shop1"), Budget()) == pytest.approx(6.312060, rel=1e-3)
        with pytest.raises(RefusedError, match=r"now 6\.312"):
            ledger.charge(charge("spring", 1, Laplace(1.0, 1.0)), Budget(6.4))
        assert not ledger.affords("shop1", counts_of([Event("x", Gaussian(1.0, 1.0))]), Budget(6.4))
        assert ledger.affords("shop1", counts_of([Event("x", Gaussian(1e4, 1.0))]), Budget(6.4))


def test_without_noise_it_is_infinity_and_has_to_be_allowed(where: str, mark: Path) -> None:
    none = charge("old", 0, Unnoised())
    unsafe = Budget(epsilon=6.0, allow_unnoised=True)
    with opened(where, mark) as ledger:
        with pytest.raises(RefusedError, match="allow_unnoised is off"):
            ledger.charge(none, SIX)
        assert ledger.charge(none, unsafe).fresh
        assert accounted(ledger.counts("shop1"), SIX) == float("inf")
        # It is spent for ever: without the permission nothing more is released.
        with pytest.raises(RefusedError, match="released without noise before"):
            ledger.charge(charge(), SIX)
        fill(ledger, 6, budget=unsafe)
        with pytest.raises(RefusedError, match="ε would become 7"):
            ledger.charge(charge("spring", 6), unsafe)


def test_a_task_over_many_rounds_counts_its_rounds(where: str, mark: Path) -> None:
    with opened(where, mark) as ledger:
        one = charge()
        ledger.charge(replace(one, events=(replace(one.events[0], rounds=5),)), SIX)
        assert ledger.counts("shop1") == {WHAT: 5}
        with pytest.raises(RefusedError):
            ledger.charge(charge("spring", 1, PLAIN, PLAIN), SIX)


def test_correlated_noise_is_one_event_for_its_steps(where: str, mark: Path) -> None:
    tree = CorrelatedGaussian(4.0, 1.0, 2.0, 64)
    with opened(where, mark, price=accounted) as ledger:
        ledger.charge(charge("spring", 0, tree), Budget())
        ledger.charge(charge("spring", 1, tree), Budget())
        both = accounted(ledger.counts("shop1"), Budget())
        plain = accounted(counts_of([Event("x", Gaussian(4.0, 1.0), rounds=2)]), Budget())
        assert both == pytest.approx(plain)


def test_refusals_and_erasures_are_lines_that_spend_nothing(where: str, mark: Path) -> None:
    with opened(where, mark) as ledger:
        ledger.refuse("shop1", "spring", 0, "ads", "purpose 'ads' is not allowed here")
        ledger.refuse("shop1", "spring", 0, "ads", "again")
        ledger.erased("shop1", "ab" * 32, "ε = 2 at δ = 1e-06")
        ledger.erased("shop1", "ab" * 32, "ε = 2 at δ = 1e-06")
        assert kinds(ledger) == [REFUSAL, ERASURE, ERASURE]
        assert ledger.spent() == {}
        assert ledger.verify().seq == ledger.mark.read().seq == 3


def test_an_export_is_verified_by_somebody_else(where: str, mark: Path) -> None:
    with opened(where, mark) as ledger:
        fill(ledger, 3)
        kept = ledger.signed_head(SIGNER)
        ledger.refuse("shop1", "ads", 0, "ads", "no")
        lines = list(ledger.export(SIGNER))
    audit = verify_export(lines, checked, SIGNER.public)
    assert audit.counts == {CHARGE: 3, REFUSAL: 1}
    assert audit.passes(kept.head)
    assert audit.header.party == "shop1"
    assert dict(audit.signed.head.spent) == {("shop1", WHAT): 3}


def test_a_restored_ledger_spends_nothing_until_it_counted_what_it_lost(tmp_path: Path) -> None:
    where, mark = tmp_path / "ledger.db", tmp_path / "mark"
    with opened(where, mark) as ledger:
        fill(ledger, 2)
    shutil.copy(where, tmp_path / "backup.db")
    with opened(where, mark) as ledger:
        fill(ledger, 5)
        kept = ledger.signed_head(SIGNER)
    shutil.copy(tmp_path / "backup.db", where)
    with opened(where, mark) as ledger:
        for act in (lambda: ledger.charge(charge("autumn"), SIX), ledger.require_whole):
            with pytest.raises(RefusedError, match="stands at record 2 and has been at 5"):
                act()
        assert ledger.counts("shop1") == {WHAT: 2}
        receipt = ledger.acknowledge()
        assert receipt.seq == 6
        assert ledger.acknowledge() is None
        # Three rows were lost: they are spent, and one more fits under the cap of six.
        assert ledger.counts("shop1") == {WHAT: 5}
        assert ledger.charge(charge("autumn", 0), SIX).seq == 7
        with pytest.raises(RefusedError):
            ledger.charge(charge("autumn", 1), SIX)
        assert kinds(ledger) == [CHARGE] * 2 + [GAP, CHARGE, REFUSAL]
        assert ledger.verify().seq == 8
        # A head that somebody kept from the lost part is known to be counted.
        ledger.confront(kept, checked, SIGNER.public)
        assert verify_export(ledger.export(SIGNER), checked).counts[GAP] == 1


def test_refusals_while_behind_do_not_hide_that_it_is_behind(tmp_path: Path) -> None:
    where, mark = tmp_path / "ledger.db", tmp_path / "mark"
    with opened(where, mark) as ledger:
        fill(ledger, 1)
    shutil.copy(where, tmp_path / "backup.db")
    with opened(where, mark) as ledger:
        fill(ledger, 3)
    shutil.copy(tmp_path / "backup.db", where)
    with opened(where, mark) as ledger:
        for number in range(5):
            ledger.refuse("shop1", "ads", number, "ads", "no")
            with pytest.raises(RefusedError, match="has been at 3"):
                ledger.charge(charge("autumn"), SIX)
        ledger.acknowledge()
        assert ledger.counts("shop1") == {WHAT: 3}
        assert ledger.charge(charge("autumn"), SIX).fresh


def test_a_deleted_ledger_is_counted_whole(tmp_path: Path) -> None:
    where, mark = tmp_path / "ledger.db", tmp_path / "mark"
    with opened(where, mark) as ledger:
        fill(ledger, 4)
    where.unlink()
    with opened(where, mark, seed=2) as ledger:
        with pytest.raises(RefusedError, match="stands at record 0 and has been at 4"):
            ledger.charge(charge(), SIX)
        ledger.acknowledge()
        assert ledger.counts("shop1") == {WHAT: 4}
        assert ledger.charge(charge(), SIX).seq == 6
        assert ledger.verify().seq == 6


def test_a_ledger_deleted_before_anything_was_spent_begins_anew(tmp_path: Path) -> None:
    where, mark = tmp_path / "ledger.db", tmp_path / "mark"
    opened(where, mark).close()
    where.unlink()
    with opened(where, mark, seed=2) as ledger:
        assert ledger.charge(charge(), SIX).fresh


@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_without_its_mark_a_ledger_may_be_an_old_copy(where: str, mark: Path, damage: str) -> None:
    with opened(where, mark) as ledger:
        fill(ledger, 2)
    if damage == "missing":
        mark.unlink()
    else:
        mark.write_bytes(b"x" * 100)
    with opened(where, mark) as ledger:
        with pytest.raises((RefusedError, LedgerError), match=r"missing|damaged"):
            ledger.charge(charge("autumn"), SIX)
        ledger.acknowledge()
        assert ledger.charge(charge("autumn"), SIX).fresh
        # It is in the chain for everybody to see, although nothing could be counted.
        assert kinds(ledger) == [CHARGE, CHARGE, GAP, CHARGE]
        assert ledger.verify()


def test_a_folder_restored_whole_is_found_by_a_head_that_others_kept(tmp_path: Path) -> None:
    home, backup = tmp_path / "home", tmp_path / "backup"
    home.mkdir()
    with opened(home / "db", home / "mark") as ledger:
        fill(ledger, 1)
    shutil.copytree(home, backup)
    with opened(home / "db", home / "mark") as ledger:
        fill(ledger, 4)
        kept = ledger.signed_head(SIGNER)
    shutil.rmtree(home)
    shutil.copytree(backup, home)
    with opened(home / "db", home / "mark") as ledger:
        with pytest.raises(RefusedError, match="stands at record 1 and has been at 4"):
            ledger.confront(kept, checked, SIGNER.public)
        with pytest.raises(RefusedError):
            ledger.charge(charge("autumn"), SIX)
        ledger.acknowledge()
        # Records 2 to 4 are lost; the trail names 3, 2 and 0, so 1 may be counted twice.
        assert ledger.counts("shop1") == {WHAT: 5}
        ledger.confront(kept, checked, SIGNER.public)
        assert ledger.charge(charge("autumn"), SIX).seq == 6


def test_a_fork_counts_both_branches(tmp_path: Path) -> None:
    home, other = tmp_path / "home", tmp_path / "other"
    home.mkdir()
    with opened(home / "db", home / "mark") as ledger:
        fill(ledger, 2)
    shutil.copytree(home, other)
    with opened(other / "db", other / "mark") as ledger:
        fill(ledger, 4)
        kept = ledger.signed_head(SIGNER)
    with opened(home / "db", home / "mark") as ledger:
        fill(ledger, 4, task="autumn")
        with pytest.raises(RefusedError):
            ledger.confront(kept, checked, SIGNER.public)
        ledger.acknowledge()
        # 2 together and 4 here; 2 there, from the last agreement of the trail (2) on.
        assert ledger.counts("shop1") == {WHAT: 8}
        assert ledger.verify()


def test_only_our_own_heads_can_stop_us(where: str, mark: Path) -> None:
    stranger = make_key()
    with opened(where, mark) as ledger:
        fill(ledger, 1)
        head = replace(ledger.head(), seq=50, hash="ab" * 32)
        from fedguide.privacy.chain import sign_head

        with pytest.raises(TamperedError, match="is signed by"):
            ledger.confront(sign_head(head, signer_of(stranger)), checked, SIGNER.public)
        ledger.confront(ledger.signed_head(SIGNER), checked, SIGNER.public)
        assert ledger.charge(charge("autumn"), SIX).fresh


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("UPDATE ledger SET spent = '[]'", "totals are not those"),
        ("UPDATE ledger SET spent = 'x'", "totals are damaged"),
        ("DELETE FROM entries WHERE seq = 3", "last record is not the one"),
        ("UPDATE entries SET record = replace(record, 'spring', 'sprinG') WHERE seq = 3", "last"),
        ("UPDATE ledger SET seq = 2", "last record is not the one"),
        ("DELETE FROM ledger", "another ledger"),
    ],
)
def test_damage_fails_closed(where: str, mark: Path, damage: str, said: str) -> None:
    with opened(where, mark) as ledger:
        fill(ledger, 3)
        executed(where, damage)
        if "ledger" in damage and "seq" not in damage:
            with pytest.raises(LedgerError, match=said):
                ledger.charge(charge("autumn"), SIX)
        with pytest.raises(LedgerError):
            ledger.verify()
    if "spent" not in damage and "DELETE FROM ledger" not in damage:
        with pytest.raises(LedgerError, match=said):
            opened(where, mark)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE entries SET record = replace(record, 'spring', 'sprinG') WHERE seq = 1",
        "UPDATE entries SET task = 'x' WHERE seq = 1",
        "UPDATE entries SET hash = replace(hash, substr(hash, 1, 1), 'g') WHERE seq = 2",
        "UPDATE entries SET record = '[]' WHERE seq = 2",
        "UPDATE entries SET record = '{' WHERE seq = 2",
        "DELETE FROM entries WHERE seq = 1",
    ],
)
def test_a_change_anywhere_is_found_by_verify(where: str, mark: Path, damage: str) -> None:
    with opened(where, mark) as ledger:
        fill(ledger, 4)
        executed(where, damage)
        with pytest.raises(LedgerError):
            ledger.verify()


def test_one_id_cannot_stand_twice_whatever_is_written(where: str, mark: Path) -> None:
    with opened(where, mark) as ledger:
        fill(ledger, 1)
    database = open_database(where)
    with database.engine.connect() as db:
        row = {**db.execute(sa.select(ENTRIES)).one()._mapping, "seq": 2}
    database.close()
    values = ", ".join(f"'{row[column.name]}'" for column in ENTRIES.columns)
    with pytest.raises(LedgerError, match=r"(?i)unique"):
        executed(where, f"INSERT INTO entries VALUES ({values.replace(':', chr(92) + ':')})")


def test_another_partys_ledger_is_refused(where: str, mark: Path) -> None:
    opened(where, mark).close()
    with pytest.raises(LedgerError, match="is 'shop1''s, not 'shop2''s"):
        opened(where, mark, party="shop2")


def test_a_ledger_put_in_the_place_of_an_open_one_is_refused(where: str, mark: Path) -> None:
    with opened(where, mark) as ledger:
        fill(ledger, 1)
        executed(where, f"UPDATE ledger SET id = '{'f' * 32}'")
        with pytest.raises(LedgerError, match="in the place of this one"):
            ledger.charge(charge("autumn"), SIX)


def test_a_later_version_of_the_tables_is_refused(where: str, mark: Path) -> None:
    opened(where, mark).close()
    executed(where, "UPDATE alembic_version SET version_num = '0999'")
    with pytest.raises(LedgerError, match="version 0999, this fedguide knows up to 0001") as caught:
        opened(where, mark)
    assert "upgrade" in caught.value.hint


def test_a_database_of_something_else_is_refused(where: str, mark: Path) -> None:
    executed(where, "CREATE TABLE customers (id INTEGER)")
    with pytest.raises(LedgerError, match="other tables"):
        opened(where, mark)
    assert not mark.exists()


def test_the_migrations_make_the_tables_that_we_use(where: str, mark: Path) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    opened(where, mark).close()
    database = open_database(where)
    with database.engine.connect() as db:
        assert compare_metadata(MigrationContext.configure(db), META) == []
    database.close()


def test_many_threads_share_a_ledger(where: str, mark: Path) -> None:
    with opened(where, mark) as ledger, ThreadPoolExecutor(6) as pool:

        def one(number: int) -> str:
            try:
                return f"{ledger.charge(charge('spring', number % 9), SIX).fresh}"
            except RefusedError:
                return "refused"

        said = Counter(pool.map(one, range(36)))
        assert said["True"] == 6
        assert ledger.counts("shop1") == {WHAT: 6}
        assert ledger.verify().seq == ledger.mark.read().seq


def test_many_open_a_new_ledger_at_once(where: str, mark: Path) -> None:
    with ThreadPoolExecutor(6) as pool:
        ledgers = list(pool.map(lambda seed: opened(where, mark, seed=seed), range(6)))
    assert len({ledger.header for ledger in ledgers}) == 1
    for number, ledger in enumerate(ledgers):
        assert ledger.charge(charge("spring", number), SIX).fresh
        ledger.close()


def test_what_is_no_database_is_refused(tmp_path: Path, mark: Path) -> None:
    (tmp_path / "text.db").write_text("not a database " * 1000)
    with pytest.raises(LedgerError, match="not a database"):
        opened(tmp_path / "text.db", mark)
    with pytest.raises(LedgerError, match="unable to open"):
        opened(tmp_path / "none" / "ledger.db", mark)
    with pytest.raises(LedgerError, match="cannot be used"):
        opened("postgresql://postgres@/none?host=/nowhere", mark)
    for address in ("mysql://h/d", "nonsense://", "postgresql+nodriver://u:secret@h/d"):
        with pytest.raises(ConfigError) as caught:
            opened(address, mark)
        assert "secret" not in str(caught.value) + caught.value.hint
    assert not mark.exists()


def test_a_corrupt_page_fails_closed(tmp_path: Path, mark: Path) -> None:
    where = tmp_path / "ledger.db"
    with opened(where, mark) as ledger:
        fill(ledger, 6)
    damaged = bytearray(where.read_bytes())
    damaged[4096:] = bytes(b ^ 0x5A for b in damaged[4096:])
    where.write_bytes(damaged)
    with pytest.raises(LedgerError):
        opened(where, mark)


CHILD = """
import os, sys, resource
from pathlib import Path
from fedguide.errors import LedgerError
from tests.privacy.ledgers import SIX, charge, opened
folder, trouble = Path(sys.argv[1]), sys.argv[2]
ledger = opened(folder / "ledger.db", folder / "mark")
ledger.charge(charge("spring", 0), SIX)
if trouble == "full":
    size = (folder / "ledger.db-wal").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
else:
    ledger.close()
    for path in folder.iterdir():
        path.chmod(0o444)
    folder.chmod(0o555)
    if os.geteuid() == 0:
        os.setegid(65534)
        os.seteuid(65534)
for number in range(1, 4):
    try:
        if trouble == "readonly":
            ledger = opened(folder / "ledger.db", folder / "mark")
        print(ledger.charge(charge("spring", number), SIX))
    except LedgerError as error:
        print("LedgerError", error, "|", error.hint)
"""


@pytest.mark.parametrize(
    ("trouble", "said"),
    [("full", "disk is full|disk I/O error"), ("readonly", "readonly|read-only|unable to open")],
)
def test_a_disk_that_cannot_be_written_spends_nothing(
    tmp_path: Path, trouble: str, said: str
) -> None:
    folder = tmp_path / "ledger"
    folder.mkdir()
    # Whoever is not root has to be able to reach the folder.
    for above in (tmp_path, *tmp_path.parents[:3]):
        if above.owner() == folder.owner() and above != Path("/tmp"):  # noqa: S108
            above.chmod(above.stat().st_mode | 0o011)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder), trouble],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    for line in lines:
        assert re.search(f"LedgerError .*({said})", line), line
    assert done.stderr == ""
    folder.chmod(0o755)
    for path in folder.iterdir():
        path.chmod(0o644)
    with opened(folder / "ledger.db", folder / "mark") as ledger:
        assert ledger.counts("shop1") == {WHAT: 1}


def test_a_mark_that_cannot_be_written_gives_no_receipt(where: str, mark: Path) -> None:
    with opened(where, mark) as ledger:
        fill(ledger, 1)
        kept = mark.read_bytes()

        class Failing(type(ledger.mark)):
            def raise_to(self, head) -> None:
                raise LedgerError("the ledger's mark cannot be used")

        working, ledger.mark = ledger.mark, Failing(mark)
        with pytest.raises(LedgerError):
            ledger.charge(charge("spring", 1), SIX)
        ledger.mark = working
        assert mark.read_bytes() == kept
        # It was spent; asked again, it is there, and now it is marked too.
        assert ledger.counts("shop1") == {WHAT: 2}
        assert ledger.charge(charge("spring", 1), SIX) == replace(
            ledger.charge(charge("spring", 1), SIX), fresh=False
        )
        assert ledger.mark.read().seq == 2


def test_an_unknown_event_of_a_later_version_is_an_error(where: str, mark: Path) -> None:
    strange = json.dumps(json.loads(WHAT) | {"sampling": 3.0}, separators=(",", ":"))
    database = open_database(where)
    with opened(where, mark, price=accounted) as ledger, writing(database) as db:
        db.execute(sa.update(LEDGER).values(spent=json.dumps([["shop1", strange, 1]])))
        del ledger
    database.close()
    with opened(where, mark, price=accounted) as ledger:
        ledger.mark.replace(ledger.head())
        with pytest.raises(LedgerError, match="not known to this version"):
            ledger.charge(charge(), SIX)


def test_sqlite_writes_through_to_the_disk(tmp_path: Path) -> None:
    database = open_database(str(tmp_path / "ledger.db"))
    with database.engine.connect() as db:
        assert db.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert db.exec_driver_sql("PRAGMA synchronous").scalar() == 2
    database.close()


def test_postgres_waits_for_its_disk(postgres) -> None:
    where = postgres.create("careless")
    executed(where, "ALTER DATABASE careless SET synchronous_commit = off")
    database = open_database(where)
    with database.engine.connect() as db:
        assert db.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
    database.close()
