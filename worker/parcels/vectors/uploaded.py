"""A vector file a client sent before, opened for reading in chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import geopandas as gpd
import pandas as pd

from jobs.errors import BadVector, MissingCrs
from jobs.inspection.vector import read_chunks
from jobs.uploads import UploadStore
from models.errors import Fault

Chunks = Iterable[gpd.GeoDataFrame]

_NAMED: Final = 40


class Upload:
    """A vector file a client sent before, checked to be one and to have the fields asked for."""

    def __init__(self, upload: str, layer: str | None, pointer: str, uploads: UploadStore, scratch: Path) -> None:
        self._record = uploads.read(upload)
        self._layer, self._pointer = layer, pointer
        if self._record.kind != "vector":
            detail = f"upload {upload} is an image: name an upload of polygons"
            raise BadVector(detail, faults=[Fault(f"{pointer}/upload", detail)])
        self._path = uploads.local(upload, scratch)

    def reader(self, columns: Sequence[str], optional: Sequence[str] = ()) -> Callable[[], Chunks]:
        """Return what opens the file from its start; raises BadVector where one of `columns` is not there."""
        for field in columns:
            if field not in self._fields():
                raise self._no_field(field)
        return lambda: self._chunks(list(columns), optional)

    def _chunks(self, columns: list[str], optional: Sequence[str]) -> Chunks:
        for frame in read_chunks(self._path, columns=columns, optional=optional, layer=self._layer):
            if frame.crs is None:
                name = self._record.upload
                raise MissingCrs(f"upload {name} does not say which coordinate reference system it is in: add it")
            yield frame

    def _fields(self) -> list[str]:
        if self._layer is None:
            return [str(f) for f in self._record.facts.get("fields", [])]
        return [str(c) for c in self._first().columns]

    def _first(self) -> gpd.GeoDataFrame:
        return next(iter(read_chunks(self._path, layer=self._layer, size=1000)))

    def _no_field(self, field: str) -> BadVector:
        first = self._first()
        table = pd.DataFrame(first.drop(columns=first.geometry.name)).convert_dtypes()
        numeric = self._pointer.endswith("buildings")
        names = [str(c) for c in (table.select_dtypes("number") if numeric else table).columns]
        kind, member = ("numeric fields", "height_field") if numeric else ("fields", "id_field")
        there = f"its {kind} are {', '.join(names[:_NAMED])}" if names else f"it has no {kind}"
        detail = f"there is no field {field!r} in the file; {there}"
        return BadVector(detail, faults=[Fault(f"{self._pointer}/{member}", detail)])
