"""Streaming So2Sat patches: each exactly once, converted as plain NumPy does, whatever the file's layout."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.data.so2sat.bands import S2_MEANS, S2_STDS, normalised_decibels
from models.data.so2sat.dataset import BadDataset, So2SatFile
from models.data.so2sat.reading import reader_of
from models.data.so2sat.stream import stream, verify
from tests.servers.so2sat_file import patches, write_so2sat

TOLD = patches(40)
NORMALISED = ((TOLD["sen2"] - S2_MEANS) / S2_STDS).transpose(0, 3, 1, 2).astype(np.float32)

LAYOUTS: dict[str, dict[str, Any]] = {
    "chunked": {},
    "one patch a chunk": {"chunk": 1},
    "one chunk": {"chunk": 40},
    "odd chunks": {"chunk": 7},
    "contiguous": {"chunk": None},
    "compressed": {"compression": "gzip"},
    "big-endian": {"dtype": ">f8"},
    "float32": {"dtype": "<f4"},
    "half": {"dtype": "<f2"},
}


def collected(path: Path, **options: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    with So2SatFile(path) as file:
        batches = list(stream(file, **options))
    return tuple(np.concatenate([getattr(b, name) for b in batches]) for name in ("patches", "codes", "places"))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_in_the_order_of_the_file(tmp_path: Path, layout: str) -> None:
    path = write_so2sat(tmp_path / "a.h5", **LAYOUTS[layout])
    values, codes, places = collected(path, batch=9)
    np.testing.assert_array_equal(places, np.arange(40))
    np.testing.assert_array_equal(codes, np.arange(40) % 17 + 1)
    loose = {"float32": 1e-5, "half": 2e-2}.get(layout, 1e-6)
    np.testing.assert_allclose(values, NORMALISED, rtol=loose, atol=loose)


@pytest.mark.parametrize("layout", ["chunked", "odd chunks", "contiguous", "compressed"])
def test_shuffled_by_seed(tmp_path: Path, layout: str) -> None:
    path = write_so2sat(tmp_path / "a.h5", **LAYOUTS[layout])
    values, codes, places = collected(path, batch=9, seed=3)
    np.testing.assert_array_equal(np.sort(places), np.arange(40))
    assert (places != np.arange(40)).mean() > 0.8
    np.testing.assert_array_equal(codes, places % 17 + 1)
    np.testing.assert_allclose(values, NORMALISED[places], rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(places, collected(path, batch=9, seed=3)[2])
    assert (places != collected(path, batch=9, seed=4)[2]).any()


@settings(max_examples=25, deadline=None)
@given(count=st.integers(1, 30), chunk=st.integers(1, 30), batch=st.integers(1, 40), seed=st.none() | st.integers(0, 9))
def test_each_patch_comes_once(
    tmp_path_factory: pytest.TempPathFactory, count: int, chunk: int, batch: int, seed: int | None
) -> None:
    path = write_so2sat(tmp_path_factory.mktemp("h") / "a.h5", count, chunk=min(chunk, count))
    with So2SatFile(path) as file:
        batches = list(stream(file, batch=batch, seed=seed, normalised=False))
    assert [len(b.places) for b in batches[:-1]] == [batch] * (len(batches) - 1)
    assert sorted(np.concatenate([b.places for b in batches])) == list(range(count))
    told = patches(count)["sen2"].transpose(0, 3, 1, 2)
    for b in batches:
        np.testing.assert_array_equal(b.patches, told[b.places].astype(np.float32))


def test_sentinel1_as_it_is_and_normalised(tmp_path: Path) -> None:
    path = write_so2sat(tmp_path / "a.h5")
    told = TOLD["sen1"].transpose(0, 3, 1, 2).astype(np.float32)
    np.testing.assert_array_equal(collected(path, sensor="s1", normalised=False)[0], told)
    np.testing.assert_allclose(collected(path, sensor="s1")[0], normalised_decibels(told), atol=1e-6)


def test_batches_kept_are_not_written_over(tmp_path: Path) -> None:
    path = write_so2sat(tmp_path / "a.h5")
    with So2SatFile(path) as file:
        kept = [b.patches[1:2, 3] for b in stream(file, batch=4)]
    for k, view in enumerate(kept):
        np.testing.assert_allclose(view[0], NORMALISED[4 * k + 1, 3], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("layout", ["chunked", "compressed"])
def test_a_patch_that_is_not_finite_is_named(tmp_path: Path, layout: str, value: float) -> None:
    def spoil(arrays: dict[str, Any]) -> None:
        arrays["sen2"][33, 31, 31, 9] = value

    with So2SatFile(write_so2sat(tmp_path / "bad.h5", change=spoil, **LAYOUTS[layout])) as file:
        with pytest.raises(BadDataset, match=r"patch 33 of sen2 in bad\.h5"):
            verify(file)
        with pytest.raises(BadDataset, match="patch 33 of sen2"):
            list(stream(file, seed=5))
        assert len(list(stream(file, "s1", batch=40))) == 1


def test_a_bad_label_ends_it_before_the_first_batch(tmp_path: Path) -> None:
    def spoil(arrays: dict[str, Any]) -> None:
        arrays["label"][39] = 0.0

    with So2SatFile(write_so2sat(tmp_path / "bad.h5", change=spoil)) as file:
        batches = stream(file, batch=4)
        with pytest.raises(BadDataset, match="label of patch 39"):
            next(batches)
        with pytest.raises(BadDataset, match="at least one patch"):
            next(stream(file, batch=0))


def test_a_file_cut_short_while_open_is_told(tmp_path: Path) -> None:
    path = write_so2sat(tmp_path / "a.h5", 64, chunk=8)
    with h5py.File(path) as file:
        end = file["sen2"].id.get_chunk_info(7).byte_offset
    with So2SatFile(path) as file, reader_of(file, "s2") as reader:
        with path.open("r+b") as raw:
            raw.truncate(end + 100)
        with pytest.raises(BadDataset, match="ends within patch 56"):
            reader.read(56, 60)


def test_chunks_never_written_read_as_their_fill_value(tmp_path: Path) -> None:
    path = write_so2sat(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        del file["sen2"]
        data = file.create_dataset("sen2", (40, 32, 32, 10), "f8", chunks=(16, 32, 32, 10), fillvalue=0.25)
        data[16:32] = 1.0
    values = collected(path, normalised=False)[0]
    assert values[:16].min() == values[:16].max() == 0.25
    assert values[16:32].min() == values[32:].max() * 4 == 1.0


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        for key, bands in (("sen1", 8), ("sen2", 10)):
            data = file.create_dataset(key, (1024, 32, 32, bands), "f8", chunks=(64, 32, 32, bands))
            data[:64] = 1.0
            for start in range(64, 1024, 64):
                data[start : start + 64] = 0.5
        file["label"] = np.eye(17)[np.arange(1024) % 17]
    tracemalloc.start()
    with So2SatFile(path) as file:
        count = sum(len(b.codes) for b in stream(file, batch=64))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 1024
    assert peak < 24 * 1024**2  # the data set holds 80 MiB
