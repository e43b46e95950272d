"""What an item says of itself, in the words of several catalogues: its processing baseline and its outline."""

from __future__ import annotations

import re
from typing import Any, Final

import pystac
from shapely.errors import ShapelyError
from shapely.geometry import shape

_IN_ID: Final = re.compile(r"_N(\d{2})(\d{2})_")


def baseline_of(item: pystac.Item) -> float | None:
    """Return the processing baseline (5.11) from the properties or from ESA's product name, or None."""
    told = first_told(
        item.properties, "s2:processing_baseline", "sentinel:processing_baseline", "processing:version",
        "processing_baseline",
    )  # fmt: skip
    try:
        if told is not None:
            return float(told)
    except (TypeError, ValueError):
        pass
    name = _IN_ID.search(f"{item.id}_{item.properties.get('s2:product_uri', '')}_")
    return float(f"{name[1]}.{name[2]}") if name else None


def first_told(properties: dict[str, Any], *names: str) -> Any:
    """Return the first property of these names that is there, or None."""
    return next((properties[n] for n in names if properties.get(n) is not None), None)


def footprint(item: pystac.Item) -> Any | None:
    """Return an item's outline as a valid geometry, or None where it has none."""
    try:
        return None if item.geometry is None else shape(item.geometry).buffer(0)
    except (ShapelyError, ValueError, TypeError, KeyError, AttributeError, IndexError):
        return None
