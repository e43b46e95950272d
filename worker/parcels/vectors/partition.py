"""Features dealt out to the blocks of a job, so that the task of a block reads its own and no others."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import geopandas as gpd
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from shapely.geometry.base import BaseGeometry

from jobs.area import Grid
from jobs.errors import BadVector
from jobs.plan import Block
from jobs.shapes import polygons_of
from jobs.storage import Storage
from worker.parcels.vectors.cutting import MANY_CORNERS, clipped

# Features reach many blocks only where they are huge; more than this in all is a file meant to fill a disk.
MOST_COPIES: Final = 20_000_000
_ROWS_AT_ONCE: Final = 20_000
_BUCKETS: Final = 64
_WRITERS: Final = 4
_NOTHING: Final = "none"

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Lattice:
    """The blocks of a job's grid: squares of `side` pixels, of which `blocks` (row by row) are mapped."""

    grid: Grid
    side: int
    blocks: tuple[Block, ...]

    @property
    def metres(self) -> float:
        """The side of a block."""
        return self.side * self.grid.resolution

    def places(self) -> NDArray[np.int64]:
        """Return the place of each cell in `blocks`, (row, column); -1 where it is not mapped."""
        rows, columns = -(-self.grid.height // self.side), -(-self.grid.width // self.side)
        found = np.full((rows, columns), -1, np.int64)
        for place, block in enumerate(self.blocks):
            found[block.row // self.side, block.column // self.side] = place
        return found

    def spans(self, bounds: NDArray[np.float64], reach: float) -> Rows:
        """Return which cells, widened by `reach` metres, bounds (n, 4) touch.

        First and last row, first and last column, (n, 4); a last before its first means none.
        """
        west, south, east, north = bounds.T
        across, down = (west - self.grid.left, east - self.grid.left), (self.grid.top - north, self.grid.top - south)
        rows, columns = -(-self.grid.height // self.side), -(-self.grid.width // self.side)
        ends = []
        for (low, high), count in ((down, rows), (across, columns)):
            ends.append(np.clip(np.ceil((low - reach) / self.metres) - 1, 0, count))
            ends.append(np.clip(np.floor((high + reach) / self.metres), -1, count - 1))
        return np.stack(ends, axis=1).astype(np.int64)

    def window(self, span: Sequence[int], reach: float) -> tuple[float, float, float, float]:
        """Return the bounds of a span of cells and `reach` metres around: left, bottom, right, top."""
        top, bottom, left, right = span
        return (
            self.grid.left + left * self.metres - reach,
            self.grid.top - (bottom + 1) * self.metres - reach,
            self.grid.left + (right + 1) * self.metres + reach,
            self.grid.top - top * self.metres + reach,
        )


@dataclass(frozen=True, slots=True)
class Parts:
    """How many features were dealt out, to how many blocks, in how many copies."""

    features: int
    blocks: int
    copies: int


def part_key(prefix: str, block: str) -> str:
    """Return the key of a block's part."""
    return f"{prefix}/{block}.parquet"


def write_parts(
    storage: Storage,
    prefix: str,
    frames: Iterable[gpd.GeoDataFrame],
    lattice: Lattice,
    *,
    columns: Mapping[str, pa.DataType],
    scratch: Path,
    reach: float = 0.0,
) -> Parts:
    """Write one GeoParquet object a block of the features whose bounds touch the block and `reach` metres around it.

    `frames` are in the grid's CRS; features are numbered through them in a column `row` (int64) beside `columns` and
    geometry. Parts are in the order of rows and the same features give the same bytes. A block without features gets no
    object. Features of more than 512 corners that reach several blocks are cut half a block beyond each one's reach:
    nothing changes within it. Neither the frames together nor the parts need fit into memory: features wait in
    `scratch`. Raises BadVector where features fill so many blocks that it cannot be meant.
    """
    schema = _schema(columns, lattice.grid.crs)
    with TemporaryDirectory(dir=scratch) as folder, ExitStack() as stack:
        spill = _Spill(Path(folder), lattice, reach, schema, stack)
        for frame in frames:
            for start in range(0, len(frame), _ROWS_AT_ONCE):
                spill.add(frame.iloc[start : start + _ROWS_AT_ONCE])
        spill.close()
        storage.put(part_key(prefix, _NOTHING), _parquet(schema.empty_table()))
        blocks = _write_buckets(storage, prefix, lattice, spill)
    return Parts(spill.features, blocks, spill.copies)


def read_part(storage: Storage, prefix: str, block: str) -> gpd.GeoDataFrame:
    """Return what `write_parts` gave a block: row, its columns and geometry; an empty frame where that was nothing."""
    data = storage.get(part_key(prefix, block)) or storage.get(part_key(prefix, _NOTHING))
    if data is None:
        msg = f"{prefix} was never written although the plan names it"
        raise RuntimeError(msg)
    table = pq.read_table(io.BytesIO(data))
    crs = json.loads(table.schema.metadata[b"geo"])["columns"]["geometry"]["crs"]
    shapes = shapely.from_wkb(table.column("geometry").to_numpy())
    return gpd.GeoDataFrame(table.drop_columns(["geometry"]).to_pandas(), geometry=shapes, crs=CRS.from_user_input(crs))


class _Spill:
    """Takes features in, and keeps a copy for each block in files of a few dozen blocks each."""

    def __init__(self, folder: Path, lattice: Lattice, reach: float, schema: pa.Schema, stack: ExitStack) -> None:
        self.lattice, self.reach = lattice, reach
        self.features = self.copies = 0
        self.schema = schema.insert(0, pa.field("place", pa.int64()))
        self.bucket_of = np.arange(len(lattice.blocks)) * _BUCKETS // max(1, len(lattice.blocks))
        self.paths = [folder / f"{k}.arrow" for k in range(_BUCKETS)]
        self._places = lattice.places()
        self._writers = [stack.enter_context(pa.ipc.new_stream(str(path), self.schema)) for path in self.paths]

    def add(self, frame: gpd.GeoDataFrame) -> None:
        """Deal out a frame."""
        shapes = frame.geometry.to_numpy()
        spans = self.lattice.spans(shapely.bounds(shapes), self.reach)
        tall, wide = spans[:, 1] - spans[:, 0] + 1, spans[:, 3] - spans[:, 2] + 1
        copies = np.maximum(tall, 0) * np.maximum(wide, 0)
        self.copies += int(copies.sum())
        if self.copies > MOST_COPIES:
            detail = f"the features reach over so many blocks that they would be copied more than {MOST_COPIES} times"
            raise BadVector(f"{detail}: they overlap all over the area; send a layer whose features lie side by side")
        big = (shapely.get_num_coordinates(shapes) > MANY_CORNERS) & (copies > 1)
        index, place = self._pairs(spans, np.where(big, 0, copies))
        rows = np.flatnonzero(big)
        whole = polygons_of(shapes[rows])
        cut = [(row, *part) for row, shape in zip(rows, whole, strict=True)
               for part in self._cut(shape, spans[row].tolist())]  # fmt: skip
        index = np.concatenate([index, np.array([row for row, _, _ in cut], np.int64)])
        place = np.concatenate([place, np.array([at for _, at, _ in cut], np.int64)])
        copied = np.concatenate([shapes[index[: len(index) - len(cut)]], np.array([g for *_, g in cut] or [], object)])
        self._keep(frame, index, place, copied)
        self.features += len(frame)

    def close(self) -> None:
        """End the files."""
        for writer in self._writers:
            writer.close()

    def _pairs(self, spans: Rows, copies: Rows) -> tuple[Rows, Rows]:
        """Return feature and place of every copy, in the order of features."""
        index = np.repeat(np.arange(len(spans)), copies)
        within = np.arange(len(index)) - np.repeat(np.cumsum(copies) - copies, copies)
        width = (spans[:, 3] - spans[:, 2] + 1)[index]
        place = self._places[spans[index, 0] + within // width, spans[index, 2] + within % width]
        return index[place >= 0], place[place >= 0]

    def _cut(self, shape: BaseGeometry, span: list[int]) -> Iterator[tuple[int, BaseGeometry]]:
        """Yield places and what of a large shape matters there, halving the span until one block is left."""
        top, bottom, left, right = span
        if top > bottom or left > right:
            return
        if top == bottom and left == right:
            if self._places[top, left] >= 0:
                yield int(self._places[top, left]), shape
            return
        if bottom - top >= right - left:
            middle = (top + bottom) // 2
            halves = [top, middle, left, right], [middle + 1, bottom, left, right]
        else:
            middle = (left + right) // 2
            halves = [top, bottom, left, middle], [top, bottom, middle + 1, right]
        slack = self.reach + self.lattice.metres / 2
        for half in halves:
            part = clipped(shape, *self.lattice.window(half, slack))
            if part.is_empty:
                continue
            touched = self.lattice.spans(np.array([part.bounds]), self.reach)[0].tolist()
            firsts = max(half[0], touched[0]), max(half[2], touched[2])
            lasts = min(half[1], touched[1]), min(half[3], touched[3])
            yield from self._cut(part, [firsts[0], lasts[0], firsts[1], lasts[1]])

    def _keep(self, frame: gpd.GeoDataFrame, index: Rows, place: Rows, shapes: NDArray[np.object_]) -> None:
        kept = list(self.schema)[2:-1]
        arrays: list[Any] = [pa.array(place), pa.array(index + self.features)]
        arrays += [pa.array(frame[f.name].to_numpy()[index], type=f.type, from_pandas=True) for f in kept]
        wkb = shapely.to_wkb(shapes, output_dimension=2, byte_order=1)
        table = pa.table([*arrays, pa.array(wkb, pa.large_binary())], schema=self.schema)
        buckets = self.bucket_of[place]
        for bucket in np.unique(buckets):
            self._writers[bucket].write_table(table.take(np.flatnonzero(buckets == bucket)))


def _write_buckets(storage: Storage, prefix: str, lattice: Lattice, spill: _Spill) -> int:
    """Write the parts, bucket by bucket; return how many there are."""
    blocks = 0
    with ThreadPoolExecutor(_WRITERS) as pool:
        for path in spill.paths:
            with pa.OSFile(str(path)) as file:
                table = pa.ipc.open_stream(file).read_all()
            path.unlink()
            place = table.column("place").to_numpy()
            order = np.lexsort((table.column("row").to_numpy(), place))
            table = table.take(order).combine_chunks()
            starts = np.flatnonzero(np.diff(place[order], prepend=-1))
            stops = np.append(starts, len(order))[1:]
            waiting: list[Future[None]] = []
            for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
                block = lattice.blocks[place[order[start]]].id
                part = table.slice(start, stop - start).drop_columns(["place"])
                waiting.append(pool.submit(storage.put, part_key(prefix, block), _parquet(part)))
            for put in waiting:
                put.result()
            blocks += len(starts)
    return blocks


def _parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def _schema(columns: Mapping[str, pa.DataType], crs: str) -> pa.Schema:
    told = {"encoding": "WKB", "geometry_types": [], "crs": CRS.from_user_input(crs).to_json_dict()}
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": told}}
    fields = [pa.field("row", pa.int64()), *(pa.field(n, t) for n, t in columns.items())]
    return pa.schema([*fields, pa.field("geometry", pa.large_binary())], metadata={"geo": json.dumps(geo)})
