"""Sends files and bodies to the interface in this process; holds every answer, and what it cost, against the rules."""

from __future__ import annotations

import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from jobs.area import area_of_bounds, parse_area, project, utm_grid
from jobs.public.problems import MEDIA_TYPE, PROBLEMS
from jobs.request import Buildings, Inputs, Parcels
from models.cards import card_of
from models.errors import CityzonesError
from tests.fuzz.bait import Bait
from tests.servers.api import LCZ, Api
from worker.imagery import open_imagery, plan_imagery
from worker.parcels.vectors.buildings import building_chunks
from worker.parcels.vectors.cleaning import clean_parcels
from worker.parcels.vectors.sources import load_parcels

MOST_SECONDS = 8.0
MOST_MIB = 1024


def told_off(answer: httpx.Response) -> str:
    """Return the code of a refusal; fails for one that is no problem of the table, or the service's own fault."""
    assert 400 <= answer.status_code < 500, f"{answer.status_code}: {answer.text[:500]}"
    assert answer.headers["content-type"] == MEDIA_TYPE, answer.text[:500]
    body = answer.json()
    assert PROBLEMS[body["code"]].status == answer.status_code, body
    return str(body["code"])


class Judge:
    """Counts by kind and outcome, and keeps every fault together with the file that showed it."""

    def __init__(self, api: Api, bait: Bait, folder: Path) -> None:
        self.api, self.bait, self.folder = api, bait, folder
        self.counts: Counter[tuple[str, str]] = Counter()
        self.faults: list[str] = []
        self.slowest, self.largest = 0.0, 0
        self._card = card_of(api.settings.default_model)
        self._before = self._listing()

    def file(self, kind: str, name: str, data: bytes) -> None:
        """Send a file; use it as a worker would where it is taken, and see that nothing stays where it is not.

        The area that polygons come to is asked for by itself, with a time of its own.
        """
        record: dict[str, Any] = {}
        faults = len(self.faults)
        with self._watched(kind, data) as say:
            answer = self.api.ask("POST", "/uploads", files={"file": (name, data)})
            record = answer.json() if answer.is_success else {}
            say(f"taken, {self._used(record)}" if record else told_off(answer))
            if record.get("kind") != "vector":
                self._forget(record)
        if record.get("kind") == "vector" and len(self.faults) == faults:
            with self._watched(f"{kind}, as an area", data) as say:
                say(self._outlined(record))
                self._forget(record)

    def _forget(self, record: dict[str, Any]) -> None:
        if record:
            gone = self.api.ask("DELETE", f"/uploads/{record['upload']}")
            assert gone.status_code == 204, gone.text
        left = self.api.store.storage.keys("uploads")
        assert not left, left

    def body(self, kind: str, text: str, *, path: str = f"/processes/{LCZ}/estimate") -> bool:
        """Send a body of JSON text; returns whether it was taken."""
        data, taken = text.encode("utf-8", "surrogatepass"), False
        with self._watched(kind, data) as say:
            told = {"content-type": "application/json"}
            answer = self.api.ask("POST", path, content=data, headers=told)
            taken = answer.is_success
            say("taken" if taken else told_off(answer))
        return taken

    def inline(self, kind: str, features: Any) -> None:
        """Use parcels that came with a request, as a worker would."""
        with self._watched(kind, repr(features).encode("utf-8", "replace")) as say:
            say(f"taken, {self._tried(lambda: self._parcels({'features': features}, None))}")

    @property
    def table(self) -> str:
        """How many of each kind ended how, and what the worst of them cost."""
        lines = [f"{n:6d}  {kind}: {outcome}" for (kind, outcome), n in sorted(self.counts.items())]
        worst = f"slowest {self.slowest:.2f} s, most memory {self.largest} MiB"
        return "\n".join(["", *lines, f"{self.counts.total():6d}  in all, {worst}"])

    def verdict(self, *, least: int) -> None:
        """Fail where there was any fault, or fewer were sent than `least`."""
        assert not self.faults, f"{len(self.faults)} faults:\n" + "\n".join(self.faults[:40]) + self.table
        assert self.counts.total() >= least, self.table

    @contextmanager
    def _watched(self, kind: str, data: bytes) -> Iterator[Callable[[str], None]]:
        """Count the outcome that is said; time, memory, bait and folders are looked at afterwards."""
        said: list[str] = []
        (self.folder / "last").write_bytes(data)  # what was sent where this process dies of it
        before, start = _forget_peak(), time.perf_counter()
        try:
            yield said.append
            seconds, grown = time.perf_counter() - start, _peak() - before
            self.slowest, self.largest = max(self.slowest, seconds), max(self.largest, grown)
            assert seconds < MOST_SECONDS, f"took {seconds:.1f} s ({said})"
            assert grown < MOST_MIB, f"took {grown} MiB ({said})"
            taken = self.bait.taken()
            assert not taken, f"went to {taken}"
            assert self._listing() == self._before, self._listing() - self._before
        except Exception as error:  # noqa: BLE001 - whatever it was is a fault, and told at the end
            path = self.folder / f"fault-{len(self.faults)}"
            path.write_bytes(data)
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(place.filename).name}:{place.lineno}"
            self.faults.append(f"{kind}: {path}: {where} {type(error).__name__}: {str(error)[:600]}")
            self._start_again()
            said = ["FAULT"]
        self.counts[kind, said[-1]] += 1

    def _start_again(self) -> None:
        storage = self.api.store.storage
        storage.delete(storage.keys("uploads"))
        self._before = self._listing()

    def _listing(self) -> set[str]:
        """Return what is beside the store: scratch, the working folder, the home and the folder of temporary files."""
        places = [self.api.settings.scratch, *(self.folder.parent / n for n in ("cwd", "home", "tmp"))]
        return {str(p) for place in places if place and place.is_dir() for p in place.rglob("*")}

    def _used(self, record: dict[str, Any]) -> str:
        if record["kind"] == "picture":
            return "no map"
        if record["kind"] == "image":
            return self._tried(lambda: self._image(record))
        bounds, named = record["facts"]["lonlat_bounds"], {"upload": record["upload"]}
        parcels = self._tried(lambda: self._parcels(named, bounds))
        streets = self._tried(lambda: self._parcels({"derive": "streets", "streets": named}, bounds))
        return f"{parcels} / {streets} / {self._tried(lambda: self._buildings(record))}"

    def _outlined(self, record: dict[str, Any]) -> str:
        answer = self.api.get(f"/uploads/{record['upload']}/area")
        if not answer.is_success:
            return told_off(answer)
        most = self.api.settings.max_vertices
        parse_area(answer.json()["geometry"], pointer="/inputs/aoi", max_vertices=most)
        return "an area"

    def _tried(self, use: Callable[[], None]) -> str:
        try:
            use()
        except CityzonesError as error:
            if PROBLEMS[error.code].status >= 500:
                raise
            return error.code
        return "used"

    def _image(self, record: dict[str, Any]) -> None:
        facts, settings, uploads = record["facts"], self.api.settings, self._uploads
        names = [*self._card.input.bands, *(f"X{n}" for n in range(64))][: facts["count"]]
        inputs = Inputs(imagery={"uploads": [record["upload"]], "bands": names})
        plan = plan_imagery(inputs, self._card, None, uploads, settings, settings.scratch)
        grid = plan.pixel_grid
        opened = open_imagery(plan, self._card, uploads, settings, settings.scratch)
        opened.read(0, 0, min(grid.height, 240), min(grid.width, 240))

    def _parcels(self, wanted: dict[str, Any], bounds: list[float] | None) -> None:
        grid, area = self._ground(bounds)
        scratch = self.api.settings.scratch
        loaded = load_parcels(Parcels(**wanted), grid, area, self._uploads, self.api.settings, scratch)
        clean_parcels(loaded.frame, area)

    def _buildings(self, record: dict[str, Any]) -> None:
        grid, area = self._ground(record["facts"]["lonlat_bounds"])
        settings = self.api.settings
        wanted = Buildings(upload=record["upload"])
        for _ in building_chunks(wanted, grid, area, self._uploads, settings, settings.scratch):
            pass

    @property
    def _uploads(self) -> Any:
        return self.api.app.state.open().uploads

    def _ground(self, bounds: list[float] | None) -> tuple[Any, Any]:
        west, south, east, north = bounds or (13.38, 52.505, 13.39, 52.51)
        x = max(-179.9, min(179.9, (west + east) / 2))
        y = max(-80.0, min(80.0, (south + north) / 2))
        area = area_of_bounds((x - 0.005, y - 0.005, x + 0.005, y + 0.005))
        grid = utm_grid(area, 10.0)
        return grid, project(area.geometry, grid.crs)


def _forget_peak() -> int:
    """Begin to measure anew; returns the memory of this process in MiB."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _peak() -> int:
    return _status("VmHWM")


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith(name))
