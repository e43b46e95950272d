"""Areas and accuracies estimated from a sample of reference data, with what the sample leaves uncertain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Z_95: Final = 1.96
# A stratum's variance needs at least two samples.
FEWEST_SAMPLES: Final = 2

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class AreaEstimates:
    """Estimates of k classes; half-widths are those of 95 % confidence intervals.

    `areas` and `area_margins` (k,) are in the unit of the mapped areas given, `users` and `producers` (k,) shares (nan
    where a class is not mapped or not found), `overall` a share. `used` (k,) says which strata had samples enough;
    `covered` is the share of the mapped area they hold: everything here speaks of them only.
    """

    areas: Floats
    area_margins: Floats
    overall: float
    overall_margin: float
    users: Floats
    user_margins: Floats
    producers: Floats
    producer_margins: Floats
    used: NDArray[np.bool_]
    covered: float


def estimate_areas(counts: NDArray[Any], mapped: NDArray[Any]) -> AreaEstimates:
    """Estimate areas and accuracies of a map from a sample stratified by the map's classes.

    `counts` (k, k) is the error matrix of sample counts, rows the map's class and columns the reference's; `mapped`
    (k,) the area mapped as each class. After Olofsson et al. (2014, Remote Sensing of Environment 148, 42-57):
    p_ij = W_i n_ij / n_i, area_j = A sum_i p_ij, and SE(area_j)^2 = A^2 sum_i (W_i p_ij - p_ij^2) / (n_i - 1). Strata
    with fewer than two samples are left out. Raises ValueError for other shapes, negative numbers, no usable stratum.
    """
    n, area = np.asarray(counts, np.float64), np.asarray(mapped, np.float64)
    if n.ndim != 2 or n.shape != (len(area), len(area)) or (n < 0).any() or (area < 0).any():  # noqa: PLR2004
        msg = f"counts (k, k) and mapped areas (k,) of at least 0 are expected, not {n.shape} and {area.shape}"
        raise ValueError(msg)
    size = n.sum(axis=1)
    used = (size >= FEWEST_SAMPLES) & (area > 0)
    if not used.any():
        msg = "no mapped class has two samples or more: nothing can be estimated"
        raise ValueError(msg)
    total = float(area[used].sum())
    weights = np.where(used, area / total, 0.0)
    within = n / np.maximum(size, 1.0)[:, None]
    shares = weights[:, None] * within
    freedom = np.where(used, size - 1, np.inf)
    area_error = np.sqrt(((weights[:, None] * shares - shares**2) / freedom[:, None]).sum(axis=0))
    users = np.diag(within)
    user_error = np.sqrt(users * (1 - users) / freedom)
    overall_error = float(np.sqrt((weights**2 * user_error**2).sum()))
    producers, producer_error = _producers(n, size, area, used, freedom)
    return AreaEstimates(
        total * shares.sum(axis=0), Z_95 * total * area_error, float(np.trace(shares)), Z_95 * overall_error,
        np.where(used, users, np.nan), np.where(used, Z_95 * user_error, np.nan),
        producers, Z_95 * producer_error, used, total / float(area.sum()),
    )  # fmt: skip


def _producers(
    n: Floats, size: Floats, area: Floats, used: NDArray[np.bool_], freedom: Floats
) -> tuple[Floats, Floats]:
    """Return the producer's accuracies and their standard errors (equations 3 and 7 of the paper)."""
    whole = np.where(used, area, 0.0)
    within = n / np.maximum(size, 1.0)[:, None]
    true_area = (whole[:, None] * within).sum(axis=0)
    users = np.diag(within)
    found = np.divide(whole * users, true_area, out=np.full(len(n), np.nan), where=true_area > 0)
    spread = whole[:, None] ** 2 * within * (1 - within) / freedom[:, None]
    others = spread.sum(axis=0) - np.diag(spread)
    own = whole**2 * (1 - found) ** 2 * users * (1 - users) / freedom
    square = np.divide(own + found**2 * others, true_area**2, out=np.full(len(n), np.nan), where=true_area > 0)
    return found, np.sqrt(square)
