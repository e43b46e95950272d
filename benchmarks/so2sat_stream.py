"""How fast So2Sat patches stream, beside reading the same HDF5 chunks and doing nothing with them.

    python -m benchmarks.so2sat_stream

makes a file with the published schema (float64, chunked, unfiltered) in a temporary folder, reads it in turns by
`dataset[a:b]` chunk after chunk, by `read_direct` into one buffer, and by `models.data.so2sat.stream`, which converts
to float32 (n, band, y, x), normalises, checks for NaN and batches. The page cache holds the file, so that the disk's
speed does not hide the cost of the conversion. The last line is JSON; `ratio` is the ordered stream's speed over
that of `dataset[a:b]`: the median over the rounds, in each of which both run right after one another.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import h5py
import numpy as np

from models.data.so2sat.dataset import BANDS, KEYS, SIDE, So2SatFile
from models.data.so2sat.stream import stream

GOAL = 0.8
BATCH = 64


def main() -> None:
    """Measure, print a table and the JSON line."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--patches", type=int, default=4096, help="4096 are 604 MB on disk")
    words.add_argument("--chunk", type=int, default=64, help="patches a chunk")
    words.add_argument("--rounds", type=int, default=15)
    told = words.parse_args()
    with tempfile.TemporaryDirectory(prefix="so2sat-") as folder:
        path = write(Path(folder) / "training.h5", told.patches, told.chunk)
        ways: dict[str, Callable[[], None]] = {
            "chunks": lambda: read_chunks(path),
            "chunks into one buffer": lambda: read_into(path),
            "stream": lambda: read_stream(path, None),
            "stream, shuffled": lambda: read_stream(path, 1),
        }
        seconds = measure(ways, told.rounds)
    size = told.patches * SIDE * SIDE * len(BANDS["s2"]) * 8
    middle = {name: median(values) for name, values in seconds.items()}
    for name, value in middle.items():
        speed = f"{size / value / 1e9:6.2f} GB/s  {told.patches / value:10.0f} patches/s"
        print(f"{name:24} {value * 1e3:8.1f} ms  {speed}")

    def over(slow: str, quick: str) -> float:
        return round(median(a / b for a, b in zip(seconds[slow], seconds[quick], strict=True)), 3)

    result = {
        "ratio": over("chunks", "stream"),
        "ratio_shuffled": over("chunks", "stream, shuffled"),
        "ratio_to_one_buffer": over("chunks into one buffer", "stream"),
        "goal": GOAL,
        "patches": told.patches,
        "batch": BATCH,
        "patches_per_second": round(told.patches / middle["stream"]),
        "gigabytes_per_second": round(size / middle["stream"] / 1e9, 2),
        "rounds": told.rounds,
    }
    print(json.dumps(result))


def write(path: Path, patches: int, chunk: int) -> Path:
    """Write a file with the published schema, its values drawn at random."""
    draw = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        for sensor, key in KEYS.items():
            shape = (SIDE, SIDE, len(BANDS[sensor]))
            data = file.create_dataset(key, (patches, *shape), "f8", chunks=(chunk, *shape))
            for start in range(0, patches, chunk):
                stop = min(start + chunk, patches)
                data[start:stop] = draw.random((stop - start, *shape))
        file.create_dataset("label", data=np.eye(17)[draw.integers(0, 17, patches)], chunks=(chunk, 17))
    return path


def read_chunks(path: Path) -> None:
    """Read every chunk as h5py gives it."""
    with h5py.File(path, "r") as file:
        data = file["sen2"]
        for start in range(0, data.shape[0], data.chunks[0]):
            data[start : start + data.chunks[0]]


def read_into(path: Path) -> None:
    """Read every chunk into the same memory."""
    with h5py.File(path, "r") as file:
        data = file["sen2"]
        buffer = np.empty(data.chunks)
        for start in range(0, data.shape[0], data.chunks[0]):
            stop = min(start + data.chunks[0], data.shape[0])
            data.read_direct(buffer, np.s_[start:stop], np.s_[: stop - start])


def read_stream(path: Path, seed: int | None) -> None:
    """Stream every batch."""
    with So2SatFile(path) as file:
        for _ in stream(file, batch=BATCH, seed=seed):
            pass


def measure(ways: dict[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    """Run every way in turns, after one turn that does not count; return the seconds of each, round by round."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            begun = time.perf_counter()
            way()
            if turn:
                taken[name].append(time.perf_counter() - begun)
    return taken


if __name__ == "__main__":
    main()
