"""Reads the names, types and shapes of an ONNX graph's inputs and outputs, without the onnx package.

The service's environment has no onnx; a model repository is built there. ONNX is protobuf, and only a handful of
fields is wanted, so the wire format is walked directly (field numbers: onnx/onnx.proto3, stable since IR version 3).
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from models.errors import WeightsUnavailable

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT = 70

FLOAT, UINT8 = 1, 2
"""TensorProto.DataType of the two element types served."""


@dataclass(frozen=True, slots=True)
class TensorSignature:
    """One graph input or output; a dimension is an int, or None where it is symbolic."""

    name: str
    element: int
    shape: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class GraphSignature:
    """What goes into a graph and what comes out of it, by name."""

    inputs: dict[str, TensorSignature]
    outputs: dict[str, TensorSignature]


def read_signature(path: Path) -> GraphSignature:
    """Read a graph's signature; raises WeightsUnavailable where the file is absent or is no ONNX model."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _graph(data)
    except (OSError, ValueError, IndexError, UnicodeDecodeError) as error:
        msg = f"{path.name} cannot be read as an ONNX model ({error}); fetch or export the weights again"
        raise WeightsUnavailable(msg) from error


def _graph(data: mmap.mmap) -> GraphSignature:
    graph = next((span for field, span in _spans(data, 0, len(data)) if field == 7), None)  # noqa: PLR2004
    if graph is None:
        msg = "it holds no graph"
        raise ValueError(msg)
    inputs, outputs = dict[str, TensorSignature](), dict[str, TensorSignature]()
    constants = set[str]()
    for field, (start, end) in _spans(data, *graph):
        if field == 5:  # noqa: PLR2004 - initializer: older exporters list weights among the inputs too
            constants.add(_text(data, start, end, 8))
        elif field in {11, 12}:
            tensor = _tensor(data, start, end)
            (inputs if field == 11 else outputs)[tensor.name] = tensor  # noqa: PLR2004
    return GraphSignature({n: t for n, t in inputs.items() if n not in constants}, outputs)


def _tensor(data: mmap.mmap, start: int, end: int) -> TensorSignature:
    name = _text(data, start, end, 1)
    element, shape = 0, list[int | None]()
    for kind in _find(data, [(start, end)], 2, 1):
        element = _number(data, *kind, 1) or 0
        shape = [_number(data, *dimension, 1) for dimension in _find(data, [kind], 2, 1)]
    return TensorSignature(name, element, tuple(shape))


def _find(data: mmap.mmap, spans: list[tuple[int, int]], *path: int) -> list[tuple[int, int]]:
    for wanted in path:
        spans = [inner for span in spans for field, inner in _spans(data, *span) if field == wanted]
    return spans


def _text(data: mmap.mmap, start: int, end: int, wanted: int) -> str:
    found = _find(data, [(start, end)], wanted)
    return data[found[0][0] : found[0][1]].decode("utf-8") if found else ""


def _number(data: mmap.mmap, start: int, end: int, wanted: int) -> int | None:
    return next((value for field, value in _numbers(data, start, end) if field == wanted), None)


def _numbers(data: mmap.mmap, start: int, end: int) -> Iterator[tuple[int, int]]:
    return ((field, value) for field, wire, value, _ in _fields(data, start, end) if wire == _VARINT)


def _spans(data: mmap.mmap, start: int, end: int) -> Iterator[tuple[int, tuple[int, int]]]:
    return ((field, (at, stop)) for field, wire, at, stop in _fields(data, start, end) if wire == _BYTES)


def _fields(data: mmap.mmap, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Walk one message: (field, wire type, value or start, end)."""
    while at < end:
        key, at = _varint(data, at)
        field, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield field, wire, value, at
            continue
        length = {_FIXED64: 8, _FIXED32: 4}.get(wire)
        if wire == _BYTES:
            length, at = _varint(data, at)
        if length is None or at + length > end:
            msg = "its fields do not fit"
            raise ValueError(msg)
        yield field, wire, at, at + length
        at += length


def _varint(data: mmap.mmap, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < _LONGEST_VARINT:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:  # noqa: PLR2004 - the high bit says that more follows
            return value, at
    msg = "a number in it does not end"
    raise ValueError(msg)
