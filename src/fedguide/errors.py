"""Every error fedguide raises on purpose, in one tree.

    FedGuideError
    ├── InputError          what was handed in is not usable (exit 4)
    │   ├── ConfigError       a setting, an option, a config key
    │   ├── DataError         rows, files, columns
    │   ├── NotFoundError     a shopper, an item, a release that is not there
    │   └── TamperedError     an export that is not what its ledger wrote
    ├── PayloadError        bytes from another party are not a legal message
    │   ├── TruncatedError  OversizedError  UnknownKindError  WrongDtypeError
    │   ├── WrongShapeError NotFiniteError  DuplicateKeyError MalformedError
    │   └── VersionError      another version of the format
    ├── ProtocolError       a legal message at an illegal moment
    │   └── QuorumLostError   too few parties answered
    ├── RunError            a run could not go on (exit 1)
    │   ├── JournalError      the journal and the run do not fit together
    │   └── LedgerError       the budget ledger cannot be used: nothing may be spent
    ├── ReleaseError        a release that must not be loaded
    │   └── SignatureError    it was tampered with, or signed by somebody else
    ├── ConnectionFailedError  another process was not reached (exit 2)
    │   ├── BusyError             it has too much of this to do; try again later
    │   │   └── OverloadedError     it has too much of everything to do
    │   └── NotAuthorizedError    it did not accept who we are
    │       ├── ExpiredError        the request is too old, or a clock is wrong
    │       ├── ReplayedError       the request was made before
    │       ├── RevokedError        the party is not, or no longer, admitted
    │       └── RoleError           it knows who we are, and we may not do this
    ├── TimedOutError          (exit 3)
    └── RefusedError        refused by privacy policy (exit 6)

The text of an error names the value got and the range allowed; ``hint`` is one command or
one step that helps. Neither ever holds a secret or a person's data.
"""

from __future__ import annotations

from typing import ClassVar


class FedGuideError(Exception):
    """Any error raised on purpose; ``code`` is stable and can be looked up in the docs."""

    exit_code: ClassVar[int] = 1
    code: ClassVar[str] = "FG000"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class InputError(FedGuideError):
    """What was handed in is not usable."""

    exit_code = 4
    code = "FG400"


class ConfigError(InputError):
    """A setting, an option or a config key is wrong."""

    code = "FG401"


class DataError(InputError):
    """Rows, files or columns are wrong."""

    code = "FG402"


class NotFoundError(InputError):
    """A named thing (shopper, item, release) is not there."""

    code = "FG404"


class TamperedError(InputError):
    """An export of a ledger is not, byte for byte, what the ledger wrote."""

    code = "FG406"


class PayloadError(FedGuideError):
    """Bytes from another party are not a legal message: their sender's fault."""

    exit_code = 2
    code = "FG200"


class TruncatedError(PayloadError):
    """The payload ends before its header says it does."""

    code = "FG201"


class OversizedError(PayloadError):
    """The payload, or a part of it, is larger than the running task allows."""

    code = "FG202"


class UnknownKindError(PayloadError):
    """The payload names a kind of message the running protocol does not allow."""

    code = "FG203"


class WrongDtypeError(PayloadError):
    """A field has another type than its message declares."""

    code = "FG204"


class WrongShapeError(PayloadError):
    """An array has another shape than the running task allows."""

    code = "FG205"


class NotFiniteError(PayloadError):
    """An array or number holds NaN or an infinity where finite values are required."""

    code = "FG206"


class DuplicateKeyError(PayloadError):
    """A map in the payload names one key twice."""

    code = "FG207"


class MalformedError(PayloadError):
    """The payload is not in the format at all."""

    code = "FG208"


class VersionError(PayloadError):
    """The payload is of another version of the format."""

    code = "FG209"


class ProtocolError(FedGuideError):
    """A legal message came at a moment when it is not."""

    code = "FG210"


class QuorumLostError(ProtocolError):
    """Too few parties answered an ``Ask`` before its deadline."""

    code = "FG211"


class RunError(FedGuideError):
    """A run could not go on."""

    code = "FG100"


class JournalError(RunError):
    """A journal and the run that reads it do not fit together."""

    code = "FG101"


class LedgerError(RunError):
    """The budget ledger cannot be read, written or trusted, so nothing may be spent."""

    code = "FG102"


class ReleaseError(FedGuideError):
    """A release that must not be loaded."""

    exit_code = 4
    code = "FG500"


class SignatureError(ReleaseError):
    """A release was tampered with, or is signed by a key that is not trusted."""

    code = "FG501"


class ConnectionFailedError(FedGuideError):
    """Another process could not be reached, or did not accept who we are."""

    exit_code = 2
    code = "FG220"


class BusyError(ConnectionFailedError):
    """Another process has too much to do; ``retry_after_s`` says when to try again."""

    code = "FG225"

    def __init__(self, message: str, *, hint: str = "", retry_after_s: float = 1.0) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class OverloadedError(BusyError):
    """Another process has no room for any request now, whoever makes it."""

    code = "FG226"


class NotAuthorizedError(ConnectionFailedError):
    """A request is not signed, or not by whom it says."""

    code = "FG221"


class ExpiredError(NotAuthorizedError):
    """A request's time is over or too far ahead: it is old, or a clock is wrong."""

    code = "FG222"


class ReplayedError(NotAuthorizedError):
    """The same request was made before."""

    code = "FG223"


class RevokedError(NotAuthorizedError):
    """The party is not yet, or no longer, admitted."""

    code = "FG224"


class RoleError(NotAuthorizedError):
    """Whoever asks is known, and may not do this."""

    code = "FG227"


class TimedOutError(FedGuideError):
    """Something took longer than its deadline."""

    exit_code = 3
    code = "FG300"


class RefusedError(FedGuideError):
    """A party's privacy policy refused."""

    exit_code = 6
    code = "FG600"


def kinds_by_code() -> dict[str, type[FedGuideError]]:
    """Every kind of error by its code, to raise again what another process answered."""
    kinds: list[type[FedGuideError]] = [FedGuideError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    # A room may refine a kind for itself; what crosses a process is a kind of this file.
    return {kind.code: kind for kind in kinds if kind.__module__ == __name__}
