"""What clients see of an open project: how far it is, its clusters, the masks of one, its tiles, its history."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from jobs.annotation.edits import Entry, Label, Split
from jobs.errors import InvalidEdit
from jobs.public.annotation import (
    Annotation,
    ClassCount,
    Cluster,
    ClusterList,
    Group,
    History,
    HistoryEntry,
    Learnt,
    MaskFacts,
    MaskList,
    NeighbourhoodFacts,
    TileFacts,
    TileMasks,
    Votes,
)
from jobs.public.bodies import Link
from models.classes import LAND_COVER
from service.annotation.room import Now, OpenProject

_CODES: Final = 256


def annotation(opened: OpenProject, url: str) -> Annotation:
    """Return how far a project is; `url` is its own address."""
    now, project, area = opened.now(), opened.project, opened.table.area
    codes, labelled = now.board.codes, now.board.labelled
    return Annotation(
        job=project.job,
        title=project.title,
        version=now.version,
        masks=project.masks,
        labelled=labelled,
        pixels=int(area.sum()),
        labelled_pixels=int(area[codes > 0].sum()),
        actions=now.board.actions,
        clicks_per_mask=round(now.board.actions / labelled, 4) if labelled else None,
        segmenter=project.segmenter,
        classes=_classes(codes, area),
        tiles=_tiles(opened, codes),
        neighbourhoods=_neighbourhoods(opened, codes),
        predictions=Learnt(version=now.learnt[0]) if now.learnt else None,
        links=[Link(href=url, rel="self", title="This project")],
    )


def clusters(opened: OpenProject, neighbourhood: int) -> ClusterList:
    """Return the clusters that stand in a neighbourhood, largest in pixels first; raises InvalidEdit for no such."""
    now, tree = opened.now(), opened.tree(neighbourhood)
    split = {node for number, node in now.board.split if number == neighbourhood}
    found = [_cluster(opened, now, node, tree.members(node)) for node in tree.standing(split)]
    found.sort(key=lambda cluster: (-cluster.pixels, cluster.node))
    return ClusterList(neighbourhood=neighbourhood, version=now.version, clusters=found)


def masks_of_cluster(
    opened: OpenProject, neighbourhood: int, node: int, *, predicted: int | None, page: slice, url: str
) -> MaskList:
    """Return a page of a cluster's masks, those most alike side by side; of those alone that are predicted so, if told.

    Raises InvalidEdit for a cluster that the neighbourhood does not have.
    """
    now, members = opened.now(), opened.tree(neighbourhood).members(node)
    if predicted is not None:
        members = members[now.learnt[1].codes[members] == predicted] if now.learnt else members[:0]
    links = [Link(href=_page(url, page.start, page, predicted), rel="self", title="This page")]
    if page.stop < len(members):
        links.append(Link(href=_page(url, page.stop, page, predicted), rel="next", title="More masks"))
    return MaskList(
        version=now.version,
        total=len(members),
        offset=page.start,
        masks=mask_facts(opened, now, members[page]),
        links=links,
    )


def mask_facts(opened: OpenProject, now: Now, numbers: Iterable[int]) -> list[MaskFacts]:
    """Return what is known of masks, in the order of their numbers given."""
    return [_mask(opened, now, int(number)) for number in numbers]


def tile_masks(opened: OpenProject, tile: int) -> TileMasks:
    """Return the classes of every mask of a tile; raises InvalidEdit for a tile that is not there."""
    check_tile(opened, tile)
    now = opened.now()
    first = sum(t.masks for t in opened.project.tiles[:tile])
    own = slice(first, first + opened.project.tiles[tile].masks)
    learnt = now.learnt[1] if now.learnt else None
    return TileMasks(
        tile=tile,
        version=now.version,
        first=first,
        codes=now.board.codes[own].tolist(),
        areas=opened.table.area[own].tolist(),
        predicted=learnt.codes[own].tolist() if learnt else None,
        confidence=learnt.confidence[own].tolist() if learnt else None,
    )


def check_tile(opened: OpenProject, tile: int) -> None:
    """Raise InvalidEdit for a tile that the project does not have."""
    if not 0 <= tile < len(opened.project.tiles):
        msg = f"the project has no tile {tile}; they are numbered to {len(opened.project.tiles) - 1}"
        raise InvalidEdit(msg)


def check_masks(opened: OpenProject, numbers: Sequence[int]) -> None:
    """Raise InvalidEdit for masks that the project does not have."""
    beyond = [number for number in numbers if not 0 <= number < opened.project.masks]
    if beyond:
        msg = f"the project has no mask {beyond[0]}; they are numbered to {opened.project.masks - 1}"
        raise InvalidEdit(msg)


def history(opened: OpenProject, before: int | None, limit: int, url: str) -> History:
    """Return what was done, newest first, from the version before `before`."""
    now = opened.now()
    newest = now.version if before is None else min(before - 1, now.version)
    oldest = max(newest - limit, 0)
    entries = [_entry(entry, entry.version in now.undone) for entry in reversed(now.entries[oldest:newest])]
    links = [Link(href=f"{url}?limit={limit}&before={newest + 1}", rel="self", title="This page")]
    if oldest:
        links.append(Link(href=f"{url}?limit={limit}&before={oldest + 1}", rel="next", title="Older edits"))
    return History(version=now.version, entries=entries, links=links)


def _classes(codes: NDArray[np.uint8], area: NDArray[np.int32]) -> list[ClassCount]:
    masks = np.bincount(codes, minlength=_CODES)
    pixels = np.bincount(codes, weights=area, minlength=_CODES)
    return [
        ClassCount(
            code=c.code,
            label=c.label,
            name=c.name,
            colour=c.colour,
            masks=int(masks[c.code]),
            pixels=int(pixels[c.code]),
        )
        for c in LAND_COVER
    ]


def _tiles(opened: OpenProject, codes: NDArray[np.uint8]) -> list[TileFacts]:
    tiles = opened.project.tiles
    labelled = _counted(opened.table.tile, codes, len(tiles))
    return [
        TileFacts(tile=n, name=t.name, width=t.width, height=t.height, masks=t.masks, labelled=labelled[n])
        for n, t in enumerate(tiles)
    ]


def _neighbourhoods(opened: OpenProject, codes: NDArray[np.uint8]) -> list[NeighbourhoodFacts]:
    found = opened.project.neighbourhoods
    labelled = _counted(opened.table.neighbourhood, codes, len(found))
    return [NeighbourhoodFacts(neighbourhood=n, labelled=labelled[n], **b.model_dump()) for n, b in enumerate(found)]


def _counted(group: NDArray[np.int32], codes: NDArray[np.uint8], groups: int) -> list[int]:
    return [int(count) for count in np.bincount(group[codes > 0], minlength=groups)]


def _cluster(opened: OpenProject, now: Now, node: int, members: NDArray[np.int32]) -> Cluster:
    codes = now.board.codes[members]
    return Cluster(
        node=node,
        masks=len(members),
        pixels=int(opened.table.area[members].sum()),
        labelled=int(np.count_nonzero(codes)),
        votes=_votes(codes[codes > 0]),
        predicted=_groups(now.learnt[1].codes[members], codes > 0) if now.learnt else [],
    )


def _votes(codes: NDArray[np.uint8]) -> list[Votes]:
    counts = np.bincount(codes, minlength=_CODES)
    order = sorted(np.flatnonzero(counts), key=lambda code: (-counts[code], code))
    return [Votes(code=int(code), masks=int(counts[code])) for code in order]


def _groups(predicted: NDArray[np.uint8], labelled: NDArray[np.bool_]) -> list[Group]:
    done = np.bincount(predicted[labelled], minlength=_CODES)
    return [Group(code=v.code, masks=v.masks, labelled=int(done[v.code])) for v in _votes(predicted)]


def _mask(opened: OpenProject, now: Now, number: int) -> MaskFacts:
    table, said = opened.table, int(now.board.version_of[number])
    entry = now.entries[said - 1] if said else None
    learnt = now.learnt[1] if now.learnt else None
    top, left, bottom, right = (int(end) for end in table.box[number])
    return MaskFacts(
        mask=number,
        tile=int(table.tile[number]),
        box=(top, left, bottom, right),
        area=int(table.area[number]),
        code=int(now.board.codes[number]),
        source=entry.edit.source if entry and isinstance(entry.edit, Label) else None,
        who=entry.who if entry else None,
        predicted=int(learnt.codes[number]) if learnt else None,
        confidence=int(learnt.confidence[number]) if learnt else None,
    )


def _entry(entry: Entry, undone: bool) -> HistoryEntry:  # noqa: FBT001 - named as in the body
    edit = entry.edit
    told: dict[str, object]
    if isinstance(edit, Label):
        told = {"code": edit.code, "masks": len(edit.masks), "source": edit.source}
    elif isinstance(edit, Split):
        told = {"neighbourhood": edit.neighbourhood, "node": edit.node}
    else:
        told = {"undid": edit.version}
    common = {"version": entry.version, "who": entry.who, "when": entry.when, "kind": edit.kind, "undone": undone}
    return HistoryEntry.model_validate(common | told)


def _page(url: str, offset: int, page: slice, predicted: int | None) -> str:
    chosen = "" if predicted is None else f"&predicted={predicted}"
    return f"{url}?offset={offset}&limit={page.stop - page.start}{chosen}"
