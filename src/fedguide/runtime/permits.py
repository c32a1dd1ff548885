"""A party's permit for one task: judged by its policy once, charged to its ledger every round."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from fedguide.codec import encode
from fedguide.horizontal.messages import Question
from fedguide.privacy.ledger import Ledger
from fedguide.privacy.policy import Policy, TaskTerms, charge_before, charge_of, judge


def permit(
    ledger: Ledger, policy: Policy, terms: TaskTerms, account: str, *, once: bool = False
) -> Callable[[Question], None]:
    """What ``PartyEnv.permit`` wants; the task as a whole is judged here, before its first round.

    The permit charges the round of a message before anything is computed for it. A round that is
    asked for again is there already; with another message it is refused. Where all rounds are
    ``once`` one mechanism, the first message is charged for all of them. What is released before
    the rounds is charged with the first message that comes, and no second time.

    Raises:
        RefusedError: the policy does not allow the task; so does the permit for a round that the
            budget does not afford.
        LedgerError: the ledger cannot be used.
    """
    judge(policy, terms, ledger, account)
    before = charge_before(terms, account)

    def charged(message: Question) -> None:
        if before is not None:
            ledger.charge(before, policy.budget)
        if once:
            ledger.charge(charge_of(terms, account, 0), policy.budget)
            return
        question = hashlib.sha256(encode(message)).hexdigest()
        ledger.charge(charge_of(terms, account, message.round, question), policy.budget)

    return charged
