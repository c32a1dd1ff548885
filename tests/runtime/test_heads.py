"""Heads of ledgers between parties: a ledger that was set back is known to all others."""

import shutil
import time

import pytest

from fedguide.cli.ledgers import verifier
from fedguide.crypto.signing import make_key, sign
from fedguide.errors import RefusedError
from fedguide.privacy.chain import PURPOSE, Signer
from fedguide.privacy.events import Event
from fedguide.privacy.ledger import open_ledger
from fedguide.privacy.mechanisms import Gaussian
from fedguide.privacy.spend import Budget, Charge
from fedguide.privacy.witness import Witness, doubts, head_text
from fedguide.protocol import run
from fedguide.runtime.couriers import Party, in_process
from fedguide.runtime.heads import Heads, HeadShown, exchange, with_heads
from fedguide.seeds import seeded_entropy
from fedguide.values import PartyId

NAMES = ("east", "north", "south")


class Shop:
    """A party with a ledger, a key and a file of what it saw of the others."""

    def __init__(self, folder, number):
        self.name, self.folder, self.now = NAMES[number], folder / NAMES[number], 1000
        self.folder.mkdir()
        self.number, self.key = number, make_key()
        self.witness = Witness(folder / f"{self.name}.heads.json", verifier())

    def clock(self):
        self.now += 1
        return self.now

    def head(self, *rounds):
        signer = Signer(str(self.key.public), lambda text: sign(self.key, PURPOSE, text))
        with open_ledger(
            str(self.folder / "ledger.db"),
            self.name,
            self.folder / "ledger.mark",
            clock=self.clock,
            entropy=seeded_entropy(self.number),
            price=lambda *_: 1.0,
        ) as ledger:
            for number in rounds:
                events = (Event("together", Gaussian(8.0, 1.0)),)
                ledger.charge(Charge(self.name, "together", number, "recommend", events), Budget())
            return head_text(ledger.signed_head(signer))

    def party(self):
        def answer(_env, _state, message):
            raise RefusedError(f"no {type(message).__name__} here")

        return with_heads(Party(None, answer, lambda: None), Heads(self.head, self.witness.keep))


@pytest.fixture
def shops(tmp_path):
    return [Shop(tmp_path, number) for number in range(len(NAMES))]


def exchanged(parties, number):
    run(exchange(tuple(parties), number), in_process(parties, time.monotonic))


def test_everybody_learns_of_a_ledger_that_was_set_back(shops, tmp_path):
    parties = {PartyId(shop.name): shop.party() for shop in shops}
    for shop in shops:
        shop.head(0)
    shutil.copytree(shops[1].folder, tmp_path / "backup")
    for number in (0, 1):
        for shop in shops:
            shop.head(number)
        exchanged(parties, number)
    for shop in shops:
        seen = shop.witness.all()
        assert sorted(seen) == [name for name in NAMES if name != shop.name]
        assert {peer.last.head.seq for peer in seen.values()} == {2}
        assert not doubts(seen.values())
    shutil.rmtree(shops[1].folder)
    shutil.copytree(tmp_path / "backup", shops[1].folder)
    exchanged(parties, 2)
    for shop in (shops[0], shops[2]):
        (found,) = doubts(shop.witness.all().values())
        assert (found.party, found.doubt) == ("north", "it was set back from record 2 to 1")
    assert not doubts(shops[1].witness.all().values())


def test_who_shows_nothing_costs_nobody_the_round(shops):
    def mute(_env, _state, message):
        raise RefusedError(f"no {type(message).__name__} here")

    parties = {PartyId(shop.name): shop.party() for shop in shops[:2]}
    parties[PartyId("south")] = Party(None, mute, lambda: None)
    shops[0].head(0)
    exchanged(parties, 0)
    assert sorted(shops[1].witness.all()) == ["east"]
    exchanged({PartyId("south"): Party(None, mute, lambda: None)}, 0)
    with pytest.raises(RefusedError):
        shops[0].party().answer(None, None, HeadShown(0, b""))
