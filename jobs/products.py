"""What the outputs of a map hold that others read again: units, the bands of `uncertainty`, the layer of parcels."""

from __future__ import annotations

from typing import Final

# The raster `units`: what decided a pixel.
UNIT_TITLES: Final = {1: "pixel", 2: "scene cell", 3: "parcel", 4: "block of parcels"}

# The layer of the GeoPackage.
PARCELS_LAYER: Final = "parcels"

# The raster `uncertainty`: the tag NAME and the description of each band. 0 is a value of every band.
UNSURE: Final = 255
ENTROPY: Final = "entropy"
SECOND_CLASS: Final = "second class"
BUILDINGS_SHARE: Final = "morphology share"
CONSISTENCY: Final = "geographic consistency"
DOUBTS: Final = (
    ("top probability", "Top probability of the unit that decided, percent"),
    (ENTROPY, "Normalised entropy of the unit that decided, percent"),
    (SECOND_CLASS, "Second most probable class of the unit that decided, code (0 none)"),
    (BUILDINGS_SHARE, "Share of the building branch in the decision (alpha_m), percent"),
    (CONSISTENCY, "Fit of the class to the place, 100 exp(-D_c), percent"),
)
