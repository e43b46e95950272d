from __future__ import annotations

import pytest

from supply.licences import UNKNOWN, Part, Policy, libraries, licence_of, packages, page, refused
from supply.locks import ROOT, pins
from supply.sbom import Bill


@pytest.fixture(scope="module")
def policy() -> Policy:
    return Policy.read()


@pytest.fixture(scope="module")
def parts(bills: dict[str, Bill], policy: Policy) -> dict[str, list[Part]]:
    found = {name: packages(bill, policy) for name, bill in bills.items()}
    return found | {"libraries": list(libraries(bills["main"], policy))}


def test_everything_that_ships_may(parts: dict[str, list[Part]], policy: Policy) -> None:
    assert refused((part for group in parts.values() for part in group), policy) == []


def test_what_starts_the_model_server_is_among_what_is_listed() -> None:
    assert {pin.name for pin in pins("launcher").values()} <= set(pins("main"))


def test_the_page_is_what_the_command_writes(parts: dict[str, list[Part]], policy: Policy) -> None:
    assert (ROOT / "docs/licences.md").read_text() == page(parts, policy)


def test_no_row_of_the_policy_is_for_nothing(parts: dict[str, list[Part]], policy: Policy) -> None:
    ships = [part for group in parts.values() for part in group]
    assert set(policy.copyleft) <= {(part.name, part.licence) for part in ships}
    assert set(policy.stated) <= {part.name for part in ships}
    assert set(policy.libraries) == {part.name for part in parts["libraries"]}


@pytest.mark.parametrize(
    ("licence", "fits"),
    [
        ("MIT", True),
        ("MIT OR GPL-3.0-only", True),
        ("MIT AND GPL-3.0-only", False),
        ("(MIT OR GPL-3.0-only) AND Apache-2.0", True),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("GPL-3.0-or-later WITH GCC-exception-3.1", False),
        ("MPL-2.0", False),
        ("AGPL-3.0-only", False),
        ("LicenseRef-Proprietary", False),
        (UNKNOWN, False),
    ],
)
def test_licences_are_judged_by_the_policy(policy: Policy, licence: str, fits: bool) -> None:
    part = Part("a-new-one", "1", licence)
    assert bool(refused([part], policy)) is not fits


def test_copyleft_is_allowed_to_the_parts_named_alone(policy: Policy) -> None:
    assert policy.fits("certifi", "MPL-2.0")
    assert not policy.fits("certifi", "GPL-2.0-only")
    assert not policy.fits("another", "MPL-2.0")


@pytest.mark.parametrize(
    ("told", "licence"),
    [
        ([{"license": {"id": "MIT"}}], "MIT"),
        ([{"expression": "MIT OR Apache-2.0"}], "MIT OR Apache-2.0"),
        ([{"license": {"id": "MIT"}}, {"license": {"name": "License :: OSI Approved :: BSD License"}}], "MIT"),
        ([{"license": {"name": "License :: OSI Approved :: Apache Software License"}}], "Apache-2.0"),
        ([{"license": {"id": "MIT"}}, {"license": {"id": "GPL-3.0-only"}}], "MIT AND GPL-3.0-only"),
        ([{"license": {"name": "ask us"}}], "ask us"),
        ([], UNKNOWN),
    ],
)
def test_one_licence_is_told_of_a_package(policy: Policy, told: list[dict[str, object]], licence: str) -> None:
    assert licence_of({"name": "a-new-one", "licenses": told}, policy) == licence


def test_a_licence_that_is_no_spdx_expression_is_refused(policy: Policy) -> None:
    assert refused([Part("a-new-one", "1", "ask us, and sign here")], policy)
