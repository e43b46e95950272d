"""The faults of the service: killed while a file arrives, and after a request is stored but before it is queued."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import httpx

from service.client import Client
from tests.faults.rig.installation import PROCESS, Installation
from tests.faults.rig.trial import Fault, Struck, Trial

AT_ONCE: Final = 4
_BOUNDARY: Final = "between-the-parts"


def killed_before_queue() -> Fault:
    """Kill the service when requests are stored and not yet queued; the clients, unanswered, send them again.

    Raises AssertionError where a request that is sent again makes a second job.
    """

    def strike(installation: Installation, trial: Trial) -> Struck:
        installation.start_api()
        body = {"inputs": installation.store.request(trial.jobs[1]).execute["inputs"]}
        keys = [secrets.token_hex(8) for _ in range(AT_ONCE)]
        gate = installation.proxy.gate("PUT", r"/jobs/[^/]+/request\.json$", after=True)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            sent = [pool.submit(_post, installation.url, body, key) for key in keys]
            made = sorted(gate.wait().path.split("/")[3] for _ in keys)
            installation.kill_api()
            installation.proxy.drop()
            over = time.monotonic()
            assert not any(answer.result() for answer in sent), "somebody was answered by a service that was killed"
        installation.hand_in(*trial.jobs)
        installation.start_api()
        again = sorted(answer["jobID"] for key in keys if (answer := _post(installation.url, body, key)))
        assert again == made, "a request that was sent again made another job"
        installation.stop_api()
        return Struck(over, made=made)

    return Fault("API killed between request.json and the queue", strike)


def killed_in_upload() -> Fault:
    """Kill the service when half a file has arrived; the client sends it again, and maps it."""

    def strike(installation: Installation, trial: Trial) -> Struck:
        installation.start_api()
        inputs = installation.store.request(trial.jobs[1]).execute["inputs"]
        image = installation.uploads.local(inputs["imagery"]["uploads"][0], installation.folder / "client")
        sending = _Half(image)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(sending.send, installation.url)
            assert sending.half.wait(60.0)
            time.sleep(1.0)  # what was sent is on its way to the service's disk
            installation.kill_api()
            sending.killed.set()
        installation.start_api()
        over = time.monotonic()
        with Client(installation.url) as client:
            upload = client.upload(image)["upload"]
            told = inputs | {"imagery": {"uploads": [upload]}}
            made = client.submit(PROCESS, {"inputs": told})["jobID"]
        installation.hand_in(*trial.jobs)
        installation.stop_api()
        return Struck(over, made=[made], kept=[upload])

    return Fault("API killed in mid-upload", strike)


class _Half:
    """A client that sends half of a file and then waits for the service to die."""

    def __init__(self, path: Path) -> None:
        self.half, self.killed = threading.Event(), threading.Event()
        self._data = path.read_bytes()

    def send(self, url: str) -> None:
        head = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
        with suppress(httpx.TransportError):
            httpx.post(f"{url}/uploads", content=self._body(), headers=head, timeout=120.0, trust_env=False)

    def _body(self) -> Iterator[bytes]:
        disposition = 'Content-Disposition: form-data; name="file"; filename="image.tif"'
        yield f"--{_BOUNDARY}\r\n{disposition}\r\n\r\n".encode()
        yield self._data[: len(self._data) // 2]
        self.half.set()
        self.killed.wait(60.0)
        yield self._data[len(self._data) // 2 :]
        yield f"\r\n--{_BOUNDARY}--\r\n".encode()


def _post(url: str, body: dict[str, Any], key: str) -> dict[str, Any] | None:
    """Ask for a job and return the answer, None where the connection broke."""
    try:
        answer = httpx.post(
            f"{url}/processes/{PROCESS}/execution", json=body, headers={"Idempotency-Key": key}, timeout=90.0,
            trust_env=False,
        )  # fmt: skip
    except httpx.TransportError:
        return None
    assert answer.status_code in {200, 201}, answer.text
    found: dict[str, Any] = answer.json()
    return found
