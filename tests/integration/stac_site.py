"""A small archive of Sentinel-2 scenes over HTTP: files with byte ranges, a static catalogue and a search API."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pystac
import rasterio
from rasterio.transform import from_origin
from shapely.geometry import box, mapping

from jobs.area import project
from models.cards import card_of

CARD = card_of("so2sat-resnet20")
BANDS = CARD.input.bands
EARTH_SEARCH = dict(
    zip(
        BANDS,
        ("blue", "green", "red", "rededge1", "rededge2", "rededge3", "nir", "nir08", "swir16", "swir22"),
        strict=True,
    )
)
FINE = {"B02", "B03", "B04", "B08"}
LEFT, TOP, SIDE = 600_000.0, 5_300_000.0, 256
CLEAR, CLOUD = 4, 9
SURVEY, PIXEL = "aerial", 0.6


@dataclass
class Site:
    """A folder served over HTTP with byte ranges; `moved` paths redirect, `broken` paths fail as often as told."""

    folder: Path
    url: str = ""
    moved: dict[str, str] = field(default_factory=dict)
    broken: dict[str, int] = field(default_factory=dict)
    searches: list[dict[str, Any]] = field(default_factory=list)
    refuse_sort: bool = False


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, *args: Any, site: Site, **kwargs: Any) -> None:
        self.site = site
        super().__init__(*args, directory=str(site.folder), **kwargs)

    def log_message(self, *args: Any) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if self.site.broken.get(path, 0) > 0:
            self.site.broken[path] -= 1
            return self._send(503, b"busy")
        if path in self.site.moved:
            self.send_response(302)
            self.send_header("Location", self.site.moved[path])
            self.send_header("Content-Length", "0")
            return self.end_headers()
        if path == "/api/search":
            query = {k: v[0] for k, v in parse_qs(urlsplit(self.path).query).items()}
            return self._search(query | {"collections": query.get("collections", "").split(",")})
        file = self.site.folder / path.strip("/")
        if not file.is_file():
            return self._send(404, b"")
        return self._file(file.read_bytes())

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._search(body)

    def _search(self, body: dict[str, Any]) -> None:
        """Answer pages of two items, with a link to the next; intersects and datetime are left to the client."""
        self.site.searches.append(body)
        if self.site.refuse_sort and "sortby" in body:
            return self._send(400, b'{"description": "sortby is not known here"}')
        items = json.loads((self.site.folder / "api" / "items.json").read_text())
        start = int(body.get("token", 0))
        links = []
        if start + 2 < len(items):
            following = {
                "rel": "next",
                "href": f"{self.site.url}/api/search",
                "method": "POST",
                "body": body | {"token": start + 2},
            }
            links = [following]
        page = {"type": "FeatureCollection", "features": items[start : start + 2], "links": links}
        return self._send(200, json.dumps(page).encode())

    def _file(self, data: bytes) -> None:
        wanted = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not wanted:
            return self._send(200, data)
        first, last = int(wanted[1]), min(int(wanted[2] or len(data) - 1), len(data) - 1)
        return self._send(206, data[first : last + 1], {"Content-Range": f"bytes {first}-{last}/{len(data)}"})

    def _send(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Accept-Ranges", "bytes")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def do_HEAD(self) -> None:
        file = self.site.folder / urlsplit(self.path).path.strip("/")
        self.send_response(200 if file.is_file() else 404)
        self.send_header("Content-Length", str(file.stat().st_size if file.is_file() else 0))
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()


@contextmanager
def served(folder: Path) -> Iterator[Site]:
    site = Site(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, site=site))
    site.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def truth(seed: int = 0) -> np.ndarray:
    """Return reflectance * 10000 of a smooth landscape, (band, y, x)."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:SIDE, 0:SIDE] / 40
    waves = [600 + 150 * i + 300 * np.sin(x * (1 + i / 9)) * np.cos(y + i) for i in range(10)]
    return np.maximum(np.stack(waves) + random.normal(0, 10, (10, SIDE, SIDE)), 30).astype(np.uint16)


def cog(path: Path, data: np.ndarray, pixel: float, corner: tuple[float, float], crs: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {
        "driver": "COG",
        "count": 1,
        "height": data.shape[0],
        "width": data.shape[1],
        "dtype": data.dtype,
        "crs": crs,
        "transform": from_origin(*corner, pixel, pixel),
        "nodata": 0,
        "blocksize": 128,
        "compress": "deflate",
    }
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(data, 1)


def scene(
    site: Site,
    name: str,
    when: str,
    *,
    shift: int = 0,
    cloud: np.ndarray | None = None,
    cover: float = 5,
    seed: int = 0,
    names: dict[str, str] | None = None,
    **options: Any,
) -> pystac.Item:
    """Write a scene's files and return its item; `shift` is added to the numbers, as baseline 04.00 does."""
    names = names or EARTH_SEARCH
    left, top = corner = options.pop("corner", (LEFT, TOP))
    crs = options.pop("crs", "EPSG:32632")
    whole = truth(seed) + np.uint16(shift)
    classes = np.full((SIDE // 2, SIDE // 2), CLEAR, np.uint8)
    if cloud is not None:
        classes[cloud] = CLOUD
    outline = project(box(left, top - SIDE * 10, left + SIDE * 10, top), "EPSG:4326", source=crs)
    item = pystac.Item(
        name,
        mapping(outline),
        list(outline.bounds),
        datetime.fromisoformat(when).replace(tzinfo=UTC),
        {"eo:cloud_cover": cover, "platform": "sentinel-2b"} | options,
        collection="sentinel-2-l2a",
    )
    for i, band in enumerate(BANDS):
        fine = band in FINE
        path = f"scenes/{name}/{band}.tif"
        cog(site.folder / path, whole[i] if fine else whole[i, ::2, ::2], 10.0 if fine else 20.0, corner, crs)
        item.add_asset(names[band], pystac.Asset(f"{site.url}/{path}", media_type=pystac.MediaType.COG))
    cog(site.folder / f"scenes/{name}/SCL.tif", classes, 20.0, corner, crs)
    item.add_asset("SCL" if "B02" in names.values() else "scl", pystac.Asset(f"{site.url}/scenes/{name}/SCL.tif"))
    return item


def survey(
    site: Site,
    name: str,
    when: str,
    data: np.ndarray,
    *,
    column: int = 0,
    bands: tuple[str, ...] = ("Red", "Green", "Blue"),
) -> pystac.Item:
    """Write a picture (band, y, x) of .6 m pixels, so many columns to the right, and return its item."""
    left, pixel = LEFT + column * PIXEL, PIXEL
    path = site.folder / f"survey/{name}.tif"
    path.parent.mkdir(exist_ok=True)
    placed = {"crs": "EPSG:32632", "transform": from_origin(left, TOP, pixel, pixel)}
    height, width = data.shape[1:]
    with rasterio.open(path, "w", "COG", width, height, len(data), dtype=data.dtype, blocksize=128, **placed) as out:
        out.write(data)
    outline = project(box(left, TOP - height * pixel, left + width * pixel, TOP), "EPSG:4326", source="EPSG:32632")
    taken = datetime.fromisoformat(when).replace(tzinfo=UTC)
    item = pystac.Item(name, mapping(outline), list(outline.bounds), taken, {}, collection=SURVEY)
    told = {"eo:bands": [{"name": band, "common_name": band.lower()} for band in bands]}
    item.add_asset("thumbnail", pystac.Asset(f"{site.url}/none.jpg", roles=["thumbnail"], extra_fields=told))
    item.add_asset("image", pystac.Asset(f"{site.url}/survey/{name}.tif", roles=["data"], extra_fields=told))
    return item


def static(site: Site, *items: pystac.Item, collection: str = "sentinel-2-l2a") -> str:
    """Publish items as a static catalogue and return its root."""
    root = pystac.Catalog("root", "a small static catalogue")
    extent = pystac.Extent(pystac.SpatialExtent([[-180, -90, 180, 90]]), pystac.TemporalExtent([[None, None]]))
    scenes = pystac.Collection(collection, "scenes", extent)
    root.add_child(scenes)
    root.add_child(pystac.Collection("other", "another", extent))
    scenes.add_items(items)
    root.normalize_hrefs(f"{site.url}/catalogue")
    for node in (root, *root.get_children(), *items):
        node.set_self_href(node.get_self_href())
    for node in (root, *root.get_children(), *items):
        path = site.folder / urlsplit(node.get_self_href() or "").path.strip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(node.to_dict(include_self_link=False)))
    return f"{site.url}/catalogue/catalog.json"


def api(site: Site, *items: pystac.Item, collection: str = "sentinel-2-l2a") -> str:
    """Publish items behind a search endpoint and return its root."""
    folder = site.folder / "api"
    folder.mkdir(exist_ok=True)
    for item in items:
        item.set_self_href(f"{site.url}/api/collections/{collection}/items/{item.id}")
    (folder / "items.json").write_text(json.dumps([i.to_dict() for i in items]))
    core = "https://api.stacspec.org/v1.0.0"
    links = [
        {"rel": "self", "href": f"{site.url}/api/root"},
        {"rel": "root", "href": f"{site.url}/api/root"},
        {"rel": "search", "href": f"{site.url}/api/search", "type": "application/geo+json", "method": "POST"},
    ]
    extra = [f"{core}/{part}" for part in ("core", "item-search", "item-search#query", "item-search#sort")]
    (folder / "root").write_text(
        json.dumps(
            {
                "type": "Catalog",
                "id": "api",
                "stac_version": "1.0.0",
                "description": "x",
                "conformsTo": extra,
                "links": links,
            }
        )
    )
    return f"{site.url}/api/root"
