"""The shared model that a run keeps for its audit."""

from pathlib import Path

import numpy as np
import pytest

from fedguide.cli.folders import SHARED, shared_model
from fedguide.errors import DataError, NotFoundError


def test_what_was_kept_comes_back(tmp_path: Path) -> None:
    params = np.arange(5, dtype=np.float32)
    np.save(tmp_path / SHARED, params, allow_pickle=False)
    np.testing.assert_array_equal(shared_model(tmp_path), params)


def test_a_run_of_before_has_none(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no shared model"):
        shared_model(tmp_path)


def test_anything_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / SHARED).write_bytes(b"\x93NUMPY nothing of the kind")
    with pytest.raises(DataError, match="damaged"):
        shared_model(tmp_path)
    np.save(tmp_path / SHARED, np.zeros((2, 2), np.float32), allow_pickle=False)
    with pytest.raises(DataError, match="float32 vector"):
        shared_model(tmp_path)
    np.save(tmp_path / SHARED, np.array([{}], object), allow_pickle=True)
    with pytest.raises(DataError, match="damaged"):
        shared_model(tmp_path)
