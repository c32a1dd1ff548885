"""Ledgers for tests: a clock that stands, ids that repeat, a price that is counted by hand."""

from pathlib import Path

from fedguide.crypto.signing import PublicKey, SigningKey, sign, verify
from fedguide.privacy.chain import PURPOSE, Signer
from fedguide.privacy.events import Event
from fedguide.privacy.ledger import Ledger, open_ledger
from fedguide.privacy.mechanisms import Gaussian, Mechanism
from fedguide.privacy.spend import Budget, Charge, Counts
from fedguide.seeds import seeded_entropy

NOW = 1_700_000_000
PLAIN = Gaussian(2.0, 1.0)
SIX = Budget(epsilon=6.0)
"""With ``by_hand``: six charges of anything."""


def by_hand(counts: Counts, _budget: Budget) -> float:
    """Everything costs one."""
    return float(sum(counts.values()))


def opened(where: object, mark: Path, party: str = "shop1", seed: int = 1, **kwargs: object):
    kwargs = {"price": by_hand, "clock": lambda: NOW, **kwargs}
    return open_ledger(str(where), party, mark, entropy=seeded_entropy(seed), **kwargs)


def charge(
    task: str = "spring",
    round_number: int = 0,
    *mechanisms: Mechanism,
    account: str = "shop1",
    question: str = "",
) -> Charge:
    events = tuple(Event(task, mechanism) for mechanism in mechanisms or (PLAIN,))
    return Charge(account, task, round_number, "recommend", events, question)


def signer_of(key: SigningKey) -> Signer:
    return Signer(str(key.public), lambda message: sign(key, PURPOSE, message))


def checked(public: str, message: bytes, signature: bytes) -> None:
    verify(PublicKey(public), PURPOSE, message, signature)


def fill(ledger: Ledger, rounds: int, task: str = "spring", budget: Budget = SIX) -> None:
    for number in range(rounds):
        ledger.charge(charge(task, number), budget)
