"""Where a city's classes lie beside its imagery: a forest's accuracy with the cells moved by some pixels.

`python -m benchmarks.registration --data FOLDER [--city so2sat_pop_gdansk]` fits a random forest (40 trees, two of five
folds of square kilometres) for each shift up and left, and prints as JSON, on the last line, the overall accuracies.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from rich.console import Console

from models.data.cities.ground import CityGround, read_city, registered
from models.errors import CityzonesError
from models.evaluation.baselines import city_features, forest_probabilities
from models.evaluation.city import Fold, block_folds

SHIFTS = (0, -2, -3, -4, -5, -6, -7, -8, -10)
FOLDS_USED, TREES = 2, 40
console = Console(stderr=True)


def main() -> None:
    """Measure every shift, along the diagonal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the data sets")
    parser.add_argument("--city", default="so2sat_pop_gdansk", help="folder of the city inside it")
    parser.add_argument("--jobs", type=int, default=2, help="threads of the forests")
    told = parser.parse_args()
    try:
        city = read_city(told.data / told.city)
    except CityzonesError as error:
        console.print(error.detail, style="red", markup=False)
        sys.exit(1)
    folds = block_folds(city, 5, 0)[:FOLDS_USED]
    found = {}
    for shift in SHIFTS:
        found[str(shift)] = round(accuracy(registered(city, (shift, shift)), folds, told.jobs), 4)
        console.print(f"{shift:4d} pixels: {found[str(shift)]:.4f}", markup=False)
    print(json.dumps({"overall_accuracy_by_shift": found, "best": int(max(found, key=lambda key: found[key]))}))


def accuracy(city: CityGround, folds: list[Fold], jobs: int) -> float:
    """Return the overall accuracy of a forest on spectral and building windows over the test cells of folds."""
    features, _ = city_features(city, ("spectral", "buildings"))
    right = 0
    for fold in folds:
        known, unseen = (features[:, cells[:, 0], cells[:, 1]].T for cells in (fold.train, fold.test))
        answer = forest_probabilities(known, city.codes(fold.train), unseen, trees=TREES, jobs=jobs)
        right += int((np.asarray(answer.argmax(axis=1)) + 1 == city.codes(fold.test)).sum())
    return right / sum(len(fold.test) for fold in folds)


if __name__ == "__main__":
    main()
