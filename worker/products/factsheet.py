"""The factsheet: one HTML page without any outside resource that tells what the map holds and how far to trust it."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from models.cards import Score
from worker.products.accuracy import confusion_picture
from worker.products.facts import MapFacts, small_km2
from worker.products.style import legend

_TEMPLATES: Final = Path(__file__).parent / "templates"
# Below this brightness (ITU-R BT.601 luma, 0-255) a bar needs no outline on white paper.
_PALE: Final = 200.0
_METRICS: Final = {
    "OA": "Overall accuracy", "AA": "Mean class accuracy", "kappa": "Kappa", "OA_u": "Urban classes",
    "OA_u_strict": "Urban, strict",
    "OA_bu": "Built against natural", "OA_w": "Weighted by likeness", "macro_F1": "Macro F1", "F1": "Macro F1",
    "mIoU": "Mean IoU", "ECE": "Calibration error", "NLL": "Negative log likelihood",
    "argmax_agreement": "Same class in bfloat16",
}  # fmt: skip


def write_factsheet(facts: MapFacts, preview: bytes) -> str:
    """Return the page; `preview` is the PNG shown in it. The same input gives the same text."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        parcels=_parcels, percent=_percent, km2=_km2, number=_number, legend=legend, metric=_metric
    )
    picture = f"data:image/png;base64,{base64.b64encode(preview).decode()}"
    return environment.get_template("factsheet.html.j2").render(
        facts=facts, card=facts.card, picture=picture, chart=_chart(facts), metrics=_metrics(facts.card.accuracy),
        confusion=None if facts.reference is None else confusion_picture(facts.reference),
    )  # fmt: skip


def _chart(facts: MapFacts) -> list[dict[str, Any]]:
    """Return the bars of the chart, longest 100 units wide, in the legend's order."""
    longest = max((area.share for area in facts.present), default=1.0)
    return [
        {"area": area, "width": round(100 * area.share / longest, 2), "pale": _luma(area.kind.rgb) > _PALE}
        for area in facts.present
    ]


def _metrics(scores: tuple[Score, ...]) -> list[str]:
    """Return the columns of the accuracy table: every metric any row has, known ones first."""
    named = {name for score in scores for name in score.metrics}
    return [name for name in _METRICS if name in named] + sorted(named - set(_METRICS))


def _luma(rgb: tuple[int, int, int]) -> float:
    red, green, blue = rgb
    return 0.299 * red + 0.587 * green + 0.114 * blue


def _metric(name: str) -> str:
    return _METRICS.get(name, name)


def _parcels(number: int) -> str:
    return "1 parcel" if number == 1 else f"{number:,} parcels"


def _percent(share: float) -> str:
    if 0 < share < 0.0005:  # noqa: PLR2004 - what one decimal can show
        return "< 0.1 %"
    return f"{100 * share:.1f} %"


def _km2(value: float) -> str:
    if 0 < value < 0.1:  # noqa: PLR2004 - two decimals would be one digit
        return small_km2(value)
    return f"{value:,.2f}" if value < 100 else f"{value:,.1f}"  # noqa: PLR2004 - four digits are enough


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    places = 3 if value < 0.9995 else 4  # noqa: PLR2004 - what three places would round up to a whole
    return f"{value:.{places}f}".rstrip("0").rstrip(".")
