"""A shop whose two slates are served by two networks that have little in common, for tests."""

from __future__ import annotations

from dataclasses import replace

from fedguide.models.encoders import item_vectors
from fedguide.models.scorer import ShopModel, SlateWeights
from tests.guide.sample import a_model, a_network


def another(model: ShopModel, seed: int = 7) -> ShopModel:
    """Another network, of another width, and other neighbours for the same items and sales."""
    network, unlike = a_network(seed, size=16), a_model(seed, len(model) // 80)
    return replace(
        model,
        network=network,
        item_vectors=item_vectors(network, model.catalogue),
        neighbours=unlike.neighbours,
        neighbour_weights=unlike.neighbour_weights,
        neighbour_days=45.0,
        slates={
            "again": SlateWeights(1.5, 0.3, 0.4, 0.2, 0.6, 0.1, 0.0, 0.0),
            "discover": SlateWeights(0.7, 1.3, 0.0, 0.0, 0.0, 0.1, 0.2, 0.0),
        },
    )
