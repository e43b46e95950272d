"""What service and worker count for Prometheus, and how the processes of one program tell it together.

No label holds an id, a path or another value without bounds: `docs/observability.md` lists every name.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import InfoMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

# prometheus_client reads it as it is imported: from then on every process writes its counts to files in that folder.
FOLDER_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"

_SHORT: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_LONG: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)

REGISTRY: Final = CollectorRegistry()
JOBS_CREATED: Final = Counter("cityzones_jobs_created", "Jobs accepted", ("process",), registry=REGISTRY)
JOBS_ENDED: Final = Counter("cityzones_jobs_ended", "Jobs ended", ("process", "state"), registry=REGISTRY)
STEP_SECONDS: Final = Histogram(
    "cityzones_step_seconds", "Seconds of a job's steps", ("step", "outcome"), registry=REGISTRY, buckets=_LONG
)
INFERENCE_SECONDS: Final = Histogram(
    "cityzones_inference_seconds", "Seconds until the model server answered about a tile", ("model", "outcome"),
    registry=REGISTRY, buckets=_SHORT,
)  # fmt: skip
STORAGE_SECONDS: Final = Histogram(
    "cityzones_storage_seconds", "Seconds of calls of the object storage, tries again included",
    ("operation", "outcome"), registry=REGISTRY, buckets=_SHORT,
)  # fmt: skip
MAPPED_KM2: Final = Counter(
    "cityzones_mapped_square_kilometres", "Square kilometres of finished maps", ("process",), registry=REGISTRY
)
MAPPED_PIXELS: Final = Counter(
    "cityzones_mapped_pixels", "Pixels of finished maps, on the grid of their imagery", ("process",), registry=REGISTRY
)
UPLOADED_BYTES: Final = Counter("cityzones_uploaded_bytes", "Bytes of uploads that were kept", registry=REGISTRY)
CALLBACKS: Final = Counter(
    "cityzones_callbacks", "Attempts to tell subscribers of a job's end", ("outcome",), registry=REGISTRY
)


@dataclass(slots=True)
class Outcome:
    """How what is being measured ends, in a word."""

    word: str = "done"


@contextmanager
def timed(seconds: Histogram, name: str) -> Iterator[Outcome]:
    """Observe how long a block takes, under a name and its outcome: what it was told, "failed" where it raises."""
    outcome, start = Outcome(), time.perf_counter()
    try:
        yield outcome
    except BaseException:
        outcome.word = "failed" if outcome.word == "done" else outcome.word
        raise
    finally:
        seconds.labels(name, outcome.word).observe(time.perf_counter() - start)


@cache
def software_version(package: str = "cityzones") -> str:
    """Return the version of an installed package, "0" for one that is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "0"


class BuildInfo(Collector):
    """One sample that says by its labels what runs."""

    def collect(self) -> Iterable[Metric]:
        """Yield cityzones_build_info."""
        told = {"version": software_version(), "python": platform.python_version()}
        yield InfoMetricFamily("cityzones_build", "What runs", told)


def exposition(registries: Iterable[CollectorRegistry], *further: Collector) -> bytes:
    """Return Prometheus' text: of all processes where a folder joins them, else of this one's registries.

    `further` collectors look as they are asked, in this process.
    """
    told = CollectorRegistry()
    for collector in (BuildInfo(), *further):
        told.register(collector)
    ProcessCollector(registry=told)
    if os.environ.get(FOLDER_VARIABLE):
        MultiProcessCollector(told)  # type: ignore[no-untyped-call]  # prometheus_client types it not
        return generate_latest(told)
    return b"".join(generate_latest(registry) for registry in (*registries, told))
