"""What the bands of the `uncertainty` output mean."""

from __future__ import annotations

from typing import Final

# 0 is a value of every band.
NODATA: Final = 255
SECOND_CLASS: Final = "second class"
BANDS: Final = (
    ("top probability", "Top probability of the unit that decided, percent"),
    ("entropy", "Normalised entropy of the unit that decided, percent"),
    (SECOND_CLASS, "Second most probable class of the unit that decided, code (0 none)"),
    ("morphology share", "Share of the building branch in the decision (alpha_m), percent"),
    ("geographic consistency", "Fit of the class to the place, 100 exp(-D_c), percent"),
)
