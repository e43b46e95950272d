"""One interface for all runs: the real service with queue, model server and catalogue that are really there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from service.stack.embedded import EmbeddedStack
from service.stack.valkey import EmbeddedValkey
from tests.contract.served import Interface, serving


@pytest.fixture(scope="package")
def interface(stack: EmbeddedStack, catalogue: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Interface]:
    """Jobs stay in the queue: no worker takes them from here."""
    assert stack.triton is not None
    folder = tmp_path_factory.mktemp("contract")
    with (
        EmbeddedValkey() as valkey,
        serving(
            folder,
            broker_url=valkey.broker_url(0),
            live_url=valkey.url(1),
            triton_url=stack.triton.grpc_url,
            stac_url=catalogue,
        ) as served,
    ):
        yield served
