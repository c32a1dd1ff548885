"""What holds for every test, and for the processes a test starts."""

import os

# Tests compile hundreds of small programs and run each a few times: XLA's expensive passes cost
# more than they give back. Set before jax is imported; benchmarks and users' runs keep them.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
