"""What peers keep of each other's ledgers: late heads are fine, rolled back and forked ones not."""

import shutil
from dataclasses import replace

import pytest

from fedguide.cli.ledgers import verifier
from fedguide.crypto.signing import make_key, sign
from fedguide.errors import LedgerError, TamperedError
from fedguide.privacy.chain import PURPOSE, Signer, sign_head
from fedguide.privacy.events import Event
from fedguide.privacy.ledger import open_ledger
from fedguide.privacy.mechanisms import Gaussian
from fedguide.privacy.spend import Budget, Charge
from fedguide.privacy.witness import Witness, doubts, head_text, read_head, seen
from fedguide.seeds import seeded_entropy

KEY = make_key()
VERIFY = verifier()


def signer_of(key):
    return Signer(str(key.public), lambda message: sign(key, PURPOSE, message))


class Book:
    """A peer's ledger whose clock ticks with every look."""

    def __init__(self, folder, number=1):
        self.folder, self.number, self.now = folder, number, 1000

    def clock(self):
        self.now += 1
        return self.now

    def charged(self, *rounds, task="together"):
        where, mark = str(self.folder / "ledger.db"), self.folder / "ledger.mark"
        entropy = seeded_entropy(self.number)
        with open_ledger(
            where, "north", mark, clock=self.clock, entropy=entropy, price=lambda *_: 1.0
        ) as ledger:
            for number in rounds:
                event = Event(task, Gaussian(8.0, 1.0))
                ledger.charge(Charge("north", task, number, "recommend", (event,)), Budget())
            return ledger.signed_head(signer_of(KEY))

    def set_back(self, to):
        """A copy of the folder from before is put in its place, mark and all."""
        shutil.rmtree(self.folder)
        shutil.copytree(to, self.folder)


@pytest.fixture
def book(tmp_path):
    (tmp_path / "book").mkdir()
    return Book(tmp_path / "book")


def watched(*heads):
    known = None
    for head in heads:
        known = seen("north", known, head, VERIFY)
    return known


def test_a_ledger_that_grows_is_believed_in_any_order(book):
    heads = [book.charged(*range(at, at + step)) for at, step in ((0, 1), (1, 1), (2, 3), (5, 7))]
    assert watched(*heads).doubt == ""
    assert watched(*heads).last == heads[-1]
    late = watched(heads[0], heads[3], heads[1], heads[2])
    assert late.doubt == ""
    assert late.last == heads[3]


def test_a_ledger_that_was_set_back_is_noticed_at_once(book, tmp_path):
    book.charged(0, 1)
    shutil.copytree(book.folder, tmp_path / "backup")
    before = book.charged(2, 3, 4)
    book.set_back(tmp_path / "backup")
    again = book.charged()
    found = watched(before, again)
    assert found.doubt == "it was set back from record 5 to 2"
    assert (found.last, found.against) == (before, again)


def test_a_ledger_that_was_set_back_and_went_on_is_noticed(book, tmp_path):
    book.charged(0, 1)
    shutil.copytree(book.folder, tmp_path / "backup")
    before = book.charged(2, 3, 4)
    book.set_back(tmp_path / "backup")
    again = book.charged(2, 3, 4, 5, task="another")
    assert "is another one than it signed before" in watched(before, again).doubt


def test_a_doubt_is_kept_whatever_is_shown_afterwards(book, tmp_path):
    shutil.copytree(book.folder, tmp_path / "backup")
    before = book.charged(0, 1)
    book.set_back(tmp_path / "backup")
    other = book.charged(0, task="another")
    found = watched(before, other, before)
    assert found.doubt
    assert found.against == other


def test_two_heads_of_one_number_are_a_fork(book, tmp_path):
    book.charged()
    shutil.copytree(book.folder, tmp_path / "backup")
    one = book.charged(0)
    book.set_back(tmp_path / "backup")
    other = book.charged(0, task="another")
    assert watched(one, other).doubt == "its record 1 is another one than it signed before"


def test_another_ledger_another_key_and_less_spent(book):
    head = book.charged(0)
    anew = sign_head(replace(head.head, ledger="0" * 32), signer_of(KEY))
    assert "begun anew" in watched(head, anew).doubt
    assert "another key" in watched(head, sign_head(head.head, signer_of(make_key()))).doubt
    poor = replace(head.head, seq=9, hash="1" * 64, spent={}, trail=(), time=10**6)
    assert "has spent less" in watched(head, sign_head(poor, signer_of(KEY))).doubt


def test_what_was_kept_outlives_the_process(book, tmp_path):
    file = tmp_path / "kept" / "heads.json"
    first, second = book.charged(0), book.charged(1)
    Witness(file, VERIFY).keep({"north": head_text(first)})
    witness = Witness(file, VERIFY)
    witness.keep({"north": head_text(second)})
    assert witness.all() == {"north": watched(first, second)}
    assert witness.of_ledger(second.head.ledger, second.key) == (witness.all()["north"],)
    assert witness.of_ledger(second.head.ledger, "0" * 64) == ()
    forged = sign_head(replace(first.head, hash="2" * 64), signer_of(KEY))
    witness.keep({"north": head_text(forged)})
    assert [peer.party for peer in doubts(Witness(file, VERIFY).all().values())] == ["north"]


def test_what_is_not_signed_says_nothing_about_the_peer(book, tmp_path):
    file = tmp_path / "heads.json"
    head = book.charged(0)
    changed = replace(head, head=replace(head.head, hash="3" * 64))
    witness = Witness(file, VERIFY)
    witness.keep({"north": head_text(changed), "south": b"no head", "east": b"[]"})
    assert witness.all() == {}
    with pytest.raises(TamperedError, match="not signed"):
        seen("north", None, changed, VERIFY)
    with pytest.raises(TamperedError, match="at most"):
        read_head(b" " * (1 << 21))


def test_a_damaged_file_is_an_error(tmp_path):
    file = tmp_path / "heads.json"
    for text in ("", "[]", '{"north": 1}', '{"north": {}}'):
        file.write_text(text)
        with pytest.raises(LedgerError, match="damaged"):
            Witness(file, VERIFY).all()
    with pytest.raises(LedgerError, match="cannot be written"):
        Witness(tmp_path / "heads.json" / "deeper.json", VERIFY).keep({})
