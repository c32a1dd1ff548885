"""What holds for every test, and for the processes a test starts."""

import gc
import os
import sys
from collections.abc import Generator
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import settings

# A deadline is an assertion on time, which a busy machine misses.
settings.register_profile("fedguide", deadline=None)
settings.load_profile("fedguide")

QUICK_COMPILER = (
    # The old emitters compile in half the time; one piece is not worth splitting into 32.
    "--xla_cpu_use_fusion_emitters=false",
    "--xla_cpu_parallel_codegen_split_count=1",
    "--xla_llvm_enable_alias_scope_metadata=false",
    "--xla_llvm_enable_noalias_metadata=false",
)
"""Flags of XLA; a jaxlib that does not know one of them ends the process and says which."""


def pytest_configure(config: pytest.Config) -> None:
    """Compiles without XLA's expensive passes, in one thread, before anything imports jax.

    Tests compile hundreds of small programs and run each a few times: the passes cost more than
    they give back. End-to-end tests run what a user runs, and keep them.
    """
    if config.getoption("markexpr") == "e2e":
        return
    # Workers fill the cores; more threads of BLAS only spin, for most of the time of a product.
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
    os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
    os.environ.setdefault("XLA_FLAGS", " ".join(QUICK_COMPILER))
    # For the processes that tests start; they may be killed while they write.
    worker = os.environ.get("PYTEST_XDIST_WORKER", "alone")
    kept = config.rootpath / ".pytest_cache" / "xla" / worker
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(kept))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.05")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Imports no browser tests, in any worker, where their mark leaves them out anyway."""
    left_out = "not e2e" in config.getoption("markexpr")
    return True if left_out and collection_path == Path(__file__).parent / "e2e" else None


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Looks for no garbage while everything is imported, nor ever among what was imported."""
    gc.disable()
    try:
        _compile_a_part(session.config)
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def _compile_a_part(config: pytest.Config) -> None:
    """Begins with another part of the test files in each worker; others find them compiled.

    In the order of collection every worker would compile every file of a fresh clone, at the same
    time as the others. What cannot be imported is left for collection to report.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers == 1 or config.args_source != config.ArgsSource.TESTPATHS:
        return
    root = Path(__file__).parent
    files = sorted(file for file in root.glob("**/test_*.py") if file.parent != root / "e2e")
    first = int(os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw")) * len(files) // workers
    for file in files[first:] + files[:first]:
        with suppress(Exception, pytest.skip.Exception):
            import_module(".".join(file.relative_to(root.parent).with_suffix("").parts))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Lets all workers share what they compile: many tests compile the same programs."""
    jax = sys.modules.get("jax")
    if jax is None or session.config.getoption("markexpr") == "e2e":
        return
    from jax._src.lru_cache import LRUCache

    LRUCache.put = _put_whole
    shared = session.config.rootpath / ".pytest_cache" / "xla" / "shared"
    jax.config.update("jax_compilation_cache_dir", str(shared))


def _put_whole(cache: object, key: str, value: bytes) -> None:
    """Stores a program so that no other process ever reads half of it; jax's own way may."""
    folder = Path(str(cache.path))  # type: ignore[attr-defined]
    half_done = folder / f"{key}.{os.getpid()}"
    half_done.write_bytes(value)
    half_done.replace(folder / f"{key}-cache")
