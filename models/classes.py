"""The classes of both products: codes, names, colours, and the codings other systems use for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Product = Literal["local-climate-zones", "land-cover"]

NODATA: Final = 0


@dataclass(frozen=True, slots=True)
class MapClass:
    """One class of a product: its raster code, its short label, its name and its colour (#rrggbb)."""

    code: int
    label: str
    name: str
    colour: str

    @property
    def rgb(self) -> tuple[int, int, int]:
        """Red, green and blue, 0-255."""
        return (int(self.colour[1:3], 16), int(self.colour[3:5], 16), int(self.colour[5:7], 16))


# Names: Stewart & Oke 2012. Colours: WUDAPT (Demuzere et al.); LCZ E is dark grey there and black in some tools.
LOCAL_CLIMATE_ZONES: Final = (
    MapClass(1, "1", "Compact high-rise", "#8c0000"),
    MapClass(2, "2", "Compact midrise", "#d10000"),
    MapClass(3, "3", "Compact low-rise", "#ff0000"),
    MapClass(4, "4", "Open high-rise", "#bf4d00"),
    MapClass(5, "5", "Open midrise", "#ff6600"),
    MapClass(6, "6", "Open low-rise", "#ff9955"),
    MapClass(7, "7", "Lightweight low-rise", "#faee05"),
    MapClass(8, "8", "Large low-rise", "#bcbcbc"),
    MapClass(9, "9", "Sparsely built", "#ffccaa"),
    MapClass(10, "10", "Heavy industry", "#555555"),
    MapClass(11, "A", "Dense trees", "#006a00"),
    MapClass(12, "B", "Scattered trees", "#00aa00"),
    MapClass(13, "C", "Bush, scrub", "#648525"),
    MapClass(14, "D", "Low plants", "#b9db79"),
    MapClass(15, "E", "Bare rock or paved", "#000000"),
    MapClass(16, "F", "Bare soil or sand", "#fbf7ae"),
    MapClass(17, "G", "Water", "#6a6aff"),
)

# Codes: HiCity-LC. Colours: OpenEarthMap (MIT); bareland to building as there, "others" in violet.
LAND_COVER: Final = (
    MapClass(1, "bareland", "Bareland", "#800000"),
    MapClass(2, "rangeland", "Rangeland", "#00ff24"),
    MapClass(3, "developed", "Developed space", "#949494"),
    MapClass(4, "road", "Road", "#ffffff"),
    MapClass(5, "tree", "Tree", "#226126"),
    MapClass(6, "water", "Water", "#0045ff"),
    MapClass(7, "agriculture", "Agriculture land", "#4bb549"),
    MapClass(8, "building", "Building", "#de1f07"),
    MapClass(9, "others", "Others", "#7d3c98"),
)

CLASSES: Final[dict[str, tuple[MapClass, ...]]] = {
    "local-climate-zones": LOCAL_CLIMATE_ZONES,
    "land-cover": LAND_COVER,
}

# What of a parcel planners ask for beside its classes: column of its table -> the codes whose shares make it.
SHARES: Final[dict[str, dict[str, tuple[int, ...]]]] = {
    "local-climate-zones": {},
    "land-cover": {"sealed_share": (3, 4, 8), "green_share": (2, 5, 7), "building_share": (8,)},
}

# Land cover types of Local Climate Zones carry 11-17 in rasters; GeoClimate writes them as 101-107.
GEOCLIMATE_CODES: Final = {c.code: c.code + (90 if c.label in "ABCDEFG" else 0) for c in LOCAL_CLIMATE_ZONES}
# WRF (NUDAPT/WUDAPT table, MODIS-LCZ): built types are 51-60 since WRF 4.4.
WRF_URBAN_CODES: Final = {code: 50 + code for code in range(1, 11)}


def classes_of(product: str) -> tuple[MapClass, ...]:
    """Return the classes of a product in raster-code order; raises KeyError for an unknown product."""
    return CLASSES[product]


def so2sat_code(index: int) -> int:
    """Return the raster code (1-17) of a So2Sat LCZ42 one-hot index (0-16: LCZ 1-10, then A-G)."""
    if not 0 <= index <= 16:  # noqa: PLR2004 - the one-hot length of the data set
        msg = f"a So2Sat index lies in 0..16, not {index}"
        raise ValueError(msg)
    return index + 1
