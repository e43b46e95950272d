"""The classes of both products: codes, names, colours, and the codings other systems use for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Product = Literal["local-climate-zones", "land-cover"]
Palette = Literal["standard", "safe"]

NODATA: Final = 0


@dataclass(frozen=True, slots=True)
class MapClass:
    """One class of a product: its raster code, its short label, its name and its colour (#rrggbb) in two palettes."""

    code: int
    label: str
    name: str
    colour: str
    safe: str

    def colour_in(self, palette: Palette) -> str:
        """Return the colour in a palette, #rrggbb."""
        return self.safe if palette == "safe" else self.colour

    def rgb_in(self, palette: Palette) -> tuple[int, int, int]:
        """Return red, green and blue in a palette, 0-255."""
        red, green, blue = bytes.fromhex(self.colour_in(palette)[1:])
        return red, green, blue

    @property
    def rgb(self) -> tuple[int, int, int]:
        """Red, green and blue of the standard palette, 0-255."""
        return self.rgb_in("standard")


# The second colour of a class, here and below, is what `python -m benchmarks.palettes --search <product>` finds.
# Names: Stewart & Oke 2012. Colours: WUDAPT (Demuzere et al.); LCZ E is dark grey there and black in some tools.
LOCAL_CLIMATE_ZONES: Final = (
    MapClass(1, "1", "Compact high-rise", "#8c0000", "#440058"),
    MapClass(2, "2", "Compact midrise", "#d10000", "#8834a2"),
    MapClass(3, "3", "Compact low-rise", "#ff0000", "#9c70a4"),
    MapClass(4, "4", "Open high-rise", "#bf4d00", "#803c07"),
    MapClass(5, "5", "Open midrise", "#ff6600", "#b16500"),
    MapClass(6, "6", "Open low-rise", "#ff9955", "#d69c1a"),
    MapClass(7, "7", "Lightweight low-rise", "#faee05", "#ece100"),
    MapClass(8, "8", "Large low-rise", "#bcbcbc", "#9c979a"),
    MapClass(9, "9", "Sparsely built", "#ffccaa", "#fdb9d9"),
    MapClass(10, "10", "Heavy industry", "#555555", "#4c515f"),
    MapClass(11, "A", "Dense trees", "#006a00", "#003e2c"),
    MapClass(12, "B", "Scattered trees", "#00aa00", "#057354"),
    MapClass(13, "C", "Bush, scrub", "#648525", "#7d9768"),
    MapClass(14, "D", "Low plants", "#b9db79", "#afcb90"),
    MapClass(15, "E", "Bare rock or paved", "#000000", "#000007"),
    MapClass(16, "F", "Bare soil or sand", "#fbf7ae", "#faf7e3"),
    MapClass(17, "G", "Water", "#6a6aff", "#0194ff"),
)

# Codes: HiCity-LC. Colours: OpenEarthMap (MIT); bareland to building as there, "others" in violet.
LAND_COVER: Final = (
    MapClass(1, "bareland", "Bareland", "#800000", "#7a0002"),
    MapClass(2, "rangeland", "Rangeland", "#00ff24", "#91f38d"),
    MapClass(3, "developed", "Developed space", "#949494", "#86838b"),
    MapClass(4, "road", "Road", "#ffffff", "#fbfaff"),
    MapClass(5, "tree", "Tree", "#226126", "#16594b"),
    MapClass(6, "water", "Water", "#0045ff", "#026cd5"),
    MapClass(7, "agriculture", "Agriculture land", "#4bb549", "#81aa7c"),
    MapClass(8, "building", "Building", "#de1f07", "#ff6004"),
    MapClass(9, "others", "Others", "#7d3c98", "#4e2c68"),
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
