"""Writes the outputs a client asked for and puts them into storage, each with its size and checksum."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import geopandas as gpd

from jobs.plan import Plan
from jobs.products import DOUBTS, UNIT_TITLES
from jobs.record import OutputFile
from jobs.storage import Storage
from models.cards import Card
from models.classes import SHARES
from worker.parcels.units import Verdicts
from worker.pipeline import pictures, probabilities
from worker.pipeline.painting import Painting
from worker.products.accuracy import accuracy_document
from worker.products.cog import UNIT_COLOURS, CogBand, class_tags
from worker.products.facts import MapFacts
from worker.products.factsheet import write_factsheet
from worker.products.parcels import parcel_table, write_geopackage, write_geoparquet
from worker.products.preview import draw_preview
from worker.products.stac import make_item
from worker.products.style import style_zip

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Finished:
    """A decided map as it was painted, and the judged parcels if there were any."""

    plan: Plan
    facts: MapFacts
    painting: Painting
    judged: tuple[gpd.GeoDataFrame, Verdicts] | None

    @cached_property
    def picture(self) -> bytes:
        """The preview, which the factsheet shows too."""
        return draw_preview(self.painting.thumbnail, self.facts)


@dataclass(frozen=True, slots=True)
class _Output:
    filename: str
    media_type: str
    title: str
    write: Callable[[Finished, Path, Storage], None]
    of_parcels: bool = False
    of_reference: bool = False

    def possible(self, finished: Finished) -> bool:
        """Say whether the job had what this output tells of."""
        return not (self.of_parcels and finished.judged is None) and not (
            self.of_reference and finished.facts.reference is None
        )


def write_outputs(
    finished: Finished, folder: Path, storage: Storage, *, still_wanted: Callable[[], None]
) -> dict[str, OutputFile]:
    """Write the outputs asked for into `folder`, store them, and return what they are by name.

    `still_wanted` is called before each and may raise to stop. Outputs of parcels or reference data are left out of a
    job without them. The item comes last, as it describes the others.
    """
    outputs: dict[str, OutputFile] = {}
    for name, output in _OUTPUTS.items():
        if name in finished.plan.outputs and output.possible(finished):
            still_wanted()
            path = folder / output.filename
            output.write(finished, path, storage)
            outputs[name] = _put(storage, finished.plan.job, path, output)
    if "item" in finished.plan.outputs:
        path = folder / _ITEM.filename
        path.write_bytes(make_item(finished.facts, outputs))
        outputs["item"] = _put(storage, finished.plan.job, path, _ITEM)
    return outputs


def _put(storage: Storage, job: str, path: Path, output: _Output) -> OutputFile:
    key = f"jobs/{job}/outputs/{output.filename}"
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    storage.put(key, path, content_type=output.media_type)
    return OutputFile(
        key=key,
        media_type=output.media_type,
        title=output.title,
        size=path.stat().st_size,
        sha256=digest,
        filename=output.filename,
    )


def _map(finished: Finished, path: Path, _: Storage) -> None:
    card = finished.facts.card
    band = CogBand(finished.facts.product_title, class_tags(card.classes))
    tags = _tags(finished, card)
    finished.painting.classes.publish(path, [band], tags=tags)


def _confidence(finished: Finished, path: Path, _: Storage) -> None:
    band = CogBand("Probability of the class, percent")
    finished.painting.confidence.publish(path, [band], overview="average", tags=_tags(finished, finished.facts.card))


def _units(finished: Finished, path: Path, _: Storage) -> None:
    band = CogBand("Deciding unit: " + ", ".join(f"{code} {UNIT_TITLES[code]}" for code in UNIT_COLOURS))
    tags = _tags(finished, finished.facts.card)
    finished.painting.units.publish(path, [band], tags=tags)


def _uncertainty(finished: Finished, path: Path, _: Storage) -> None:
    assert finished.painting.doubts is not None  # noqa: S101 - there where the plan names the output
    bands = [CogBand(text, {"NAME": name}) for name, text in DOUBTS]
    tags = _tags(finished, finished.facts.card)
    finished.painting.doubts.publish(path, bands, overview="nearest", tags=tags)


def _image(finished: Finished, path: Path, storage: Storage) -> None:
    card = finished.facts.card
    pictures.publish(storage, finished.plan, card, path, tags=_tags(finished, card))


def _tags(finished: Finished, card: Card) -> dict[str, str]:
    return {
        "JOB": finished.plan.job,
        "MODEL": f"{card.id} {card.version}",
        "PRECISION": card.serving.precision,
        "TIFFTAG_DATETIME": f"{finished.facts.created:%Y:%m:%d %H:%M:%S}",
    }


def _parcels(finished: Finished, path: Path, _: Storage) -> None:
    write_geoparquet(path, _table(finished))


def _parcels_gpkg(finished: Finished, path: Path, _: Storage) -> None:
    facts = finished.facts
    write_geopackage(path, _table(finished), facts.card.classes, title=facts.title, created=facts.created)


def _table(finished: Finished) -> gpd.GeoDataFrame:
    assert finished.judged is not None  # noqa: S101 - write_outputs leaves parcels out of a job without them
    card = finished.facts.card
    return parcel_table(*finished.judged, card.classes, SHARES[card.product])


def _preview(finished: Finished, path: Path, _: Storage) -> None:
    path.write_bytes(finished.picture)


def _factsheet(finished: Finished, path: Path, _: Storage) -> None:
    path.write_text(write_factsheet(finished.facts, finished.picture), encoding="utf-8")


def _style(finished: Finished, path: Path, _: Storage) -> None:
    path.write_bytes(style_zip(finished.facts.card.classes))


def _probabilities(finished: Finished, path: Path, storage: Storage) -> None:
    root = probabilities.path(finished.plan.job)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for key in storage.keys(root):
            archive.writestr(zipfile.ZipInfo(key.removeprefix(f"{root}/"), _EPOCH), storage.get(key) or b"")


def _accuracy(finished: Finished, path: Path, _: Storage) -> None:
    assert finished.facts.reference is not None  # noqa: S101 - write_outputs leaves it out of a job without reference
    path.write_bytes(accuracy_document(finished.facts.reference))


_COG: Final = "image/tiff; application=geotiff; profile=cloud-optimized"
_OUTPUTS: Final = {
    "map": _Output("map.tif", _COG, "Class map", _map),
    "confidence": _Output("confidence.tif", _COG, "Confidence in percent", _confidence),
    "units": _Output("units.tif", _COG, "Which unit decided", _units),
    "parcels": _Output("parcels.parquet", "application/vnd.apache.parquet", "Parcels", _parcels, of_parcels=True),
    "parcels-gpkg": _Output(
        "parcels.gpkg", "application/geopackage+sqlite3", "Parcels, styled for QGIS", _parcels_gpkg, of_parcels=True
    ),
    "preview": _Output("preview.png", "image/png", "Picture with legend", _preview),
    "factsheet": _Output("factsheet.html", "text/html", "Factsheet", _factsheet),
    "style": _Output("style.zip", "application/zip", "Styles for QGIS and others", _style),
    "probabilities": _Output("probabilities.zarr.zip", "application/zip", "Class probabilities (Zarr)", _probabilities),
    "uncertainty": _Output("uncertainty.tif", _COG, "How sure each pixel is, and why", _uncertainty),
    "accuracy": _Output(
        "accuracy.json", "application/json", "Accuracy against the reference data", _accuracy, of_reference=True
    ),
    "image": _Output("image.tif", _COG, "The imagery the map was made from", _image),
}
_ITEM: Final = _Output("item.json", "application/geo+json", "STAC item", lambda *_: None)
