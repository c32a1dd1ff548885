"""What holds for every test, and for the processes a test starts."""

import os

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Compiles without XLA's expensive passes, before anything imports jax.

    Tests compile hundreds of small programs and run each a few times: the passes cost more than
    they give back. End-to-end tests run what a user runs, and keep them.
    """
    if config.getoption("markexpr") != "e2e":
        os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
