"""The channels of urban form that a network may take beside the image, in their order."""

from __future__ import annotations

from typing import Final

CHANNELS: Final = ("built", "height", "height_spread", "sky_view_factor", "aspect_ratio", "valid")
