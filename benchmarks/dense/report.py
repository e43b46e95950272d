"""From seconds and probabilities of the contenders to the figures of the last line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.dense.contender import Contender

PRECISIONS = ("f32", "bf16", "int8")
_WHOLE = ("dense10_", "direct", "triton")
"""Contenders whose round covers every pixel of the scene; the others' covers the nodes of the grid."""


@dataclass(frozen=True, slots=True)
class Operations:
    """Floating-point operations a node, borders of the tile included."""

    dense100: float
    dense10: float


def make_report(contenders: dict[str, Contender], operations: Operations, truth: Any, pixels: int) -> dict[str, Any]:
    """Return everything measured; times are microseconds per node, `truth` is the LCZ codes (row, column) of 100 m."""
    timed = {name: c for name, c in contenders.items() if name != "gemm"}
    clock, processor = (
        {
            name: min(result[kind] for result in c.results) * 1e6 / (pixels if name.startswith(_WHOLE) else truth.size)
            for name, c in timed.items()
        }
        for kind in (0, 1)
    )
    peak = max(result[0] for result in contenders["gemm"].results)
    answers = {name: np.load(c.out) for name, c in timed.items()}
    best = min(PRECISIONS, key=lambda precision: clock[f"dense100_{precision}"])
    return {
        **_figures(clock, operations, peak, best),
        "max_abs_diff": float(f"{_difference(answers):.4g}"),
        "through_triton_vs_direct": _round(clock["direct"] / clock["triton"]),
        "through_grpc_vs_direct": _round(clock["direct"] / clock["triton_grpc"]),
        "best_precision": best,
        "same_precision": _same_precision(clock),
        "by_processor_time": {
            **_figures(processor, operations, peak, best),
            "same_precision": _same_precision(processor),
        },
        "argmax_agreement": _agreement(answers),
        "overall_accuracy_100m": {
            precision: _round(float((answers[f"dense100_{precision}"].argmax(0) + 1 == truth).mean()))
            for precision in PRECISIONS
        },
        "triton_gives_the_same_bytes": bool(
            (answers["direct"] == answers["triton"]).all() and (answers["triton_grpc"] == answers["triton"]).all()
        ),
        "gemm_peak_gflops": round(peak, 1),
        "mflop_per_node": {"dense100": _round(operations.dense100 / 1e6), "dense10": _round(operations.dense10 / 1e6)},
        "microseconds": {name: _round(value) for name, value in clock.items()},
    }


def _figures(times: dict[str, float], operations: Operations, peak: float, best: str) -> dict[str, float]:
    batched = min(times["batched_f32"], times["batched_onnxruntime"])
    figures = {
        "dense_vs_demo": times["demo"] / times[f"dense100_{best}"],
        "dense_vs_batched": batched / times[f"dense100_{best}"],
        "dense10_vs_batched": times["batched10_f32"] / min(times["dense10_f32"], times["dense10_bf16"]),
        "gemm_fraction": operations.dense100 / times["dense100_f32"] / 1e3 / peak,
        "gemm_fraction_10m": operations.dense10 / times["dense10_f32"] / 1e3 / peak,
    }
    return {name: _round(value) for name, value in figures.items()}


def _same_precision(times: dict[str, float]) -> dict[str, float]:
    engine = min(("batched_f32", "batched_onnxruntime"), key=times.__getitem__)
    pairs = {
        "dense_vs_demo_f32": ("demo", "dense100_f32"),
        "dense_vs_batched_f32": (engine, "dense100_f32"),
        "dense_vs_batched_bf16": ("batched_bf16", "dense100_bf16"),
        "dense10_vs_batched_f32": ("batched10_f32", "dense10_f32"),
    }
    return {name: _round(times[slow] / times[fast]) for name, (slow, fast) in pairs.items()}


def _difference(answers: dict[str, Any]) -> float:
    """Return the largest difference of a probability between dense and patch, both fp32."""
    grid = answers["dense100_f32"].reshape(17, -1).T
    side = round(len(answers["batched10_f32"]) ** 0.5)
    subset = answers["dense10_f32"][:, :side, :side].reshape(17, -1).T
    pairs = ((grid, answers["demo"]), (grid, answers["batched_f32"]), (subset, answers["batched10_f32"]))
    return max(float(np.abs(one - other).max()) for one, other in pairs)


def _agreement(answers: dict[str, Any]) -> dict[str, float]:
    pairs = {
        "bf16_100m": ("dense100_bf16", "dense100_f32"),
        "int8_100m": ("dense100_int8", "dense100_f32"),
        "bf16_10m": ("dense10_bf16", "dense10_f32"),
    }
    return {
        name: round(float((answers[one].argmax(0) == answers[other].argmax(0)).mean()), 6)
        for name, (one, other) in pairs.items()
    }


def _round(value: float) -> float:
    return float(f"{value:.4g}")
