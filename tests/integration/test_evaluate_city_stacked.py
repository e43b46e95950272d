"""A card that reads every season at once, at every 10 m, evaluated on a city: its bands, its seasons, its places."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - the usual name
from typer.testing import CliRunner

from models.cards import Card
from models.data.cities.ground import BANDS, SEASONS, CityGround, read_city
from models.data.cities.vectors import BadCity
from models.errors import BadCard
from models.evaluation.city_network import Manner, city_for, evaluate_card, open_network
from models.evaluation.city_tiles import network_probabilities
from service import cli_evaluate
from service.cli import app
from tests.city_folder import write_city

TILE, WINDOW = 60, 10
STACKED = tuple(f"{band} {season}" for season in SEASONS for band in BANDS)
MARKED = (13, 21)  # a cell


class _Mean(nn.Module):
    """Give the first class the mean of one band over a node's window, and the second class the rest of 1."""

    def __init__(self, card: Card, band: int) -> None:
        super().__init__()
        geometry = card.geometry
        self.band, self.step, self.window = band, geometry.step, geometry.window
        first = geometry.halo + (geometry.step - geometry.window) // 2
        self.seen = slice(first, first + geometry.tile - geometry.step + geometry.window)

    def forward(self, spectral: Tensor) -> Tensor:
        mean = F.avg_pool2d(spectral[:, self.band : self.band + 1, self.seen, self.seen], self.window, self.step)
        shares = torch.cat([mean, 1 - mean, *[torch.zeros_like(mean)] * 15], dim=1)
        return torch.round(255 * shares).to(torch.uint8)


def _card(bands: tuple[str, ...] = STACKED, *, step: int = 1) -> Card:
    told: dict[str, Any] = {
        "id": "window-mean",
        "version": "1",
        "product": "local-climate-zones",
        "title": "Window mean",
        "summary": "The mean of one band over a window.",
        "licence": "Apache-2.0",
        "training_data": "none",
        "citation": "none",
        "input": {"bands": bands, "resolution": 10.0, "reflectance": "TOA"},
        "geometry": {"window": WINDOW, "step": step, "tile": TILE, "halo": WINDOW // 2},
        "serving": {"model": "window-mean"},
        "weights": {"file": "mean.onnx", "bundled": True},
    }
    return Card.model_validate(told)


def _network(card: Card, folder: Path, *, band: int = 0) -> Path:
    path, side = folder / "mean.onnx", card.geometry.tile + 2 * card.geometry.halo
    example = torch.zeros(1, len(card.input.bands), side, side)
    torch.onnx.export(
        _Mean(card, band).eval(), (example,), path, opset_version=17, dynamo=False,
        input_names=["spectral"], output_names=["probabilities"],
    )  # fmt: skip
    return path


def _silent(_: str) -> None:
    return


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_city(tmp_path_factory.mktemp("city"), seasons=SEASONS, full=False)


@pytest.fixture(scope="module")
def city(folder: Path) -> CityGround:
    return read_city(folder)


@pytest.fixture(scope="module")
def marked(city: CityGround) -> CityGround:
    """Show nothing but one cell, alike in every season and band."""
    image = np.zeros_like(city.reflectance)
    row, column = (start + 10 * cell for start, cell in zip(city.lattice, MARKED, strict=True))
    image[..., row : row + 10, column : column + 10] = 1
    return replace(city, reflectance=image)


@pytest.mark.parametrize("flips", [False, True])
@pytest.mark.parametrize("step", [1, 2, 10])
def test_a_marked_cell_stays_where_it_is(marked: CityGround, tmp_path: Path, step: int, *, flips: bool) -> None:
    """A cell is seen through the window on its middle: a shift by one pixel would leave 0.9 of it."""
    card = _card(step=step)
    found = network_probabilities(card, open_network(card, _network(card, tmp_path)), marked, flips=flips, tell=_silent)
    expected = np.zeros(marked.truth.shape)
    expected[MARKED] = 1
    assert found[0] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("step", [1, 5])
def test_turned_views_look_through_the_same_windows(city: CityGround, tmp_path: Path, step: int) -> None:
    card = _card(step=step)
    session = open_network(card, _network(card, tmp_path))
    noisy = replace(city, reflectance=np.random.default_rng(0).random(city.reflectance.shape, dtype=np.float32))
    plain, turned = (network_probabilities(card, session, noisy, flips=f, tell=_silent) for f in (False, True))
    assert abs(plain - turned).max() < 2 / 255


@pytest.mark.parametrize("bands", [STACKED, STACKED[::-1], ("B02 winter", "B04 summer")])
def test_bands_are_read_in_the_order_of_the_card(city: CityGround, tmp_path: Path, bands: tuple[str, ...]) -> None:
    levels = np.arange(1, 13, dtype=np.float32).reshape(4, 3, 1, 1) * np.float32(17 / 255)
    flat = replace(city, reflectance=np.broadcast_to(levels, city.reflectance.shape))
    card, band = _card(bands), 1
    session = open_network(card, _network(card, tmp_path, band=band))
    found = network_probabilities(card, session, flat, tell=_silent)
    assert found[0][tuple(city.cells.T)] == pytest.approx(levels.ravel()[STACKED.index(bands[band])], abs=1e-6)


def test_the_command_tells_the_seasons_read_and_the_move(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = _card()
    weights = _network(card, tmp_path)
    monkeypatch.setattr(cli_evaluate, "card_of", lambda _: card)
    monkeypatch.setattr("models.evaluation.sessions.weights_path", lambda _: weights)
    asked = ["models", "evaluate-city", str(folder), "--card", "window-mean", "--no-smooth"]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout.splitlines()[-1])
    assert found["seasons"] == list(SEASONS)
    assert found["reference_shift_m"] == [-50, -50]
    assert not found["smoothed"]
    assert "raw" not in found


def test_a_missing_season_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    for name in ("lcz", "sen2_rgb_spring", "sen2_rgb_winter"):
        (tmp_path / f"probe_{name}.tif").touch()  # nobody could read them
    with pytest.raises(BadCity, match="reads spring, summer, autumn, winter; probe has no summer, autumn"):
        city_for(_card(), tmp_path)
    with pytest.raises(BadCity, match="cannot be read"):
        city_for(_card(BANDS), tmp_path)


def test_a_missing_season_is_refused_before_anything_is_computed(city: CityGround) -> None:
    without = replace(city, seasons=SEASONS[:2] + SEASONS[3:])
    with pytest.raises(BadCity, match="probe has no autumn"):
        evaluate_card(_card(), None, without, Manner(), tell=sys.exit)


@pytest.mark.parametrize(
    ("bands", "told"),
    [
        (("B04", "B03 summer"), "for all or for none"),
        (("B04 summer", "B08 summer"), "B08 summer; a city's folder has B04, B03, B02"),
        (("B04 monsoon",), "B04 monsoon"),
        (("B04", "B8A"), "reads B8A"),
    ],
)
def test_other_bands_are_refused(bands: tuple[str, ...], told: str) -> None:
    with pytest.raises(BadCard, match=told):
        open_network(_card(bands))
