"""What holds for every test, and for the processes a test starts."""

import os

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Compiles without XLA's expensive passes, before anything imports jax.

    Tests compile hundreds of small programs and run each a few times: the passes cost more than
    they give back. End-to-end tests run what a user runs, and keep them.
    """
    if config.getoption("markexpr") == "e2e":
        return
    os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
    # Many tests compile the same programs. Each worker keeps its own: what one is writing, another
    # must not read.
    worker = os.environ.get("PYTEST_XDIST_WORKER", "alone")
    kept = config.rootpath / ".pytest_cache" / "xla" / worker
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(kept))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.05")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
