"""Masks by a promptable network of the SAM family, where the model server has one: what a grid of points brings up."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import tritonclient.grpc as triton
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from tritonclient.utils import InferenceServerException

from jobs.errors import InferenceUnavailable
from jobs.inference import asking
from jobs.inference_connections import passes
from jobs.tracing import trace_headers
from models.promptable import DECODER, EMBEDDED, ENCODER, LOW, SIDE
from worker.annotation.segments import Labels

NAME: Final = "promptable network of the model server (annotation-encoder, annotation-decoder)"
POINTS: Final = 32
"""Points along a side of a tile, as in A. Kirillov et al., Segment Anything, ICCV 2023."""
_LEAST_IOU, _LEAST_STABILITY, _SAME_BOX = 0.88, 0.92, 0.7
_OFFSET: Final = 1.0  # of the logits' threshold, either way: a stable mask hardly changes
_MEAN: Final = np.array([123.675, 116.28, 103.53], np.float32)[:, None, None]
_SPREAD: Final = np.array([58.395, 57.12, 57.375], np.float32)[:, None, None]
_ATTEMPTS: Final = 4
_GAP: Final = 3
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A mask that a point brought up: logits (256, 256) over a square of SIDE pixels, and how sure the network is."""

    logits: Floats
    score: float

    @property
    def box(self) -> tuple[int, int, int, int]:
        """First row and column, and those behind the last, in pixels of the logits."""
        rows, columns = (np.flatnonzero((self.logits > 0).any(axis=axis)) for axis in (1, 0))
        return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1

    @property
    def stability(self) -> float:
        """The share of itself that a mask keeps when its threshold moves."""
        narrow, wide = (int(np.count_nonzero(self.logits > limit)) for limit in (_OFFSET, -_OFFSET))
        return narrow / max(wide, 1)


@dataclass(frozen=True, slots=True)
class Promptable:
    """Asks the two models of `models.promptable` on one Triton server."""

    url: str
    timeout: float

    def segments(self, image: NDArray[np.uint8], valid: NDArray[np.bool_]) -> Labels:
        """Return labels (y, x) of an RGB image (3, y, x) uint8 of at most SIDE pixels a side, 0 where none was found.

        Smaller masks lie above larger ones. Raises InferenceUnavailable.
        """
        height, width = valid.shape
        square = np.zeros((1, 3, SIDE, SIDE), np.float32)
        square[0, :, :height, :width] = (image - _MEAN) / _SPREAD
        client = triton.InferenceServerClient(self.url)
        try:
            asking = _Asking(client, self.timeout)
            embedded = asking.infer(ENCODER, {"image": square}, ("image_embeddings",))["image_embeddings"]
            if embedded.shape != EMBEDDED:
                msg = f"{ENCODER} answers {embedded.shape}, not {EMBEDDED}: it is no encoder of the SAM family"
                raise InferenceUnavailable(msg)
            found = [c for point in _points(height, width) for c in asking.candidates(embedded, point)]
        finally:
            client.close()
        return _painted(distinct(found), valid)


def distinct(found: list[Candidate]) -> list[Candidate]:
    """Return the candidates that are sure and stable, of those in nearly one box the surest alone."""
    good = [c for c in found if c.score >= _LEAST_IOU and c.stability >= _LEAST_STABILITY and (c.logits > 0).any()]
    kept: list[Candidate] = []
    for candidate in sorted(good, key=lambda c: -c.score):
        if all(_overlap(candidate.box, other.box) <= _SAME_BOX for other in kept):
            kept.append(candidate)
    return kept


@dataclass(frozen=True, slots=True)
class _Asking:
    client: triton.InferenceServerClient
    timeout: float

    def candidates(self, embedded: Floats, point: tuple[float, float]) -> Iterator[Candidate]:
        """Yield what one point (x, y) brings up."""
        answer = self.infer(
            DECODER,
            {
                "image_embeddings": embedded,
                "point_coords": np.array([[point, (0, 0)]], np.float32),
                "point_labels": np.array([[1, -1]], np.float32),  # the second is none, which the export asks for
                "mask_input": np.zeros((1, 1, LOW, LOW), np.float32),
                "has_mask_input": np.zeros(1, np.float32),
                "orig_im_size": np.array([SIDE, SIDE], np.float32),
            },
            ("iou_predictions", "low_res_masks"),
        )
        masks, scores = answer["low_res_masks"], answer["iou_predictions"]
        if masks.shape != (1, scores.size, LOW, LOW):
            msg = f"{DECODER} answers masks {masks.shape} and scores {scores.shape}: it is no decoder of the SAM family"
            raise InferenceUnavailable(msg)
        for logits, score in zip(masks[0], scores.ravel(), strict=True):
            yield Candidate(logits, float(score))

    def infer(self, model: str, inputs: Mapping[str, Floats], outputs: tuple[str, ...]) -> dict[str, Any]:
        sent = []
        for name, values in inputs.items():
            tensor = triton.InferInput(name, list(values.shape), "FP32")
            tensor.set_data_from_numpy(values)
            sent.append(tensor)
        wanted = [triton.InferRequestedOutput(name) for name in outputs]
        for attempt in range(_ATTEMPTS):
            try:
                with asking(model, attempt):
                    answer = self.client.infer(
                        model, sent, outputs=wanted, client_timeout=self.timeout, headers=trace_headers() or None
                    )
                return {name: answer.as_numpy(name) for name in outputs}
            except InferenceServerException as error:
                if not passes(error) or attempt == _ATTEMPTS - 1:
                    msg = f"the model server did not find masks with {model!r}; ask the operator to look at it"
                    raise InferenceUnavailable(msg) from error
                time.sleep(0.5 * 2**attempt)
        raise AssertionError


def _points(height: int, width: int) -> Iterator[tuple[float, float]]:
    """Yield a grid of points (x, y) over an image, as dense as POINTS along SIDE."""
    step = SIDE / POINTS
    for y in np.arange(step / 2, height, step):
        for x in np.arange(step / 2, width, step):
            yield float(x), float(y)


def _overlap(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> float:
    """Return the intersection over union of two boxes."""
    rows = min(one[2], other[2]) - max(one[0], other[0])
    columns = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(rows, 0) * max(columns, 0)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return shared / (areas - shared)


def _painted(masks: list[Candidate], valid: NDArray[np.bool_]) -> Labels:
    height, width = valid.shape
    labels = np.zeros(valid.shape, np.int32)
    for number, mask in enumerate(sorted(masks, key=lambda m: -np.count_nonzero(m.logits > 0)), 1):
        large = np.asarray(Image.fromarray(mask.logits).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
        labels[(large[:height, :width] > 0) & valid] = number
    return _closed(labels, valid)


def _closed(labels: Labels, valid: NDArray[np.bool_]) -> Labels:
    """Give what lies in gaps of at most 2 * _GAP pixels between masks to the nearest one; wider ones stay open."""
    rest = valid & (labels == 0)
    if not rest.any() or not labels.any():
        return labels
    wide = ndimage.binary_dilation(ndimage.binary_erosion(rest, iterations=_GAP), iterations=_GAP)
    thin = rest & ~wide
    nearest = ndimage.distance_transform_edt(labels == 0, return_distances=False, return_indices=True)
    return np.where(thin, labels[tuple(nearest)], labels).astype(np.int32)
