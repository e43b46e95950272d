"""How many actions an expert needs to label the masks of aerial images, in four ways.

    python -m benchmarks.annotation [--tiles FOLDER] [--every 4] [--towns 3]

The expert is simulated, knows the truth, and makes no mistakes; an action is one click or key. The images are every
fourth of a folder of tiles (the default is the Dubai tiles, where they lie beside the checkout) and procedural towns;
each set is a project of its own. The ways, told in `expert.py`:

- `masks`: one by one, the largest first.
- `global_clusters`: one Ward tree of all masks, over the 2,000 clusters of a k-means.
- `clusters`: a Ward tree of every neighbourhood of 512 px. For both ways of clusters the best of three thresholds for
  splitting is taken, level by level, which no expert could know: the figures are in their favour.
- `clusters_and_classifier`: a few neighbourhoods by clusters, then the worker's classifier, and review page by page.

`actions` tells by way, level and measure after how many actions the accuracy stays at that level or above. Accuracies
are of all masks, labelled by whomever, and masks without a class are wrong: `masks` is the share of masks whose class
is that of most of their true pixels, `area` the same weighted by area, `pixels` the share of true pixels whose mask has
their class (a mask's mixed pixels bound it below 1). `actions_ratio_90` is the actions of `masks` over those of
`clusters_and_classifier` at 90 % of the measure `masks`, the strictest. `looked_at_90` is the share of masks the expert
had seen by then. `networks` tells what the labels are worth that each way had when `clusters_and_classifier` reached
those 90 %: a network of land cover learns from them, but for the images of the tiles `--kept`, and is measured on all
images of these; beside it one that learnt from every mask in its true class, and one from the truth. `seconds_per_tile`
is processor time to find, describe and cluster the masks of 1024 x 1024 pixels.
The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.annotation.expert import all_together, by_clusters, by_clusters_and_classifier, by_masks, by_page
from benchmarks.annotation.ledger import LEVELS, MEASURES, Ledger, label_sets
from benchmarks.annotation.material import Material, prepare
from benchmarks.annotation.networks import worth
from benchmarks.annotation.scene import draw
from models.data.tiles.folder import Picture, TileFolder, open_tiles, read_picture
from worker.annotation.clusters import CUT

DUBAI = Path(__file__).parents[3] / "shared" / "data" / "dubai_landcover"
SHARES = (0.6, 0.75, 0.9)
GLOBAL_CUT = 200


def main() -> None:
    """Let the expert label every set in every way, print a table and the JSON line."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--tiles", type=Path, default=DUBAI if DUBAI.is_dir() else None, help="folder of tiles")
    words.add_argument("--every", type=int, default=4, help="take every n-th image of a tile")
    words.add_argument("--towns", type=int, default=3, help="procedural towns")
    words.add_argument(
        "--kept", nargs="*", default=["tile2", "tile5"], help="tiles networks are measured on; none: no network"
    )
    words.add_argument("--steps", type=int, default=300, help="steps of each network")
    told = words.parse_args()
    begun = time.perf_counter()
    sets: dict[str, Any] = {}
    if told.tiles:
        kept = open_tiles(told.tiles).only(tuple(told.kept)) if told.kept else None
        sets[told.tiles.name] = measure(prepare(_pictures(told.tiles, told.every)), kept, told.steps)
    if told.towns:
        sets["towns"] = measure(prepare(draw(seed) for seed in range(told.towns)))
    ratio = next(iter(sets.values()))["ratios"]["90%"]["masks"]
    report = {"actions_ratio_90": ratio, "every": told.every, "sets": sets}
    print(json.dumps(report | {"wall_seconds": round(time.perf_counter() - begun)}))


def measure(material: Material, kept: TileFolder | None = None, steps: int = 0) -> dict[str, Any]:
    """Return the figures of one set; with tiles that are `kept`, also those of networks of so many steps."""
    page, together = by_page(material), all_together(material)
    ways = {
        "masks": [by_masks(material)],
        "global_clusters": [by_clusters(material, together, GLOBAL_CUT, share) for share in SHARES],
        "clusters": [by_clusters(material, page, CUT, share) for share in SHARES],
        "clusters_and_classifier": [by_clusters_and_classifier(material)],
    }
    actions = {way: _best(ledgers) for way, ledgers in ways.items()}
    for way, told in actions.items():
        print(f"{way:24}", *(f"{level} {told[level]}" for level in told), sep="  ", flush=True)
    ours, enough = ways["clusters_and_classifier"][0], actions["clusters_and_classifier"]["90%"]["masks"]
    networks = compare(material, ways, enough, kept, steps) if kept and enough else {}
    return {
        "images": len(material.scenes),
        "masks": len(material.truth),
        "neighbourhoods": len(material.trees),
        "seconds_per_tile": round(material.seconds / material.tiles, 2),
        "actions": actions,
        "ratios": _ratios(actions["masks"], actions["clusters_and_classifier"]),
        "looked_at_90": ours.looked_at(0.9),
        "networks": networks,
    }


def compare(
    material: Material, ways: dict[str, list[Ledger]], actions: int, kept: TileFolder, steps: int
) -> dict[str, Any]:
    """Return what the label sets after so many actions are worth to a network, by way."""
    found = {}
    for way, codes in label_sets(material, ways, actions).items():
        found[way] = worth(material.scenes, codes, kept, steps)
        told = found[way]
        print(f"{way:24}", f"labelled {told['labelled']:.3f}  mIoU {told['mean_iou']:.3f}", flush=True)
    return {"kept": list(kept.tiles), "steps": steps, "actions": actions, "sets": found}


def _pictures(folder: Path, every: int) -> Iterator[Picture]:
    opened = open_tiles(folder)
    return (read_picture(pair, opened.legend) for pairs in opened.tiles.values() for pair in pairs[::every])


def _best(ledgers: list[Ledger]) -> dict[str, dict[str, int | None]]:
    """Return the fewest actions of several ledgers, by level and measure."""
    reached = [ledger.reached() for ledger in ledgers]
    pick = partial(min, default=None)
    return {
        level: {
            measure: pick(told for one in reached if (told := one[level][measure]) is not None) for measure in MEASURES
        }
        for level in (f"{level:.0%}" for level in LEVELS)
    }


def _ratios(theirs: dict[str, Any], ours: dict[str, Any]) -> dict[str, dict[str, float | None]]:
    return {
        level: {
            measure: round(theirs[level][measure] / ours[level][measure], 2) if ours[level][measure] else None
            for measure in MEASURES
        }
        for level in theirs
    }


if __name__ == "__main__":
    main()
