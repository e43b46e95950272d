"""The edits of an annotation project: a class for masks, a cluster split or joined again, and an edit taken back."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

MOST_MASKS: Final = 20_000  # in one edit

Source = Literal["manual", "cluster", "model"]
MaskNumber = Annotated[int, Field(ge=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Label(_Strict):
    """Masks, by their number in the project, are of one class; code 0 takes their label away.

    `source` says how they were found: one by one, as members of a cluster, or as the classifier's predictions.
    """

    kind: Literal["label"] = "label"
    masks: tuple[MaskNumber, ...] = Field(min_length=1, max_length=MOST_MASKS)
    code: int = Field(ge=0, le=255)
    source: Source = "manual"


class Split(_Strict):
    """A cluster is no cluster: the two that it was joined from take its place. `node` as in the tree of its block."""

    kind: Literal["split"] = "split"
    neighbourhood: int = Field(ge=0)
    node: int = Field(ge=0)


class Undo(_Strict):
    """An earlier edit, by its version, counts no more. Undoing an undo brings the edit back."""

    kind: Literal["undo"] = "undo"
    version: int = Field(ge=1)


Edit = Annotated[Label | Split | Undo, Field(discriminator="kind")]


class Entry(_Strict):
    """An edit as the log keeps it: which version of the project it made, who made it, and when."""

    version: int = Field(ge=1)
    who: str
    when: datetime
    edit: Edit


def what_it_touches(edit: Label | Split) -> frozenset[object]:
    """Return what two edits must not both touch unless the second knew of the first: masks, and cluster nodes."""
    if isinstance(edit, Label):
        return frozenset(edit.masks)
    return frozenset({(edit.neighbourhood, edit.node)})
