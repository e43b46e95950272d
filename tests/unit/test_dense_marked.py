"""One marked cell of 100 m comes back as that very cell: patch by patch, on the 100 m grid, and at every pixel."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from models.cards import Geometry  # noqa: E402 - after the check for torch
from models.networks.so2sat_export import DenseTile  # noqa: E402
from tests.servers.marked import CELL, MARKED, MarkedPatches, marked_network, marked_scene  # noqa: E402

NODES, HALO_100M = 9, 11
SIDE = NODES * CELL + 2 * HALO_100M
CELLS = [(0, 0), (4, 5), (8, 2), (8, 8)]


def tensors(row: int, column: int, side: int, halo: int) -> list:
    scene = marked_scene((side, side), row * CELL + halo, column * CELL + halo)
    return [torch.from_numpy(x)[None] for x in scene]


@pytest.mark.parametrize("cell", CELLS)
def test_the_grid_of_100_m_finds_the_very_cell(cell: tuple[int, int]) -> None:
    with torch.no_grad():
        codes = marked_network().grid(*tensors(*cell, SIDE, HALO_100M)).logits.argmax(1)[0]
    assert codes.shape == (NODES, NODES)
    assert (codes == MARKED).nonzero().tolist() == [list(cell)]


@pytest.mark.parametrize("cell", CELLS)
def test_patches_find_the_very_cell(cell: tuple[int, int]) -> None:
    spectral, form = tensors(*cell, SIDE, HALO_100M)
    network = marked_network()
    found = []
    for row in range(NODES):
        for column in range(NODES):
            # The 32 pixels whose centre is the cell's: 11 around its 10.
            cut = np.s_[:, :, row * CELL : row * CELL + 32, column * CELL : column * CELL + 32]
            with torch.no_grad():
                if network(spectral[cut], form[cut]).logits.argmax() == MARKED:
                    found.append((row, column))
    assert found == [cell]


@pytest.mark.parametrize("cell", CELLS)
def test_a_patch_network_in_a_tile_finds_the_very_cell(cell: tuple[int, int]) -> None:
    geometry = Geometry(window=32, step=CELL, tile=NODES * CELL, halo=HALO_100M)
    spectral, _ = tensors(*cell, SIDE, HALO_100M)
    codes = DenseTile(MarkedPatches(), geometry)(spectral).argmax(1)[0]
    assert (codes == MARKED).nonzero().tolist() == [list(cell)]


@pytest.mark.parametrize("cell", CELLS)
def test_every_pixel_of_the_cell_is_found(cell: tuple[int, int]) -> None:
    with torch.no_grad():
        codes = marked_network().pixels(*tensors(*cell, NODES * CELL + 32, 16))[0].argmax(1)[0]
    rows, columns = (axis.numpy() for axis in (codes == MARKED).nonzero(as_tuple=True))
    top, left = cell[0] * CELL, cell[1] * CELL
    # A window of even size has no middle pixel: the last row and column see half a pixel (5 m) to the other side.
    assert set(rows) == set(range(top, min(top + CELL + 1, NODES * CELL)))
    assert set(columns) == set(range(left, min(left + CELL + 1, NODES * CELL)))
    shares = (codes == MARKED).reshape(NODES, CELL, NODES, CELL).float().mean((1, 3))
    assert (shares > 0.5).nonzero().tolist() == [list(cell)]
