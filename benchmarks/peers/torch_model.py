"""The model of ``simulation.py`` in torch, for the peers that train with it."""

from __future__ import annotations

import clients
import torch


class Pairs(torch.nn.Module):
    """Table and MLP; ``forward`` gives one logit a pair."""

    def __init__(self) -> None:
        super().__init__()
        for name, value in clients.first_params().items():
            setattr(self, name, torch.nn.Parameter(torch.tensor(value)))

    def forward(self, x):
        """Logits ``(n,)``."""
        seen = self.table[x.long()].reshape(len(x), -1)
        hidden = torch.relu(seen @ self.w1 + self.b1)
        return (hidden @ self.w2 + self.b2)[:, 0]

    def loss(self, x, y, **_options):
        """Mean cross-entropy."""
        return torch.nn.functional.binary_cross_entropy_with_logits(self(x), y)

    def metrics(self, *_data, **_options):
        """None: they are not timed."""
        return {}

    def arrays(self):
        """Parameters by name."""
        return {name: value.detach().numpy() for name, value in self.named_parameters()}
