"""Forests on window statistics of a city: what a network must beat with the same inputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from models.data.cities.ground import CODES, CityGround, cell_means
from models.errors import MissingExtra

Layer = Literal["spectral", "buildings", "streets", "landuse", "zoning"]
Forest = Literal["random-forest", "extra-trees"]

LAYERS: Final[tuple[Layer, ...]] = ("spectral", "buildings", "streets", "landuse")
SPANS: Final = (1, 3, 7)  # cells: windows of 100, 300 and 700 m
TREES: Final = 120
LEAF: Final = 2  # samples
_BUILT, _HEIGHT, _MAPPED = 0, 1, 5  # channels of the morphology raster


def city_features(city: CityGround, layers: Sequence[Layer] = LAYERS) -> tuple[NDArray[np.float32], list[str]]:
    """Describe every cell of the lattice: features (feature, row, column) float32, and their names.

    Each is a mean or standard deviation over the pixels of SPANS cells around, where `spectral` counts what was seen
    and `buildings` what was mapped; a window without such pixels gives 0. Layers the city lacks give no features.
    """
    found: list[NDArray[np.float32]] = []
    names: list[str] = []
    for layer in layers:
        for name, values in _LAYERS[layer](city):
            names.append(name)
            found.append(values.astype(np.float32))
    return np.stack(found), names


def forest_probabilities(
    features: NDArray[np.float32],
    codes: NDArray[np.integer[Any]],
    unseen: NDArray[np.float32],
    *,
    kind: Forest = "random-forest",
    seed: int = 0,
    trees: int = TREES,
    jobs: int = 1,
) -> NDArray[np.float32]:
    """Fit a forest on features (n, feature) with codes 1-17 (n,), and return probabilities (m, 17) of the unseen.

    A code that was not in the training has probability 0. Raises MissingExtra without scikit-learn.
    """
    forest = _forest(kind, seed, trees, jobs)
    forest.fit(features, codes)
    probabilities = np.zeros((len(unseen), CODES), dtype=np.float32)
    probabilities[:, np.asarray(forest.classes_, dtype=np.int64) - 1] = forest.predict_proba(unseen)
    return probabilities


def _forest(kind: Forest, seed: int, trees: int, jobs: int) -> Any:
    try:
        from sklearn import ensemble  # noqa: PLC0415 - of the train extra: only who fits a forest needs it
    except ModuleNotFoundError as error:
        raise MissingExtra("forests need scikit-learn: pip install 'cityzones[train]'") from error
    usual = {"min_samples_leaf": LEAF, "n_jobs": jobs, "random_state": seed}
    if kind == "random-forest":
        return ensemble.RandomForestClassifier(trees, max_features="sqrt", **usual)
    # Their splits are drawn, not searched: more candidates and balanced classes cost little, and rare classes gain.
    return ensemble.ExtraTreesClassifier(trees, max_features=0.2, class_weight="balanced_subsample", **usual)


def _spectral(city: CityGround) -> Iterator[tuple[str, NDArray[np.float32]]]:
    weight = _cells(city, city.valid)
    for season, bands in zip(city.seasons, city.reflectance, strict=True):
        for band, values in enumerate(bands):
            yield from _moments(city, f"{season}-{band}", values, city.valid, weight)


def _buildings(city: CityGround) -> Iterator[tuple[str, NDArray[np.float32]]]:
    mapped, names = city.morphology[_MAPPED] > 0, ("built", "height", "height-spread", "sky", "aspect")
    weight = _cells(city, mapped)
    for name, values in zip(names, city.morphology, strict=False):
        if name in {"built", "height"}:
            yield from _moments(city, name, values, mapped, weight)
        else:
            yield from _means(name, _cells(city, values), weight)
    # Over roofs only: a few towers on a lawn are as high as many.
    roofs = city.morphology[_BUILT] > 0
    yield from _means("roof-height", _cells(city, city.morphology[_HEIGHT] * roofs), _cells(city, roofs))
    yield from _means("roof-share", _cells(city, roofs), weight)


def _streets(city: CityGround) -> Iterator[tuple[str, NDArray[np.float32]]]:
    yield from _shares(city, "street", city.streets)


def _landuse(city: CityGround) -> Iterator[tuple[str, NDArray[np.float32]]]:
    yield from _shares(city, "landuse", city.landuse)


def _zoning(city: CityGround) -> Iterator[tuple[str, NDArray[np.float32]]]:
    yield from _shares(city, "zoning", city.zoning)


_LAYERS: Final = {
    "spectral": _spectral, "buildings": _buildings, "streets": _streets, "landuse": _landuse, "zoning": _zoning,
}  # fmt: skip


def _shares(
    city: CityGround, name: str, layers: NDArray[np.float32] | None
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    if layers is None:
        return
    everywhere = np.ones(city.truth.shape, dtype=np.float32)
    for k, values in enumerate(layers):
        yield from _means(f"{name}-{k}", _cells(city, values), everywhere)


def _moments(
    city: CityGround, name: str, values: NDArray[np.float32], where: NDArray[np.bool_], weight: NDArray[np.float32]
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield mean and standard deviation at every span."""
    inside = values * where
    first, second = _cells(city, inside), _cells(city, inside * values)
    for span in SPANS:
        mean = _over(first, weight, span)
        yield f"{name}-mean-{span}", mean
        yield f"{name}-spread-{span}", np.sqrt(np.maximum(_over(second, weight, span) - mean * mean, 0))


def _means(
    name: str, sums: NDArray[np.float32], weight: NDArray[np.float32]
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    for span in SPANS:
        yield f"{name}-mean-{span}", _over(sums, weight, span)


def _cells(city: CityGround, values: NDArray[Any]) -> NDArray[np.float32]:
    return cell_means(values, city.lattice, (city.truth.shape[0], city.truth.shape[1]))


def _over(sums: NDArray[Any], weight: NDArray[Any], span: int) -> NDArray[Any]:
    """Divide the box sum of `sums` by that of `weight`."""
    total, of = (uniform_filter(x.astype(np.float64), size=span, mode="constant") for x in (sums, weight))
    mean: NDArray[np.float64] = np.zeros_like(total)
    np.divide(total, of, out=mean, where=of > 1e-6)  # noqa: PLR2004 - rounding of a sum
    return mean
