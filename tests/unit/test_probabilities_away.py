"""Probabilities whose storage does not answer say so, as every other use of storage does: the step is tried again."""

import numpy as np
import pytest

from jobs.errors import StorageUnavailable
from jobs.storage import Storage
from models.cards import card_of
from tests.servers.api import settings_in, store_of
from tests.servers.plans import planned
from worker.pipeline import probabilities

pytestmark = pytest.mark.scale  # seconds of waiting for servers that come and go

NOBODY = {
    "storage_url": "s3://maps", "s3_endpoint": "http://127.0.0.1:9", "s3_access_key_id": "a",
    "s3_secret_access_key": "b",
}  # fmt: skip


def test_storage_that_is_away_is_told_from_a_fault_of_ours(tmp_path):
    away, card = Storage(settings_in(tmp_path, **NOBODY)), card_of("magnet")
    plan = planned(store_of(settings_in(tmp_path)), "job_01hzzzzzzzzzzzzzzzzzzzzzzz")
    block = plan.blocks[0]
    values = np.zeros((len(card.classes), block.height, block.width), np.uint8)
    for use in (
        lambda: probabilities.create(away, plan, card),
        lambda: probabilities.write(away, plan, card, block, values),
        lambda: probabilities.read(away, plan, card, block),
        lambda: probabilities.read_filtered(away, plan, card, block),
    ):
        with pytest.raises(StorageUnavailable):
            use()
