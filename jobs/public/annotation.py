"""What clients are told of an annotation project: how far it is, its clusters, their masks, and who did what."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from jobs.annotation.edits import Edit, Source
from jobs.public.bodies import Body, Link


class ClassCount(Body):
    """A class, and what has it by now."""

    code: int
    label: str
    name: str
    colour: str
    masks: int
    pixels: int


class TileFacts(Body):
    """A tile of the project."""

    tile: int
    name: str
    width: int
    height: int
    masks: int
    labelled: int


class NeighbourhoodFacts(Body):
    """A block of a tile inside which masks are clustered: its place in the tile's pixels, and how far it is."""

    neighbourhood: int
    tile: int
    row: int
    column: int
    height: int
    width: int
    masks: int
    labelled: int


class Learnt(Body):
    """What a classifier said last: the version of the project that it learnt from."""

    version: int


class Annotation(Body):
    """An annotation project at its newest version; actions are clicks that were saved, undone or not."""

    job: str
    title: str
    version: int
    masks: int
    labelled: int
    pixels: int
    labelled_pixels: int
    actions: int
    clicks_per_mask: float | None = Field(None, description="actions for each labelled mask, once there is one")
    segmenter: str
    classes: list[ClassCount]
    tiles: list[TileFacts]
    neighbourhoods: list[NeighbourhoodFacts]
    predictions: Learnt | None = None
    links: list[Link]


class Votes(Body):
    """How many masks of a cluster a class has."""

    code: int
    masks: int


class Group(Votes):
    """The masks of a cluster that the classifier says are of one class, and how many of them have a label."""

    labelled: int


class Cluster(Body):
    """Masks that look alike: how many, how many of them have a class and which, and what the classifier says."""

    node: int
    masks: int
    pixels: int
    labelled: int
    votes: list[Votes]
    predicted: list[Group]


class ClusterList(Body):
    """The clusters that stand in a neighbourhood now, largest first."""

    neighbourhood: int
    version: int
    clusters: list[Cluster]


class MaskFacts(Body):
    """A mask: where it is, what it was said to be and by whom, and what the classifier says (confidence in percent)."""

    mask: int
    tile: int
    box: tuple[int, int, int, int] = Field(description="first row and column, and those behind the last")
    area: int = Field(description="pixels")
    code: int = Field(description="its class, 0 for none")
    source: Source | None = None
    who: str | None = None
    predicted: int | None = None
    confidence: int | None = None


class MaskList(Body):
    """A page of masks, those most alike side by side."""

    version: int
    total: int
    offset: int
    masks: list[MaskFacts]
    links: list[Link]


class TileMasks(Body):
    """Every mask of a tile, in the order of their labels from 1: number of the first, classes and predictions."""

    tile: int
    version: int
    first: int
    codes: list[int]
    areas: list[int]
    predicted: list[int] | None = None
    confidence: list[int] | None = None


class NewEdit(Body):
    """An edit to be saved: what it does, the version that its author saw, and who that is."""

    base: int = Field(ge=0, description="the version the author looked at")
    who: str = Field(min_length=1, max_length=60, pattern=r"^[^\x00-\x1f\x7f]+$")
    edit: Edit


class Saved(Body):
    """An edit that was saved, as the version it made."""

    version: int
    status: Literal["saved"] = "saved"


class HistoryEntry(Body):
    """An edit of the past: a label tells its class and how many masks, a split its cluster, an undo what it undid."""

    version: int
    who: str
    when: datetime
    kind: Literal["label", "split", "undo"]
    undone: bool
    code: int | None = None
    masks: int | None = None
    source: Source | None = None
    neighbourhood: int | None = None
    node: int | None = None
    undid: int | None = None


class History(Body):
    """What was done, newest first."""

    version: int
    entries: list[HistoryEntry]
    links: list[Link]
