"""One installation that can be broken, for all tests of faults; each strikes it anew."""

from collections.abc import Iterator

import pytest

from tests.faults.rig.ground import requests, send_city
from tests.faults.rig.installation import Installation
from tests.faults.rig.stores import quickest_store
from tests.faults.rig.trial import Trial

JOBS = 4


@pytest.fixture(scope="session")
def trial(tmp_path_factory, sample) -> Iterator[Trial]:
    """Jobs of one block and of two, mapped undisturbed."""
    with Installation(tmp_path_factory.mktemp("faults"), storage=quickest_store()) as installation:
        city = send_city(installation.uploads, installation.settings, sample)
        yield Trial(installation, list(requests(city, sample, JOBS)))
