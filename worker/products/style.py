"""Styles for desktop GIS: QML and SLD for raster and parcels, and colour tables, in one zip that never changes."""

from __future__ import annotations

import io
import zipfile
from typing import Final
from xml.etree import ElementTree as ET

from models.classes import NODATA, MapClass

Classes = tuple[MapClass, ...]

CLASS_COLUMN: Final = "class_code"
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_SLD: Final = {
    "xmlns": "http://www.opengis.net/sld",
    "xmlns:ogc": "http://www.opengis.net/ogc",
    "xmlns:se": "http://www.opengis.net/se",
    "version": "1.0.0",
}
_README: Final = """Styles of the map
map.qml          QGIS, raster: Layer > Properties > Style > Load Style
map.sld          GeoServer and others, raster
parcels.qml      QGIS, parcels (GeoParquet; the GeoPackage carries it inside)
parcels.sld      GeoServer and others, parcels
colours.txt      GDAL colour table: gdaldem color-relief -exact_color_entry map.tif colours.txt rgb.tif
colours.clr      Esri colour map
classes.csv      code, label, name, colour
"""


def style_zip(classes: Classes) -> bytes:
    """Return the zip of all styles of a product."""
    files = {
        "README.txt": _README,
        "classes.csv": _csv(classes),
        "colours.clr": "".join(f"{c.code} {c.rgb[0]} {c.rgb[1]} {c.rgb[2]}\n" for c in classes),
        "colours.txt": colour_table(classes),
        "map.qml": raster_qml(classes),
        "map.sld": raster_sld(classes),
        "parcels.qml": parcels_qml(classes),
        "parcels.sld": parcels_sld(classes),
    }
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name, date_time=_EPOCH)
            entry.compress_type, entry.create_system, entry.external_attr = zipfile.ZIP_DEFLATED, 3, 0o644 << 16
            archive.writestr(entry, text.encode())
    return sink.getvalue()


def colour_table(classes: Classes) -> str:
    """Return the table gdaldem color-relief reads: code, red, green, blue, alpha."""
    rows = [f"{NODATA} 0 0 0 0", *(f"{c.code} {c.rgb[0]} {c.rgb[1]} {c.rgb[2]} 255" for c in classes), "nv 0 0 0 0"]
    return "\n".join(rows) + "\n"


def raster_qml(classes: Classes) -> str:
    """Return a QGIS style of the class raster: paletted, with names."""
    root = ET.Element("qgis", version="3.28", styleCategories="Symbology", hasScaleBasedVisibilityFlag="0")
    renderer = ET.SubElement(
        ET.SubElement(root, "pipe"),
        "rasterrenderer",
        type="paletted", band="1", opacity="1", alphaBand="-1", nodataColor="",
    )  # fmt: skip
    palette = ET.SubElement(renderer, "colorPalette")
    for c in classes:
        ET.SubElement(palette, "paletteEntry", value=str(c.code), color=c.colour, label=legend(c), alpha="255")
    return _text(root, "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n")


def parcels_qml(classes: Classes) -> str:
    """Return a QGIS style of the parcels: categorised by class code, grey where a parcel has none."""
    root = ET.Element("qgis", version="3.28", styleCategories="Symbology")
    renderer = ET.SubElement(
        root,
        "renderer-v2",
        type="categorizedSymbol",
        attr=CLASS_COLUMN,
        symbollevels="0",
        forceraster="0",
        enableorderby="0",
    )
    categories, symbols = ET.SubElement(renderer, "categories"), ET.SubElement(renderer, "symbols")
    entries = [(str(c.code), "integer", legend(c), c.rgb) for c in classes]
    entries.append(("", "QString", "no class", (217, 217, 217)))  # what QGIS writes for all other values
    for index, (value, kind, label, rgb) in enumerate(entries):
        shown = {"value": value, "type": kind, "label": label, "symbol": str(index), "render": "true"}
        ET.SubElement(categories, "category", shown)
        _fill(ET.SubElement(symbols, "symbol", type="fill", name=str(index), alpha="1", clip_to_extent="1"), rgb)
    return _text(root, "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n")


def raster_sld(classes: Classes) -> str:
    """Return a Styled Layer Descriptor 1.0 of the class raster."""
    root, rule = _sld("map")
    ramp = ET.SubElement(ET.SubElement(rule, "RasterSymbolizer"), "ColorMap", type="values")
    for c in classes:
        ET.SubElement(ramp, "ColorMapEntry", color=c.colour, quantity=str(c.code), label=legend(c), opacity="1")
    return _text(root, '<?xml version="1.0" encoding="UTF-8"?>\n')


def parcels_sld(classes: Classes) -> str:
    """Return a Styled Layer Descriptor 1.0 of the parcels, one rule a class."""
    root, first = _sld("parcels")
    style = root.find(".//FeatureTypeStyle")
    assert style is not None  # noqa: S101 - _sld has just made it
    style.remove(first)
    for c in classes:
        rule = ET.SubElement(style, "Rule")
        ET.SubElement(rule, "Name").text = c.label
        ET.SubElement(rule, "Title").text = legend(c)
        equal = ET.SubElement(ET.SubElement(rule, "ogc:Filter"), "ogc:PropertyIsEqualTo")
        ET.SubElement(equal, "ogc:PropertyName").text = CLASS_COLUMN
        ET.SubElement(equal, "ogc:Literal").text = str(c.code)
        _polygon(rule, c.colour)
    return _text(root, '<?xml version="1.0" encoding="UTF-8"?>\n')


def legend(kind: MapClass) -> str:
    """Return a class as legends write it: label and name, once where both say the same."""
    return kind.name if kind.label.casefold() in kind.name.casefold().split() else f"{kind.label} {kind.name}"


def _csv(classes: Classes) -> str:
    return "code,label,name,colour\n" + "".join(f'{c.code},{c.label},"{c.name}",{c.colour}\n' for c in classes)


def _fill(symbol: ET.Element, rgb: tuple[int, int, int]) -> None:
    layer = ET.SubElement(symbol, "layer", {"class": "SimpleFill", "enabled": "1", "locked": "0", "pass": "0"})
    options = ET.SubElement(layer, "Option", type="Map")
    values = {
        "color": "{},{},{},255".format(*rgb), "style": "solid", "outline_color": "60,60,60,160",
        "outline_style": "solid", "outline_width": "0.1", "outline_width_unit": "MM",
    }  # fmt: skip
    for name, value in values.items():
        ET.SubElement(options, "Option", type="QString", name=name, value=value)


def _polygon(rule: ET.Element, colour: str) -> None:
    symbolizer = ET.SubElement(rule, "PolygonSymbolizer")
    fill = ET.SubElement(ET.SubElement(symbolizer, "Fill"), "CssParameter", name="fill")
    fill.text = colour
    stroke = ET.SubElement(symbolizer, "Stroke")
    for name, value in (("stroke", "#3c3c3c"), ("stroke-width", "0.2")):
        ET.SubElement(stroke, "CssParameter", name=name).text = value


def _sld(name: str) -> tuple[ET.Element, ET.Element]:
    root = ET.Element("StyledLayerDescriptor", _SLD)
    layer = ET.SubElement(root, "NamedLayer")
    ET.SubElement(layer, "Name").text = name
    style = ET.SubElement(layer, "UserStyle")
    ET.SubElement(style, "Title").text = name
    return root, ET.SubElement(ET.SubElement(style, "FeatureTypeStyle"), "Rule")


def _text(root: ET.Element, head: str) -> str:
    ET.indent(root)
    return head + ET.tostring(root, encoding="unicode") + "\n"
