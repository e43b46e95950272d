"""Memory shared with a Triton server on the same host: tiles go in and answers come out without a copy on the wire."""

from __future__ import annotations

import math
import mmap
import os
import re
import secrets
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from jobs.tracing import trace_headers

Array = np.ndarray[Any, np.dtype[Any]]
Float32Array = np.ndarray[Any, np.dtype[np.float32]]

FOLDER: Final = Path("/dev/shm")  # noqa: S108 - where POSIX shared memory lies on Linux
LOST: Final = "Unable to find shared memory region"
"""What a server says that was started again and knows no regions."""
_ALIGNMENT: Final = 4096
_SECONDS: Final = 5.0
_PREFIX: Final = "cityzones-client-"


class SharedRegion:
    """A piece of memory that one request at a time uses; its name vanishes as soon as the server has opened it.

    So nothing is left behind in /dev/shm, whichever of the two ends first and however.
    """

    def __init__(self, size: int) -> None:
        """Reserve `size` bytes; raises OSError where there is no such memory, or not enough of it."""
        self.name = f"{_process_prefix()}{secrets.token_hex(6)}"
        self.size = size
        self._path = FOLDER / self.name
        # Readable by this user only: a server of another user cannot open it, and the caller falls back.
        descriptor = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        try:
            # Reserved now: with a sparse file a full /dev/shm would end this process at the first write (SIGBUS).
            os.posix_fallocate(descriptor, 0, size)
            self._memory = mmap.mmap(descriptor, size)
        except OSError:
            self._path.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)

    def register(self, client: triton.InferenceServerClient) -> None:
        """Let the server open the memory; raises InferenceServerException where it cannot."""
        try:
            client.register_system_shared_memory(self.name, f"/{self.name}", self.size, client_timeout=_SECONDS)
        finally:
            self._path.unlink(missing_ok=True)

    def array(self, shape: tuple[int, ...], dtype: type, offset: int) -> Array:
        """Return a part of the memory as an array that shares it."""
        return np.ndarray(shape, dtype, buffer=self._memory, offset=offset)


class SharedRequests:
    """The requests of one holder at a time through one region, which grows with the biggest of them."""

    def __init__(self, client: triton.InferenceServerClient) -> None:
        self._client = client
        self._region: SharedRegion | None = None
        self._forsaken: list[str] = []

    def infer(
        self, model: str, inputs: dict[str, Float32Array], outputs: dict[str, tuple[int, ...]], timeout: float
    ) -> dict[str, Array]:
        """Return the uint8 answers of a model, by name and of the shapes told.

        Raises InferenceServerException, OSError, and ValueError for answers of another kind. After an error the
        region is never used again: the server may still be writing a late answer into it.
        """
        sizes = {name: math.prod(shape) for name, shape in outputs.items()}
        offsets = _offsets([*(values.nbytes for values in inputs.values()), *sizes.values()])
        ends = dict(zip(sizes, offsets[len(inputs) :], strict=False))
        try:
            region = self._region_of(offsets[-1])
            told = []
            for (name, values), offset in zip(inputs.items(), offsets, strict=False):
                np.copyto(region.array(values.shape, np.float32, offset), values)
                told.append(triton.InferInput(name, values.shape, "FP32"))
                told[-1].set_shared_memory(region.name, values.nbytes, offset)
            wanted = [triton.InferRequestedOutput(name) for name in outputs]
            for output in wanted:
                output.set_shared_memory(region.name, sizes[output.name()], ends[output.name()])
            answer = self._client.infer(
                model, told, outputs=wanted, client_timeout=timeout, headers=trace_headers() or None
            )
            for name, size in sizes.items():
                _check(answer.get_output(name), size)
            return {name: region.array(shape, np.uint8, ends[name]).copy() for name, shape in outputs.items()}
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the memory back; what a running request still holds is given back at the next close."""
        if self._region:
            self._forsaken.append(self._region.name)
            self._region = None
        self._forsaken = [name for name in self._forsaken if not _unregister(self._client, name)]

    def _region_of(self, size: int) -> SharedRegion:
        if self._region is None or self._region.size < size:
            self.close()
            region = SharedRegion(size)
            region.register(self._client)
            self._region = region
        return self._region


def sweep(client: triton.InferenceServerClient) -> int:
    """Unregister what killed processes of this host left registered, and return how many regions that were."""
    with suppress(InferenceServerException):
        status = client.get_system_shared_memory_status(client_timeout=_SECONDS)
        return sum(_unregister(client, name) for name in status.regions if _is_orphan(name))
    return 0


def _check(answer: Any, size: int) -> None:
    if answer is None or answer.datatype != "UINT8" or np.prod(answer.shape) != size:
        msg = f"the model server answers {answer}, not {size} numbers of UINT8; export the model again"
        raise ValueError(msg)


def _unregister(client: triton.InferenceServerClient, name: str) -> bool:
    """Return whether the server has let go of a region: told so, or ended and so knows it no more."""
    try:
        client.unregister_system_shared_memory(name, client_timeout=_SECONDS)
    except InferenceServerException as error:
        return "Cannot unregister" not in str(error)
    return True


def _process_prefix() -> str:
    return f"{_PREFIX}{_namespace()}-{os.getpid()}-"


def _namespace() -> str:
    """Return what process ids are counted in: two containers that share memory may both have a process 7."""
    try:
        return "".join(re.findall(r"\d", str(Path("/proc/self/ns/pid").readlink()))) or "0"
    except OSError:
        return "0"


def _is_orphan(name: str) -> bool:
    found = re.fullmatch(rf"{_PREFIX}{_namespace()}-(\d+)-[0-9a-f]+", name)
    return found is not None and not Path(f"/proc/{found[1]}").exists()


def _offsets(sizes: Sequence[int]) -> list[int]:
    """Return where parts of these sizes begin, and last the size of the whole."""
    offsets = [0]
    for size in sizes:
        offsets.append(-(-(offsets[-1] + size) // _ALIGNMENT) * _ALIGNMENT)
    return offsets
