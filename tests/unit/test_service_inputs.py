"""What a process asks for is what its models take: the rest is not described, and refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jobs.errors import InvalidRequest
from jobs.request import parse_execute
from models.cards import card_of
from service.cli_map import process_of
from service.inputs import check_image, check_inputs, describe_inputs
from tests.servers.cards import reading_cards, write_cards
from tests.servers.pictures import picture_card

UPLOAD = "upl_01jd5x3v8r7q2m9k4n6p0w1y64"
PICTURES, ZONES = picture_card(), card_of("magnet")


@pytest.mark.parametrize(
    ("given", "pointer", "told"),
    [
        ({"resolution": 10}, "/inputs/resolution", "leave resolution out"),
        ({"buildings": {"upload": UPLOAD}}, "/inputs/buildings", "leave them out"),
        ({"units": "scene"}, "/inputs/units", "give auto, pixel or parcel"),
    ],
)
def test_pictures_are_not_mapped_as_scenes_are(given: dict[str, Any], pointer: str, told: str) -> None:
    inputs = parse_execute({"inputs": {"imagery": {"uploads": [UPLOAD]}} | given}).inputs
    with pytest.raises(InvalidRequest, match=told) as caught:
        check_inputs(inputs, PICTURES, [PICTURES])
    assert [fault.pointer for fault in caught.value.faults] == [pointer]
    check_inputs(inputs, ZONES, [ZONES])


def test_a_model_without_buildings_lets_them_be_where_another_of_its_process_reads_them() -> None:
    given = {"imagery": {"uploads": [UPLOAD]}, "buildings": {"upload": UPLOAD}}
    plain = card_of("so2sat-resnet20")
    assert not plain.input.morphology
    check_inputs(parse_execute({"inputs": given}).inputs, plain, [plain, ZONES])


@pytest.mark.parametrize(
    ("asked", "pointer"),
    [
        ({"inputs": {"outputs": ["map", "image"]}}, "/inputs/outputs/1"),
        ({"inputs": {}, "outputs": {"image": {}}}, "/outputs/image"),
    ],
)
def test_a_picture_is_refused_of_a_model_without_its_colours(asked: dict[str, Any], pointer: str) -> None:
    execute = parse_execute(asked | {"inputs": {"imagery": {"uploads": [UPLOAD]}} | asked["inputs"]})
    infrared = ZONES.model_copy(update={"input": ZONES.input.model_copy(update={"bands": ("B08", "B04", "B03")})})
    with pytest.raises(InvalidRequest, match="leave image out") as caught:
        check_image(execute, infrared)
    assert [fault.pointer for fault in caught.value.faults] == [pointer]
    check_image(execute, ZONES)
    check_image(execute, PICTURES)


def test_only_what_is_taken_is_described() -> None:
    told, zones = describe_inputs([PICTURES], PICTURES.id), describe_inputs([ZONES], ZONES.id)
    assert zones.keys() - told.keys() == {"buildings", "resolution"}
    assert told["units"]["schema"]["enum"] == ["auto", "pixel", "parcel"]
    assert zones["units"]["schema"]["enum"] == ["auto", "pixel", "scene", "parcel"]
    assert told["model"]["schema"] == {"type": "string", "enum": [PICTURES.id], "default": PICTURES.id}
    assert "mosaic" in told["imagery"]["description"]


def test_the_command_line_takes_the_process_from_the_model(tmp_path: Path) -> None:
    write_cards(tmp_path, PICTURES)
    with reading_cards(tmp_path):
        assert process_of(PICTURES.id) == "land-cover"
    assert process_of(None) == process_of("magnet") == process_of("unheard-of") == "local-climate-zones"
