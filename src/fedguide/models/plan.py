"""What a training run of the guide network is told; frozen, hashable, no engine behind it."""

from __future__ import annotations

from dataclasses import dataclass, field

from fedguide.errors import ConfigError
from fedguide.models.names import GUIDE_ENCODERS
from fedguide.models.text import TextSpec


@dataclass(frozen=True)
class GuidePlan:
    """How the guide network looks and learns; every party of a run has the same.

    Attributes:
        encoder: name of the shopper encoder, a key of ``GUIDE_ENCODERS``.
        text: features of the text tower.
        size: length d of an item vector.
        events: latest events the encoder reads.
        lines: most lines of one basket that are asked for in one step; a longer basket shows
            another random part each time.
        batch: baskets a step.
        steps: most steps a local round; a shop with more baskets takes a random part of them.
        learning_rate: of AdamW.
        weight_decay: of AdamW.
        token_dropout: share of text features dropped a step.
        event_dropout: share of a context's events the encoder does not see.
        dropout: share of a shopper vector dropped a step.
        cart: share of examples in which a random part of the basket is moved into the context.
        repurchase: weight in the loss of an item the shopper bought before.
        recent_days: sales of this many days count as recent.
        one_vote: a shopper counts once for an item in the sales everybody sees, not once a basket:
            what keeps malicious shoppers from promoting an item by buying it again and again.
        negatives: sampled items a step where the shop has more than ``full_softmax`` items.
        full_softmax: up to this many items every item is ranked in every step.
        sampled_batch: baskets a step where items are sampled: a step costs as much as the
            catalogue is large, so it has to serve many.
        sampled_steps: most steps a local round where items are sampled: as many as all shops of
            Online Retail together take in a round, so that rounds and patience mean the same.
        sampled_events: latest events the encoder reads while training where items are sampled.

    Raises:
        ConfigError: a field is out of range.
    """

    encoder: str = "bag"
    text: TextSpec = field(default_factory=TextSpec)
    size: int = 128
    events: int = 200
    lines: int = 64
    batch: int = 64
    steps: int = 400
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    token_dropout: float = 0.3
    event_dropout: float = 0.3
    dropout: float = 0.1
    cart: float = 0.5
    repurchase: float = 0.3
    recent_days: int = 20
    negatives: int = 2048
    full_softmax: int = 5000
    sampled_batch: int = 512
    sampled_steps: int = 100
    sampled_events: int = 64
    one_vote: bool = False

    def __post_init__(self) -> None:
        """Checks every range once."""
        if self.encoder not in GUIDE_ENCODERS:
            raise ConfigError(
                f"encoder must be one of {sorted(GUIDE_ENCODERS)}, got {self.encoder!r}"
            )
        for name in (
            *("size", "events", "lines", "batch", "steps", "recent_days", "negatives"),
            *("sampled_batch", "sampled_steps", "sampled_events"),
        ):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not self.learning_rate > 0:
            raise ConfigError(f"learning_rate must be above 0, got {self.learning_rate}")
        if not self.weight_decay >= 0:
            raise ConfigError(f"weight_decay must be at least 0, got {self.weight_decay}")
        for name in ("token_dropout", "event_dropout", "dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} must be in [0, 1), got {getattr(self, name)}")
        for name in ("cart", "repurchase"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} must be in [0, 1], got {getattr(self, name)}")
