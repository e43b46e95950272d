"""Run lengths against the library that defines them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco

from worker.annotation.coco import run_lengths


@given(
    arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9))).filter(lambda a: bool(a.any())),
    st.tuples(st.integers(0, 5), st.integers(0, 5)),
    st.tuples(st.integers(0, 5), st.integers(0, 5)),
)
def test_run_lengths_are_those_of_coco(inside: np.ndarray, place: tuple[int, int], more: tuple[int, int]) -> None:
    whole = np.zeros([p + s + m for p, s, m in zip(place, inside.shape, more, strict=True)], bool)
    whole[place[0] : place[0] + inside.shape[0], place[1] : place[1] + inside.shape[1]] = inside
    rows, columns = whole.shape
    counts = run_lengths(inside, place, (rows, columns))
    packed = coco.frPyObjects({"size": [rows, columns], "counts": counts}, rows, columns)
    assert np.array_equal(coco.decode(packed), whole)
