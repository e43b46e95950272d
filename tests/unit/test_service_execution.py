from __future__ import annotations

import json

import pytest

from jobs.area import check_limits, parse_area
from jobs.public.problems import RequestError
from jobs.request import parse_execute
from models.cards import cards
from service.examples import EXECUTE_EXAMPLES
from service.execution import decode


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1, "a": 2}',
        b'{"a": {"b": 1, "b": 1}}',
        b"[" * 100_000,
        b'{"a": ' + b"9" * 5000 + b"}",
        b"{} {}",
    ],
)
def test_what_is_not_json_is_malformed(body: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        decode(body)
    assert caught.value.code == "malformed-json"


def test_json_comes_out_as_it_is() -> None:
    assert decode('{"ä": [1, null, true]}'.encode()) == {"ä": [1, None, True]}


@pytest.mark.parametrize("name", EXECUTE_EXAMPLES)
def test_the_examples_of_the_contract_are_requests_of_every_model(name: str) -> None:
    value = EXECUTE_EXAMPLES[name]["value"]
    execute = parse_execute(json.loads(json.dumps(value)))
    assert execute.model_dump(mode="json", exclude_unset=True) == value
    models = [card for card in cards().values() if card.product == "local-climate-zones"]
    assert models
    if execute.inputs.aoi:
        area = parse_area(execute.inputs.aoi, pointer="/inputs/aoi", max_vertices=100)
        for card in models:
            check_limits(area, min_km2=card.limits.min_km2, max_km2=card.limits.max_km2, pointer="/inputs/aoi")
            assert card.limits.min_km2 <= area.km2 <= card.limits.max_km2, card.id
