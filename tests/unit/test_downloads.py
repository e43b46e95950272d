"""A copy of an object that did not come whole leaves nothing where copies are kept."""

import pytest

from jobs.storage import Storage
from tests.servers.api import settings_in


def test_failed_download_leaves_no_file(tmp_path):
    storage = Storage(settings_in(tmp_path))
    copies = tmp_path / "copies"
    with pytest.raises(FileNotFoundError):
        storage.download("uploads/gone/original.tif", copies / "original.tif")
    assert list(copies.iterdir()) == []
