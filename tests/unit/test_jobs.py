"""Requests, plans, links, settings and ids: the small parts of the contract."""

import time
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from pydantic import ValidationError
from shapely.geometry import Point, box

from jobs.area import Grid
from jobs.errors import InvalidRequest, LinkExpired, WrongTransition
from jobs.ids import new_id
from jobs.links import LinkSigner
from jobs.plan import count_blocks, cut_blocks
from jobs.record import LiveRecord, check_transition
from jobs.request import DEFAULT_OUTPUTS, parse_execute
from jobs.settings import Settings, settings_page

UPLOAD = "upl_" + "0" * 26
MINIMAL = {"inputs": {"imagery": {"uploads": [UPLOAD]}}}


def test_minimal_request_gets_the_defaults():
    execute = parse_execute(MINIMAL)
    assert execute.inputs.model == "magnet"
    assert execute.selected == DEFAULT_OUTPUTS


def test_standard_outputs_member_chooses_outputs():
    assert parse_execute(MINIMAL | {"outputs": {"map": {}}}).selected == ("map",)


@pytest.mark.parametrize(
    ("body", "pointer", "says"),
    [
        ([], "", "not an object"),
        ({}, "/inputs", "required"),
        ({"inputs": {"imagery": {}}}, "/inputs/imagery", "exactly one"),
        ({"inputs": {"imagery": {"uploads": ["x"]}}}, "/inputs/imagery/uploads/0", "pattern"),
        ({"inputs": {"imagery": {"uploads": [UPLOAD]}, "parcells": {}}}, "/inputs/parcells", "did you mean 'parcels'"),
        ({"inputs": {"imagery": {"uploads": [UPLOAD]}, "units": "parcel"}}, "/inputs", "needs parcels"),
        ({"inputs": {"imagery": {"stac": {"datetime": "2026"}}}}, "/inputs", "needs an aoi"),
        ({"inputs": {"imagery": {"uploads": [UPLOAD]}, "resolution": 3}}, "/inputs/resolution", "10"),
        ({"inputs": {"imagery": {"uploads": [UPLOAD], "scale": 0}}}, "/inputs/imagery/scale", "greater than 0"),
    ],
)
def test_faults_are_pointed_at(body, pointer, says):
    with pytest.raises(InvalidRequest) as caught:
        parse_execute(body)
    fault = next(f for f in caught.value.faults if f.pointer == pointer)
    assert says in fault.detail


def test_every_upload_named_is_known_with_its_pointer():
    inputs = {"imagery": {"uploads": [UPLOAD]}, "parcels": {"upload": UPLOAD}, "buildings": {"upload": UPLOAD}}
    assert set(parse_execute({"inputs": inputs}).inputs.uploads) == {
        "/inputs/imagery/uploads/0",
        "/inputs/parcels/upload",
        "/inputs/buildings/upload",
    }


def test_blocks_tile_the_grid_once():
    grid = Grid("EPSG:32633", 0, 10_000, 10.0, 730, 500)
    blocks = cut_blocks(grid, 240, box(*grid.bounds))
    assert len(blocks) == count_blocks(grid, 240) == 12
    assert sum(b.height * b.width for b in blocks) == 730 * 500
    assert len({b.id for b in blocks}) == 12


def test_blocks_the_area_misses_are_left_out():
    grid = Grid("EPSG:32633", 0, 10_000, 10.0, 720, 480)
    blocks = cut_blocks(grid, 240, Point(100, 9_900).buffer(50))
    assert [b.id for b in blocks] == ["r0000c0000"]


def test_link_works_until_it_expires_and_only_as_signed():
    signer = LinkSigner("secret")
    soon = int(time.time()) + 60
    signed = {k: v[0] for k, v in parse_qs(signer.sign("jobs/a/outputs/map.tif", soon, "map.tif")).items()}

    def check(key="jobs/a/outputs/map.tif", expires=soon, key_id=signed["key"], filename="map.tif"):
        signer.check(key, expires=str(expires), key_id=key_id, filename=filename, signature=signed["signature"])

    check()
    for change in ({"key": "jobs/b/outputs/map.tif"}, {"expires": soon + 1}, {"key_id": "0"}, {"filename": "x.exe"}):
        with pytest.raises(LinkExpired, match="not signed"):
            check(**change)
    past = int(time.time()) - 1
    old = parse_qs(signer.sign("k", past, "n"))
    with pytest.raises(LinkExpired, match="expired"):
        signer.check("k", expires=str(past), key_id=old["key"][0], filename="n", signature=old["signature"][0])


def _good(signer: LinkSigner, query: str) -> bool:
    told = {name: values[0] for name, values in parse_qs(query).items()}
    try:
        signer.check("k", expires=told["expires"], key_id=told["key"], signature=told["signature"])
    except LinkExpired:
        return False
    return True


def test_links_of_the_secret_beside_are_good_while_it_is_there():
    soon = int(time.time()) + 60
    before, next_is_known = LinkSigner("old"), LinkSigner("old", "new")
    during, after = LinkSigner("new", "old"), LinkSigner("new")
    old, new = before.sign("k", soon), during.sign("k", soon)
    assert next_is_known.sign("k", soon) == old
    assert after.sign("k", soon) == new
    goods = {name: (_good(signer, old), _good(signer, new)) for name, signer in
             {"before": before, "next": next_is_known, "during": during, "after": after}.items()}  # fmt: skip
    assert goods == {"before": (True, False), "next": (True, True), "during": (True, True), "after": (False, True)}
    # A signature of one secret under the id of another is none.
    assert not _good(during, old.replace(before.key_id, during.key_id))
    assert not _good(during, new.replace(during.key_id, before.key_id))
    assert not _good(during, old.replace("expires=1", "expires=2"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"link_secret_previous": "without the current one"},
        {"visibility_timeout": 10, "task_time_limit": 10},
        {"block_pixels": 100},
        {"storage_url": "ftp://x"},
        {"s3_access_key_id": "only"},
    ],
)
def test_settings_that_disagree_are_refused(wrong):
    with pytest.raises(ValidationError):
        Settings(**wrong)


def test_ids_sort_by_time():
    first = new_id("job")
    time.sleep(0.002)
    assert first < new_id("job")
    assert len(first) == 30


def test_progress_rises_with_blocks():
    assert LiveRecord().progress == 0
    assert LiveRecord(state="running", blocks_done=2, blocks_total=4).progress == 42


def test_ended_jobs_do_not_run_again():
    with pytest.raises(WrongTransition):
        check_transition("successful", "running")
    check_transition("successful", "dismissed")


def test_settings_page_is_current_and_whole():
    page = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()
    assert page == settings_page()
    assert "None |" not in page
