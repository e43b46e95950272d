"""Logs as JSON lines, a worker whose loop hangs, outcomes that are timed, records with and without a trace."""

import json
import logging
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry, Histogram

from jobs import metrics
from jobs.metrics import timed
from jobs.record import RequestRecord, now
from jobs.reporting import JsonLines, about
from jobs.request import parse_execute
from jobs.tracing import carried, current_traceparent, trace_headers
from tests.servers.api import EXECUTE, LCZ, ROOT, settings_in, store_of
from worker.endpoint import fault

KEY = "cz_" + "0" * 26 + "_" + "a" * 43


def written(**told):
    record = logging.LogRecord("jobs", logging.ERROR, __file__, 1, told.pop("msg"), told.pop("args", ()), None, **told)
    return JsonLines().format(record)


def test_a_record_is_one_line_whatever_is_in_it():
    try:
        int("two\nlines")
    except ValueError:
        record = logging.LogRecord("jobs", logging.ERROR, __file__, 1, "a\nb %s", ("ü",), sys.exc_info())
    record.color_message, record.anything = "of uvicorn", object()
    line = JsonLines().format(record)
    assert "\n" not in line
    told = json.loads(line)
    assert told["message"] == "a\nb ü"
    assert "ValueError: invalid literal" in told["exc_info"]
    assert set(told) == {"time", "level", "logger", "message", "exc_info"}


def test_a_line_says_what_it_is_about_also_from_threads():
    with about(job="job_1", step="block", block="r1"), ThreadPoolExecutor(1) as pool:
        inside = json.loads(pool.submit(carried(lambda: written(msg="x"))).result())
        lost = json.loads(pool.submit(lambda: written(msg="x")).result())
    assert (inside["job"], inside["step"], inside["block"]) == ("job_1", "block", "r1")
    assert "job" not in lost
    assert "job" not in json.loads(written(msg="x"))


def test_no_line_holds_a_key():
    assert KEY not in written(msg="sent %s", args=(KEY,))


@pytest.mark.parametrize(
    ("raised", "told", "word"), [(None, None, "done"), (None, "absent", "absent"), (OSError, None, "failed")]
)
def test_what_is_timed_is_told_by_its_outcome(raised, told, word):
    registry = CollectorRegistry()
    seconds = Histogram("s", "s", ("name", "outcome"), registry=registry)
    try:
        with timed(seconds, "x") as outcome:
            outcome.word = told or outcome.word
            if raised:
                raise raised
    except OSError:
        assert raised
    assert registry.get_sample_value("s_count", {"name": "x", "outcome": word}) == 1


def heart(**told):
    ours = {"connected": True, "silent_seconds": 1.0, "pool_processes": [os.getpid()]} | told
    return SimpleNamespace(**ours)


def test_a_wedged_worker_is_found_out():
    assert fault(heart()) is None
    assert fault(None) is None
    assert "main loop" in fault(heart(silent_seconds=61.0))
    assert fault(heart(silent_seconds=61.0, connected=False)) is None, "it waits for its broker"
    assert "pool" in fault(heart(pool_processes=[2**22 + 1]))
    assert fault(heart(pool_processes=[2**22 + 1, os.getpid()])) is None


def test_an_untraced_request_is_written_as_ever(tmp_path):
    store = store_of(settings_in(tmp_path))
    made = store.create(LCZ, parse_execute(EXECUTE))
    data = store.storage.get(f"jobs/{made.job}/request.json")
    assert "traceparent" not in json.loads(data)
    assert current_traceparent() is None
    assert trace_headers() == {}
    record = RequestRecord(job="job_1", process=LCZ, created=now(), execute={"a": None}, traceparent="00-1-1-01")
    assert RequestRecord.model_validate_json(record.model_dump_json()).head.traceparent == "00-1-1-01"
    assert store.request(made.job).head.traceparent is None


def test_every_metric_is_in_the_documentation():
    page = (ROOT / "docs" / "observability.md").read_text()
    names = {
        f"{family.name}_total" if family.type == "counter" else family.name for family in metrics.REGISTRY.collect()
    }
    assert len(names) >= 8
    assert {name for name in names if f"`{name}`" not in page} == set()
