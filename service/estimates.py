"""What a request would come to: pixels, blocks, seconds, bytes and scenes, told without creating anything."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import shapely

from jobs.area import Area, Grid, area_of_bounds, project, utm_grid
from jobs.errors import ImageryUnavailable, NoImagery
from jobs.pace import Pace
from jobs.plan import block_side, cut_blocks, maps_cells
from jobs.public.bodies import Estimate, Link, SceneFound, ScenesFound
from jobs.record import Warned
from jobs.scenes import catalogue
from jobs.scenes.items import MOST_OVERPASSES, Choice, Usable, choose, cloud_cover, overpasses
from jobs.scenes.pictures import Picture, Pictures, choose_pictures
from service.annotation.checking import CheckedAnnotation
from service.asking import Asked
from service.checking import Checked
from service.sizes import asked_km2
from service.state import State

# Of the sample city's outputs: pages and pictures, three rasters, and the parcels as two tables.
_PAGES_BYTES: Final = 300_000
_BYTES_A_PIXEL: Final = 0.15
_PARCEL_GROWTH: Final = 1.5
_IMAGE_BYTES_A_PIXEL: Final = 2.9  # of the imagery: photographs and Sentinel-2 scenes alike
_NAMED: Final = 36
# Of an annotation project, measured on the tiles of Dubai: cutting and describing masks, and what is kept of them.
_PROJECT_SECONDS: Final = 1.0
_SECONDS_A_PIXEL: Final = 2.5e-6
_PROJECT_BYTES_A_PIXEL: Final = 4.0


@dataclass(frozen=True, slots=True)
class _Ground:
    """What would be mapped: pixels read, pixels of the map and their side in metres, blocks of the job."""

    read: int
    pixels: int
    resolution: float
    blocks: int


def estimate_job(checked: Asked, state: State) -> Estimate:
    """Return what a checked request would come to; raises InvalidRequest for dates that are none.

    A catalogue that does not answer takes the scenes from an estimate, and is told in its warnings.
    """
    links = _links(f"{state.settings.public_url}/processes/{checked.process}")
    return _of_annotation(checked, links) if isinstance(checked, CheckedAnnotation) else _of_map(checked, state, links)


def _links(here: str) -> list[Link]:
    return [
        Link(href=f"{here}/estimate", rel="self", title="This estimate"),
        Link(href=f"{here}/execution", rel="http://www.opengis.net/def/rel/ogc/1.0/execute", title="Start the job"),
    ]


def _of_annotation(checked: CheckedAnnotation, links: list[Link]) -> Estimate:
    pixels = sum(record.facts["width"] * record.facts["height"] for record in checked.uploads)
    return Estimate(
        processID=checked.process,
        pixels=pixels,
        blocks=max(len(checked.uploads), 1),
        seconds=round(_PROJECT_SECONDS + _SECONDS_A_PIXEL * pixels, 1),
        seconds_drawn_from=0,
        output_bytes=round(_PROJECT_BYTES_A_PIXEL * pixels),
        warnings=[],
        links=links,
    )


def _of_map(checked: Checked, state: State, links: list[Link]) -> Estimate:
    card, ground = checked.card, _ground(checked, state)
    coarse = _of_cells(checked) and card.scene_graph is not None
    expected = Pace(state.jobs.live).expected(card.id, ground.blocks, coarse=coarse)
    scenes, warnings = _looked_for(checked, state)
    return Estimate(
        processID=checked.process,
        model=card.id,
        resolution=ground.resolution,
        km2=round(checked.source.km2 if checked.source else asked_km2(checked), 4),
        pixels=ground.pixels,
        blocks=ground.blocks,
        seconds=round(expected.seconds, 1),
        seconds_drawn_from=expected.drawn_from,
        output_bytes=_output_bytes(checked, ground),
        scenes=scenes,
        warnings=warnings,
        links=links,
    )


def _ground(checked: Checked, state: State) -> _Ground:
    card, source = checked.card, checked.source
    if source is not None:
        grid, blocks = source.pixel_grid, source.blocks
    else:
        area = checked.area or _imaged(checked)
        grid = _grid(checked, area)
        blocks = cut_blocks(grid, block_side(card, state.settings.block_pixels), project(area.geometry, grid.crs))
    side = card.geometry.scene if _of_cells(checked) else 1
    pixels = (grid.width // side) * (grid.height // side)
    return _Ground(grid.width * grid.height, pixels, grid.resolution * side, len(blocks))


def _of_cells(checked: Checked) -> bool:
    return maps_cells(checked.execute.inputs.resolution, checked.card)


def _grid(checked: Checked, area: Area) -> Grid:
    """Return the pixels to map: those of images that are alike, where a model without cells takes them, or UTM's."""
    card = checked.card
    alike = {(u.facts["crs"], *u.facts["resolution"]) for u in checked.uploads if u.kind == "image"}
    least, most = (share * card.input.resolution for share in card.input.own_pixels)
    if len(alike) == 1 and not card.has_cells:
        ((crs, side, _),) = alike
        if least <= side <= most:  # degrees are smaller than any pixel that is taken
            left, bottom, right, top = project(area.geometry, crs).bounds
            return Grid(crs, left, top, side, math.ceil((right - left) / side), math.ceil((top - bottom) / side))
    return utm_grid(area, card.input.resolution)


def _imaged(checked: Checked) -> Area:
    """Return what the images lie in, by their bounds."""
    boxes = [shapely.box(*u.facts["lonlat_bounds"]) for u in checked.uploads if u.kind == "image"]
    return area_of_bounds(shapely.unary_union(boxes).bounds)


def _output_bytes(checked: Checked, ground: _Ground) -> int:
    parcels = checked.execute.inputs.parcels
    sent = sum(u.size for u in checked.uploads if parcels and u.upload == parcels.upload)
    image = _IMAGE_BYTES_A_PIXEL * ground.read if "image" in checked.execute.selected else 0
    return round(_PAGES_BYTES + _BYTES_A_PIXEL * ground.pixels + _PARCEL_GROWTH * sent + image)


def _looked_for(checked: Checked, state: State) -> tuple[ScenesFound | None, list[Warned]]:
    try:
        return _scenes(checked, state), []
    except (ImageryUnavailable, NoImagery) as error:
        return None, [Warned(code=error.code, detail=error.detail)]


def _scenes(checked: Checked, state: State) -> ScenesFound | None:
    """Return the scenes of the clearest overpasses: the job looks at them and takes those clearest over the area.

    Of pictures, the newest: the job takes them until the area is covered.
    """
    wanted = checked.execute.inputs.imagery.stac
    if wanted is None or checked.area is None:
        return None
    bands, pictured = checked.card.input.bands, checked.card.input.reflectance == "digital"
    found = catalogue.search(wanted, checked.area, state.settings, by_cloud=not pictured)
    choice: Choice | Pictures
    likely: Sequence[Usable | Picture]
    if pictured:
        choice = choose_pictures(found.items, wanted, checked.area, bands)
        days, likely = len({p.time.date() for p in choice.usable}), choice.usable[:_NAMED]
    else:
        choice = choose(found.items, wanted, checked.area, bands)
        passes = overpasses(choice.usable, most=_NAMED)
        days, likely = len(passes), [scene for day in passes[:MOST_OVERPASSES] for scene in day]
    return ScenesFound(
        catalogue=found.root,
        fitting=len(choice.usable),
        refused=dict(choice.refused),
        overpasses=days,
        likely=[SceneFound(id=s.item.id, datetime=s.time, cloud_cover=cloud_cover(s.item)) for s in likely],
    )
