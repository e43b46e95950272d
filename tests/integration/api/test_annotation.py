"""The annotation interface over projects of squares, one request at a time."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jobs.annotation.project import Project
from jobs.annotation.rasters import decode_raster
from jobs.annotation.trees import trees_of
from service.stack.valkey import EmbeddedValkey
from tests.servers.api import Api, finish, new_job, problem, settings_in
from tests.servers.projects import CODES, SIDE, SQUARE, Squares, squares_project


@pytest.fixture(scope="module")
def api(valkey: EmbeddedValkey, tmp_path_factory: pytest.TempPathFactory) -> Api:
    """One application for the whole file: every test has a project of its own."""
    folder = tmp_path_factory.mktemp("annotation")
    return Api(settings_in(folder, broker_url=valkey.broker_url(0), live_url=valkey.url(1)))


@pytest.fixture
def squares(api: Api) -> Squares:
    return squares_project(api.store)


@pytest.fixture
def here(squares: Squares) -> str:
    return f"/jobs/{squares.job}/annotation"


def save(api: Api, here: str, edit: dict[str, Any], *, base: int = 0, who: str = "ana") -> Any:
    return api.ask("POST", f"{here}/edits", json={"base": base, "who": who, "edit": edit})


def label(masks: list[int], code: int, source: str = "cluster") -> dict[str, Any]:
    return {"kind": "label", "masks": masks, "code": code, "source": source}


def masks_of(api: Api, here: str, block: int, node: int, **query: Any) -> dict[str, Any]:
    answer = api.get(f"{here}/neighbourhoods/{block}/clusters/{node}", params=query)
    assert answer.is_success, answer.text
    body: dict[str, Any] = answer.json()
    return body


def test_a_new_project_has_masks_and_no_labels(api: Api, here: str) -> None:
    told = api.get(here).json()
    assert (told["version"], told["masks"], told["labelled"], told["actions"]) == (0, 128, 0, 0)
    assert told["pixels"] == 2 * SIDE * SIDE
    assert "clicks_per_mask" not in told
    assert "predictions" not in told
    assert [c["code"] for c in told["classes"]] == list(range(1, 10))
    assert [(t["tile"], t["masks"]) for t in told["tiles"]] == [(0, 64), (1, 64)]
    assert sum(n["masks"] for n in told["neighbourhoods"]) == 128


def test_clusters_of_a_neighbourhood_hold_each_mask_once(api: Api, here: str, squares: Squares) -> None:
    found = api.get(f"{here}/neighbourhoods/3").json()["clusters"]
    assert [c["pixels"] for c in found] == sorted((c["pixels"] for c in found), reverse=True)
    members = [m["mask"] for c in found for m in masks_of(api, here, 3, c["node"])["masks"]]
    table = squares.files.masks()
    assert sorted(members) == list(np.flatnonzero(table.neighbourhood == 3))


def test_labelled_clusters_show_everywhere(api: Api, here: str, squares: Squares) -> None:
    cluster = api.get(f"{here}/neighbourhoods/0").json()["clusters"][0]
    masks = [m["mask"] for m in masks_of(api, here, 0, cluster["node"])["masks"]]
    assert save(api, here, label(masks, 5)).json() == {"version": 1, "status": "saved"}
    told = api.get(here).json()
    assert (told["version"], told["labelled"], told["actions"]) == (1, len(masks), 1)
    assert told["clicks_per_mask"] == pytest.approx(1 / len(masks), abs=1e-4)
    assert told["labelled_pixels"] == len(masks) * SQUARE**2
    assert {c["code"]: c["masks"] for c in told["classes"]}[5] == len(masks)
    assert told["tiles"][0]["labelled"] == told["neighbourhoods"][0]["labelled"] == len(masks)
    again = next(c for c in api.get(f"{here}/neighbourhoods/0").json()["clusters"] if c["node"] == cluster["node"])
    assert again["votes"] == [{"code": 5, "masks": len(masks)}]
    one = masks_of(api, here, 0, cluster["node"])["masks"][0]
    assert (one["code"], one["who"], one["source"]) == (5, "ana", "cluster")
    codes = api.get(f"{here}/tiles/0").json()["codes"]
    assert [n for n, code in enumerate(codes) if code == 5] == sorted(masks)


def test_a_split_cluster_gives_way_to_its_halves_until_each_is_pure(api: Api, here: str, squares: Squares) -> None:
    version = 0
    for _ in range(2):
        for cluster in api.get(f"{here}/neighbourhoods/1").json()["clusters"]:
            members = [m["mask"] for m in masks_of(api, here, 1, cluster["node"])["masks"]]
            if len(set(squares.truth[members])) > 1:
                version = save(
                    api, here, {"kind": "split", "neighbourhood": 1, "node": cluster["node"]}, base=version
                ).json()["version"]
    clusters = api.get(f"{here}/neighbourhoods/1").json()["clusters"]
    for cluster in clusters:
        members = [m["mask"] for m in masks_of(api, here, 1, cluster["node"])["masks"]]
        assert len(set(squares.truth[members])) == 1
    assert len(clusters) == len(set(squares.truth[squares.files.masks().neighbourhood == 1]))
    assert api.get(here).json()["actions"] == version > 0


def test_an_undo_takes_an_edit_back_and_may_be_taken_back(api: Api, here: str) -> None:
    save(api, here, label([3, 4], 8))
    assert save(api, here, {"kind": "undo", "version": 1}, base=1).json()["version"] == 2
    assert api.get(here).json()["labelled"] == 0
    save(api, here, {"kind": "undo", "version": 2}, base=2)
    told = api.get(here).json()
    assert (told["labelled"], told["actions"]) == (2, 3)
    history = api.get(f"{here}/history").json()["entries"]
    assert [(e["version"], e["kind"], e["undone"]) for e in history] == [
        (3, "undo", False), (2, "undo", True), (1, "label", False),
    ]  # fmt: skip


def test_a_conflict_is_told_and_changes_nothing(api: Api, here: str) -> None:
    assert save(api, here, label([3, 4], 8)).status_code == 201
    told = problem(save(api, here, label([4, 5], 1), who="ben"), 409, "annotation-conflict")
    assert "ana changed 1 of the same masks in version 1" in told["detail"]
    assert api.get(here).json()["version"] == 1
    assert save(api, here, label([4, 5], 1), base=1, who="ben").status_code == 201


def test_many_annotators_lose_nothing(api: Api, here: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: save(api, here, label([n], CODES[n % 4]), who=f"annotator {n}"), range(40)))
    assert sorted(answer.json()["version"] for answer in answers) == list(range(1, 41))
    assert api.get(f"{here}/tiles/0").json()["codes"][:40] == [CODES[n % 4] for n in range(40)]


def test_an_edit_by_another_process_is_seen(api: Api, here: str) -> None:
    assert api.get(here).json()["version"] == 0
    save(Api(api.settings), here, label([1], 5))
    assert api.get(here).json()["version"] == 1


def test_pages_lead_through_a_cluster(api: Api, here: str) -> None:
    node = api.get(f"{here}/neighbourhoods/0").json()["clusters"][0]["node"]
    whole = masks_of(api, here, 0, node)
    found, query = [], {"offset": 0, "limit": 3}
    while True:
        page = masks_of(api, here, 0, node, **query)
        found += page["masks"]
        following = [link["href"] for link in page["links"] if link["rel"] == "next"]
        if not following:
            break
        assert len(page["masks"]) == 3
        query = dict(pair.split("=") for pair in following[0].partition("?")[2].split("&"))  # type: ignore[misc]
    assert found == whole["masks"]
    assert len(found) == whole["total"]


def test_predictions_are_votes_and_choose_masks(api: Api, here: str, squares: Squares) -> None:
    save(api, here, label([1], 5))
    api.get(here)
    squares.predict(1)
    assert api.get(here).json()["predictions"] == {"version": 1}
    clusters = api.get(f"{here}/neighbourhoods/0").json()["clusters"]
    mixed = next(c for c in clusters if len(c["predicted"]) > 1)
    vote = mixed["predicted"][0]
    labelled = sum(group["labelled"] for cluster in clusters for group in cluster["predicted"])
    assert labelled == sum(cluster["labelled"] for cluster in clusters)
    page = masks_of(api, here, 0, mixed["node"], predicted=vote["code"])
    assert page["total"] == vote["masks"]
    assert {m["predicted"] for m in page["masks"]} == {vote["code"]}
    assert {m["confidence"] for m in page["masks"]} == {90}
    assert api.get(f"{here}/tiles/1").json()["predicted"] == squares.truth[64:].tolist()


def test_the_pictures_show_the_masks(api: Api, here: str, squares: Squares) -> None:
    wall = api.get(f"{here}/wall", params={"masks": "0,9,70", "columns": 2})
    assert wall.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(wall.content)).size == (192, 192)
    image = Image.open(io.BytesIO(api.get(f"{here}/tiles/1/image").content))
    assert image.size == (SIDE, SIDE)
    png = np.asarray(Image.open(io.BytesIO(api.get(f"{here}/tiles/1/labels").content))).astype(int)
    labels = png[..., 0] + 256 * png[..., 1] + 65536 * png[..., 2]
    stored = decode_raster(squares.files.storage.get(squares.files.labels_key(1)) or b"")
    assert np.array_equal(labels, stored)


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (label([128], 5), "no mask 128; they are numbered to 127"),
        (label([1], 10), "no class 10"),
        ({"kind": "split", "neighbourhood": 8, "node": 0}, "no neighbourhood 8"),
        ({"kind": "split", "neighbourhood": 0, "node": 31}, "no cluster 31"),
        ({"kind": "split", "neighbourhood": 0, "node": 3}, "single mask"),
        ({"kind": "undo", "version": 1}, "no version 1"),
    ],
)
def test_edits_of_what_is_not_there_are_refused(api: Api, here: str, edit: dict[str, Any], told: str) -> None:
    assert told in problem(save(api, here, edit), 422, "invalid-edit")["detail"]
    assert api.get(here).json()["version"] == 0


@pytest.mark.parametrize(
    "body",
    [
        {"base": 0, "who": "", "edit": label([1], 5)},
        {"base": 0, "who": "a\nb", "edit": label([1], 5)},
        {"base": -1, "who": "ana", "edit": label([1], 5)},
        {"base": 0, "who": "ana", "edit": label([], 5)},
        {"base": 0, "who": "ana", "edit": {"kind": "burn", "masks": [1]}},
        {"who": "ana", "edit": label([1], 5)},
        {"base": 0, "who": "ana", "edit": label([-1], 5)},
    ],
)
def test_bodies_that_are_no_edit_are_refused(api: Api, here: str, body: dict[str, Any]) -> None:
    problem(api.ask("POST", f"{here}/edits", json=body), 400, "invalid-parameter")


@pytest.mark.parametrize(
    "path",
    [
        "neighbourhoods/8", "neighbourhoods/0/clusters/31", "tiles/2", "tiles/2/image", "tiles/9/labels",
        "wall?masks=128", f"wall?masks={','.join(['1'] * 201)}",
    ],
)  # fmt: skip
def test_what_a_project_does_not_have_is_told(api: Api, here: str, path: str) -> None:
    problem(api.get(f"{here}/{path}"), 422, "invalid-edit")


def test_jobs_without_a_project(api: Api) -> None:
    running = new_job(api.store)
    problem(api.get(f"/jobs/{running}/annotation"), 404, "result-not-ready")
    finish(api.store, running, {})
    problem(api.get(f"/jobs/{running}/annotation"), 404, "no-annotation-project")
    problem(api.get("/jobs/job_00000000000000000000000000/annotation"), 404, "unknown-job")


def test_a_dismissed_project_is_gone_at_once(api: Api, here: str, squares: Squares) -> None:
    assert api.get(here).is_success
    api.ask("DELETE", f"/jobs/{squares.job}")
    problem(api.get(here), 410, "job-dismissed")
    problem(save(api, here, label([1], 5)), 410, "job-dismissed")


def test_neighbourhoods_without_masks_have_no_clusters(squares: Squares) -> None:
    project, forest = squares.files.project(), squares.files.forest()
    empty = project.neighbourhoods[0].model_copy(update={"masks": 0})
    more = Project.model_validate(project.model_dump() | {"neighbourhoods": (*project.neighbourhoods, empty)})
    counts = np.append(forest.root_counts, 0).astype(np.int32)
    trees = trees_of(more, type(forest)(forest.members, forest.children, forest.heights, forest.roots, counts))
    assert len(trees) == 9
    assert list(trees[-1].standing(())) == []
    assert list(trees[0].standing({30})) == list(trees[0].standing(()))
