from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import supply.sbom
from supply.locks import ROOT, Pin, pins
from supply.sbom import BILLS, Bill, UnfitEnvironment, as_json, is_iri_reference, python_bill


def test_a_bill_names_what_its_lock_pins_with_hashes_and_nothing_else(bills: dict[str, Bill]) -> None:
    for lock in ("main", "triton"):
        named = {part["purl"]: part for part in bills[lock]["components"]}
        assert set(named) == {f"pkg:pypi/{pin.name}@{pin.version}" for pin in pins(lock).values()}
        for pin in pins(lock).values():
            (files,) = named[f"pkg:pypi/{pin.name}@{pin.version}"]["externalReferences"]
            assert {each["content"] for each in files["hashes"]} == set(pin.hashes)
    packages = json.loads((ROOT / "web/package-lock.json").read_text())["packages"]
    shipped = {
        place.rpartition("node_modules/")[2] for place, each in packages.items() if place and not each.get("dev")
    }
    assert {part["name"] for part in bills["web"]["components"]} == shipped
    assert all(part["hashes"][0]["alg"] == "SHA-512" for part in bills["web"]["components"])


def test_every_part_hangs_on_the_root(bills: dict[str, Bill]) -> None:
    for bill in bills.values():
        inner = {each["ref"]: each["dependsOn"] for each in bill["dependencies"]}
        reached, ahead = set(), ["root"]
        while ahead:
            ref = ahead.pop()
            if ref not in reached:
                reached.add(ref)
                ahead += inner[ref]
        lost = {part["bom-ref"] for part in bill["components"]} - reached
        assert lost <= {"nvidia-pytriton==0.7.0"}, lost


def test_a_bill_fits_the_schema_and_is_the_same_twice(bills: dict[str, Bill]) -> None:
    for name in ("triton", "web"):
        assert as_json(BILLS[name]()) == as_json(bills[name])
    text = as_json(bills["main"])
    assert str(ROOT) not in text
    assert not {"timestamp", "tools"} & bills["main"]["metadata"].keys()
    assert "serialNumber" not in bills["main"]


@pytest.mark.parametrize(
    "damage",
    [
        {"version": 0},
        {"components": [{"name": "a part without a type"}]},
        {"dependencies": [{"dependsOn": []}]},
        {"unheard": "of"},
        {"externalReferences": [{"type": "website", "url": "https://a host.example/"}]},
        {"externalReferences": [{"type": "website", "url": "https://example.org/%zz"}]},
    ],
)
def test_a_bill_the_schema_forbids_is_refused(bills: dict[str, Bill], damage: Bill) -> None:
    with pytest.raises(ValueError, match=r"'"):
        as_json(bills["triton"] | damage)


@pytest.mark.parametrize("url", ["https://bücher.example/straße?q=ä#ü", "../up", "", "pkg:pypi/numpy@2.0", 7])
def test_addresses_in_any_script_are_references(url: object) -> None:
    assert is_iri_reference(url)


def test_an_environment_that_differs_from_its_lock_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    held = pins("triton")
    old = Pin("openvino", type(held["openvino"].version)("1.0"), None, held["openvino"].hashes)
    monkeypatch.setattr(supply.sbom, "pins", lambda _: held | {"openvino": old, "left-out": held["numpy"]})
    with pytest.raises(UnfitEnvironment, match=r"triton\.txt says: openvino"):
        python_bill("triton", ROOT / ".triton/bin/python", name="x")
    with pytest.raises(UnfitEnvironment, match="failed"):
        python_bill("triton", tmp_path / "python", name="x")


def test_the_command_writes_every_bill(
    bills: dict[str, Bill], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(supply.sbom, "BILLS", {name: lambda bill=bill: bill for name, bill in bills.items()})
    supply.sbom.main(tmp_path / "sbom")
    written = {path.name: json.loads(path.read_text()) for path in (tmp_path / "sbom").iterdir()}
    assert written == {f"cityzones-{name}.cdx.json": bill for name, bill in bills.items()}
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert sys.executable not in json.dumps(written)
