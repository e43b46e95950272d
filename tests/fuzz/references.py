"""Texts that lead elsewhere, to the bait: names a library would open, and XML that holds them or grows without end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hypothesis import strategies as st

BOMB = (
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbbbbbbbbbbbbbb">'
    + "".join(f'<!ENTITY b{n} "{f"&b{n - 1};" * 10}">' for n in range(1, 12)).replace("&b0;", "&b;")
    + "]><GDALMetadata><Item name='x'>&b11;</Item></GDALMetadata>"
)


def names_of(folder: Path, url: str) -> list[str]:
    """Return what a library would take for the name of something to open: files of a folder, and an address."""
    image, host = folder / "image.tif", url.split("/")[2]
    service = f'<GDAL_WMS><Service name="TMS"><ServerUrl>{url}</ServerUrl></Service></GDAL_WMS>'
    files = [
        "",
        "file://",
        "vrt://",
        "GTIFF_DIR:1:",
        "/vsisubfile/0_1000,",
        "/vsihdfs/",
        "/vsis3/bucket/../..",
        "HDF5:",
    ]
    remote = ["", "/vsicurl/", "/vsizip//vsicurl/", "NETCDF:", "WMS:", "WFS:", "GeoJSON:", "STACIT:", "ZARR:/vsicurl/"]
    archives = [
        f"/vsizip/{folder}/image.zip/image.tif",
        f"/vsitar/{folder}/image.tar/a.tif",
        f"GTI:{folder}/image.gpkg",
    ]
    odd = ["/etc/passwd", "../../../../../../etc/passwd", "MEM:::DATAPOINTER=1,PIXELS=9999,LINES=9999", "/vsistdin/"]
    return [*(f"{p}{image}" for p in files), *(p + url for p in remote), *archives, *odd, service, f"PG:host={host}"]


def xml_texts(names: Sequence[str]) -> st.SearchStrategy:
    """Return XML as GDAL keeps it in tags, with references, odd numbers, or entities that grow."""
    return st.sampled_from(names).flatmap(_texts)


def _texts(name: str) -> st.SearchStrategy:
    items = [
        f'<Item name="{key}" domain="{domain}" sample="{sample}" role="{role}">{value}</Item>'
        for key, domain, sample, role, value in (
            ("OVERVIEW_FILE", "OVERVIEWS", "0", "", name),
            ("MASK_FILE", "MASK", "-1", "", name),
            ("SOURCE_0", "xml:VRT", "999999", "", f"<VRTDataset><SourceFilename>{name}</SourceFilename></VRTDataset>"),
            ("SCALE", "", "0", "scale", "nan"),
            ("OFFSET", "", "0", "offset", "1e999"),
            ("DESCRIPTION", "", "0", "description", "&#x0;&#55296;é" + "B02" * 50),
            ("SUBDATASET_1_NAME", "SUBDATASETS", "0", "", name),
            ("X_DATASET", "GEOLOCATION", "0", "", name),
            ("NBITS", "IMAGE_STRUCTURE", "0", "", "999999999"),
            ("INTERLEAVE", "IMAGE_STRUCTURE", "0", "", "PIXEL"),
        )
    ]
    whole = [f"<GDALMetadata>{item}</GDALMetadata>" for item in items]
    odd = [
        BOMB,
        f'<!DOCTYPE a [<!ENTITY e SYSTEM "{name}">]><GDALMetadata><Item name="x">&e;</Item></GDALMetadata>',
        "<GDALMetadata>" * 2000,
        "<GDALMetadata><Item",
        f"<VRTDataset><VRTRasterBand><SimpleSource><SourceFilename>{name}</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>",
        name,
        "<x:xmpmeta><rdf:RDF>" + "<rdf:li>" * 500,
    ]
    return st.sampled_from([text.encode("utf-8", "replace") for text in (*whole, *odd)])
