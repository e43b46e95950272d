"""Speaks the interface over HTTP: uploads, jobs, results and verified downloads, with timeouts and bounded retries."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self

import httpx

from models.errors import CityzonesError, Fault

Progress = Callable[[int], None]

_ATTEMPTS: Final = 5
_REFUSED_FOR_NOW: Final = frozenset({429, 503})
_PARTIAL: Final = 206
_ERRORS: Final = 400
_LONGEST_WAIT: Final = 30.0
_TIMEOUT: Final = httpx.Timeout(60.0, connect=10.0)
_UPLOAD_TIMEOUT: Final = httpx.Timeout(900.0, connect=10.0)
_MULTIHASH: Final = "1220"


class ServiceUnreachable(CityzonesError):
    """Nothing answers at the service's address."""

    code = "service-unreachable"


class Refused(CityzonesError):
    """The service answered with a problem; the code is the problem's own."""

    code = "malformed-request"

    def __init__(self, problem: Mapping[str, Any]) -> None:
        faults = [Fault(str(e.get("pointer", "")), str(e.get("detail", ""))) for e in problem.get("errors", ())]
        super().__init__(str(problem.get("detail") or problem.get("title") or "refused"), faults=faults)
        self.code = str(problem.get("code") or self.code)
        self.problem = dict(problem)


class BrokenDownload(CityzonesError):
    """What came through a link has another size or checksum than the results announced."""

    code = "broken-download"


class Client:
    """A client of one service: `with Client(url) as client: client.submit("local-climate-zones", body)`.

    `key` is sent to the service alone, never along a link it answers with. Every method may raise ServiceUnreachable,
    and Refused with the service's problem.
    """

    def __init__(self, url: str, key: str | None = None) -> None:
        self.url = url.rstrip("/")
        self._http = httpx.Client(timeout=_TIMEOUT, follow_redirects=True)
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._http.close()

    def process(self, process: str) -> dict[str, Any]:
        """Return the description of a process."""
        return self._json("GET", f"/processes/{process}")

    def upload(self, path: Path, *, progress: Progress | None = None) -> dict[str, Any]:
        """Send a file and return its record; `progress` is told how many bytes have been read so far."""

        def send() -> httpx.Response:
            with path.open("rb") as file:
                watched = _Watched(file, progress)
                files: Any = {"file": (path.name, watched, "application/octet-stream")}
                return self._http.post(
                    f"{self.url}/uploads", files=files, headers=self._headers, timeout=_UPLOAD_TIMEOUT
                )

        return _object(self._answer(send, again=False))

    def submit(self, process: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Start a job and return its statusInfo."""
        return self._json("POST", f"/processes/{process}/execution", json=body)

    def status(self, job: str) -> dict[str, Any]:
        """Return a job's statusInfo."""
        return self._json("GET", f"/jobs/{job}")

    def watch(self, job: str) -> Iterator[dict[str, Any]]:
        """Yield a job's statusInfo again and again, as often as Retry-After allows, until the job has ended."""
        while True:
            answer = self._answer(lambda: self._ask("GET", f"/jobs/{job}"), again=True)
            status = _object(answer)
            yield status
            if status.get("status") in {"successful", "failed", "dismissed"}:
                return
            time.sleep(_wait(answer, 1.0))

    def jobs(self, *, limit: int) -> list[dict[str, Any]]:
        """Return the newest jobs."""
        return list(self._json("GET", "/jobs", params={"limit": limit})["jobs"])

    def results(self, job: str) -> dict[str, dict[str, Any]]:
        """Return the links of a finished job's outputs by name."""
        return self._json("GET", f"/jobs/{job}/results")

    def dismiss(self, job: str) -> dict[str, Any]:
        """Dismiss a job and return its statusInfo."""
        return self._json("DELETE", f"/jobs/{job}")

    def download(self, link: Mapping[str, Any], target: Path, *, progress: Progress | None = None) -> Path:
        """Fetch an output to `target`, going on where a broken connection left off; raises BrokenDownload."""
        target.parent.mkdir(parents=True, exist_ok=True)
        half = target.with_name(target.name + ".part")
        half.unlink(missing_ok=True)
        for attempt in range(_ATTEMPTS):
            try:
                self._fetch(str(link["href"]), half, progress)
                break
            except httpx.TransportError as error:
                if attempt == _ATTEMPTS - 1:
                    msg = f"{target.name} could not be downloaded: {error}; run the command again"
                    raise ServiceUnreachable(msg) from error
                time.sleep(0.5 * 2**attempt)
        _verify(half, link)
        return half.replace(target)

    def _fetch(self, href: str, half: Path, progress: Progress | None) -> None:
        have = half.stat().st_size if half.exists() else 0
        headers = {"Range": f"bytes={have}-"} if have else {}
        with self._http.stream("GET", href, headers=headers) as answer:
            if answer.status_code >= _ERRORS:
                answer.read()
                raise _refused(answer)
            with half.open("ab" if answer.status_code == _PARTIAL else "wb") as file:
                for chunk in answer.iter_bytes(1024**2):
                    file.write(chunk)
                    if progress:
                        progress(file.tell())

    def _json(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        again = method in {"GET", "DELETE"}
        return _object(self._answer(lambda: self._ask(method, path, **options), again=again))

    def _ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self._http.request(method, f"{self.url}{path}", headers=self._headers, **options)

    def _answer(self, send: Callable[[], httpx.Response], *, again: bool) -> httpx.Response:
        """Send, and send again where the service says "not now", or where repeating is harmless and nothing came."""
        for attempt in range(_ATTEMPTS):
            last = attempt == _ATTEMPTS - 1
            try:
                answer = send()
            except httpx.TransportError as error:
                if last or not again:
                    msg = f"no answer from {self.url} ({error}); is the service up? cityzones up starts one here"
                    raise ServiceUnreachable(msg) from error
                time.sleep(0.25 * 2**attempt)
                continue
            if answer.status_code in _REFUSED_FOR_NOW and not last:
                time.sleep(_wait(answer, 0.5 * 2**attempt))
                continue
            if answer.status_code >= _ERRORS:
                raise _refused(answer)
            return answer
        raise AssertionError


class _Watched:
    """A file that tells how far it has been read; httpx asks its length through fileno()."""

    def __init__(self, file: BinaryIO, progress: Progress | None) -> None:
        self._file = file
        self._progress = progress
        self.fileno = file.fileno
        self.tell = file.tell
        self.seek = file.seek

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        if self._progress:
            self._progress(self._file.tell())
        return data


def _wait(answer: httpx.Response, otherwise: float) -> float:
    told = answer.headers.get("Retry-After", "")
    return min(float(told) if told.isdecimal() else otherwise, _LONGEST_WAIT)


def _object(answer: httpx.Response) -> dict[str, Any]:
    try:
        value = answer.json()
    except ValueError as error:
        msg = f"{answer.url} does not answer as Cityzones does; check the address"
        raise ServiceUnreachable(msg) from error
    if not isinstance(value, dict):
        msg = f"{answer.url} does not answer as Cityzones does; check the address"
        raise ServiceUnreachable(msg)
    return value


def _refused(answer: httpx.Response) -> Refused:
    try:
        problem = answer.json()
    except ValueError:
        problem = None
    if isinstance(problem, dict):
        return Refused(problem)
    return Refused({"title": f"{answer.url} answered {answer.status_code} {answer.reason_phrase}"})


def _verify(path: Path, link: Mapping[str, Any]) -> None:
    size, checksum = path.stat().st_size, str(link.get("file:checksum", ""))
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if size != link.get("file:size") or checksum != _MULTIHASH + digest:
        path.unlink()
        msg = f"{link.get('filename', path.name)} arrived damaged ({size} bytes); run the command again"
        raise BrokenDownload(msg)
