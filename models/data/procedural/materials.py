"""What the procedural city's materials look like: reflectance in ten Sentinel-2 bands, and their land-cover class."""

from __future__ import annotations

from typing import Final

import numpy as np

from models.data.procedural.templates import MATERIALS

BANDS: Final = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")

# Surface reflectance, rounded from the general shape of library spectra (roofs and paving, canopies, soils, water).
_SPECTRA: Final = {
    "road": (0.075, 0.082, 0.088, 0.095, 0.102, 0.108, 0.112, 0.116, 0.140, 0.132),
    "yard": (0.105, 0.118, 0.127, 0.135, 0.144, 0.150, 0.155, 0.160, 0.185, 0.172),
    "concrete": (0.185, 0.215, 0.235, 0.248, 0.258, 0.266, 0.272, 0.278, 0.305, 0.285),
    "red tile": (0.070, 0.105, 0.185, 0.230, 0.255, 0.270, 0.285, 0.295, 0.330, 0.285),
    "dark roof": (0.055, 0.060, 0.064, 0.068, 0.073, 0.077, 0.081, 0.085, 0.105, 0.108),
    "metal roof": (0.330, 0.345, 0.350, 0.355, 0.360, 0.362, 0.365, 0.368, 0.345, 0.315),
    "gravel roof": (0.150, 0.170, 0.185, 0.196, 0.206, 0.213, 0.220, 0.226, 0.250, 0.230),
    "rusty roof": (0.085, 0.105, 0.150, 0.185, 0.205, 0.215, 0.235, 0.255, 0.370, 0.345),
    "grass": (0.040, 0.075, 0.055, 0.115, 0.255, 0.310, 0.335, 0.350, 0.215, 0.115),
    "dry grass": (0.070, 0.105, 0.130, 0.165, 0.215, 0.240, 0.260, 0.280, 0.310, 0.215),
    "green crop": (0.030, 0.065, 0.036, 0.100, 0.320, 0.410, 0.440, 0.455, 0.190, 0.090),
    "ripe crop": (0.075, 0.115, 0.150, 0.185, 0.225, 0.248, 0.270, 0.292, 0.330, 0.235),
    "broadleaf": (0.022, 0.045, 0.028, 0.075, 0.225, 0.285, 0.305, 0.315, 0.145, 0.065),
    "conifer": (0.018, 0.030, 0.020, 0.045, 0.125, 0.155, 0.170, 0.175, 0.085, 0.040),
    "bush": (0.038, 0.060, 0.060, 0.100, 0.165, 0.190, 0.205, 0.218, 0.205, 0.125),
    "soil": (0.085, 0.115, 0.155, 0.180, 0.200, 0.215, 0.230, 0.245, 0.320, 0.285),
    "sand": (0.160, 0.215, 0.270, 0.295, 0.312, 0.325, 0.338, 0.350, 0.410, 0.375),
    "water": (0.050, 0.045, 0.030, 0.024, 0.018, 0.016, 0.014, 0.012, 0.006, 0.004),
    "rock": (0.130, 0.150, 0.168, 0.180, 0.190, 0.198, 0.205, 0.212, 0.240, 0.225),
    "slag": (0.070, 0.080, 0.095, 0.108, 0.118, 0.126, 0.134, 0.142, 0.190, 0.185),
}
SPECTRA: Final = np.array([_SPECTRA[name] for name in MATERIALS], dtype=np.float32)

# Codes of models.classes.LAND_COVER.
_COVER: Final = {
    "road": 4, "yard": 3, "concrete": 3, "red tile": 8, "dark roof": 8, "metal roof": 8, "gravel roof": 8,
    "rusty roof": 8, "grass": 2, "dry grass": 2, "green crop": 7, "ripe crop": 7, "broadleaf": 5, "conifer": 5,
    "bush": 2, "soil": 1, "sand": 1, "water": 6, "rock": 1, "slag": 1,
}  # fmt: skip
LAND_COVER_OF: Final = np.array([_COVER[name] for name in MATERIALS], dtype=np.uint8)

_SKYLIGHT: Final = (0.42, 0.36, 0.31, 0.29, 0.26, 0.25, 0.24, 0.23, 0.17, 0.15)
SHADE: Final = np.array(_SKYLIGHT, dtype=np.float32)  # what is left of the light in a shadow, a band each
_HAZE: Final = (1.0, 0.68, 0.45, 0.38, 0.3, 0.27, 0.24, 0.21, 0.06, 0.03)
HAZE: Final = np.array(_HAZE, dtype=np.float32)  # path reflectance relative to the blue band's
