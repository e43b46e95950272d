"""What shares servers runs in one process, or they start twice and files of one test meet another's."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests.together import TogetherScheduling


@pytest.mark.parametrize(
    ("test", "unit"),
    [
        ("tests/unit/test_area.py::test_one[a::b]", "tests/unit/test_area.py"),
        ("tests/unit/test_area.py::test_two", "tests/unit/test_area.py"),
        ("tests/integration/links/test_storage.py::test_three", "tests/integration/links"),
        ("tests/integration/links/test_links.py::test_four[x/y]", "tests/integration/links"),
    ],
)
def test_a_file_or_a_folder_of_servers_is_one_unit(request: pytest.FixtureRequest, test: str, unit: str) -> None:
    """Asked of the scheduler that pytest takes."""
    config = SimpleNamespace(getvalue=lambda _: ["popen"], option=None)
    scheduler = request.config.hook.pytest_xdist_make_scheduler(config=config, log=None)
    assert isinstance(scheduler, TogetherScheduling)
    assert scheduler._split_scope(test) == unit
