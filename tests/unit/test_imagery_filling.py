"""Pixels beyond the imagery mirror it, the same in every window."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.imagery.filling import REACH, mirrored

FILL = np.array([-1.0], np.float32)
MARGIN = 2 * REACH


def test_straight_border_is_a_mirror():
    values = np.arange(100.0)[None, None, :].repeat(3, axis=1)
    valid = np.broadcast_to(np.arange(100) >= 30, (3, 100))
    filled = mirrored(values, valid, FILL)[0, 1]
    assert filled[29] == 31
    assert filled[30 - REACH] == 30 + REACH
    assert (filled[: 30 - REACH] == -1).all()
    assert (filled[30:] == np.arange(30, 100)).all()


def test_mirror_that_is_not_valid_falls_back_to_the_nearest_pixel():
    values = np.arange(9.0)[None, None, :]
    valid = np.isin(np.arange(9), [4, 5])[None, :]
    assert mirrored(values, valid, FILL)[0, 0].tolist() == [4, 4, 4, 5, 4, 5, 4, 5, 5]


def test_without_any_imagery_the_fill_is_everywhere():
    assert (mirrored(np.ones((1, 5, 5)), np.zeros((5, 5), bool), FILL) == -1).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 40), st.integers(0, 40), st.floats(0.001, 0.3))
def test_a_pixel_is_the_same_in_every_window(seed, row, column, share):
    """Windows hold a margin on each side; what lies beyond it cannot matter."""
    rng = np.random.default_rng(seed)
    values = rng.random((1, 200, 200))
    valid = rng.random((200, 200)) < share
    whole = mirrored(values, valid, FILL)
    side = 20
    top, left = 2 * REACH + row, 2 * REACH + column
    part = np.s_[top - MARGIN : top + side + MARGIN, left - MARGIN : left + side + MARGIN]
    cut = mirrored(values[:, *part], valid[part], FILL)[:, MARGIN : MARGIN + side, MARGIN : MARGIN + side]
    assert np.array_equal(cut, whole[:, top : top + side, left : left + side])
