"""A link gives its own object, to read, until it expires; with anything else about it, it gives nothing.

All refusals are 403 but those of ODD: Swift and Ceph call some requests malformed before they look at the signature,
and the service takes a query with `key` and without `signature` for an API key in the address.
"""

from __future__ import annotations

import time
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import httpx
import pytest

from tests.integration.links.conftest import BUCKET, DATA, Place, ask

ODD = {
    ("local", "signature removed"): 400,
    ("swift", "X-Amz-Algorithm changed"): 400,
    ("swift", "X-Amz-Algorithm removed"): 400,
    ("swift", "X-Amz-Algorithm empty"): 400,
    ("swift", "X-Amz-Credential changed"): 400,
    ("swift", "X-Amz-Credential removed"): 400,
    ("swift", "X-Amz-Expires empty"): 400,
    ("swift", "X-Amz-SignedHeaders removed"): 400,
    ("ceph", "X-Amz-Credential changed"): 400,
    ("swift", "unsigned"): 400,
    ("swift", "POST"): 501,
    ("swift", "PATCH"): 405,
    ("ceph", "PATCH"): 405,
}


def refused(place: Place, answer: httpx.Response, what: str = "") -> None:
    """Check that an answer is the refusal expected and holds nothing of the object."""
    expected = ODD.get((place.name, what), 403)
    assert answer.status_code == expected, (place.name, what, answer.status_code, answer.text[:300])
    assert DATA[:64] not in answer.content
    if place.name == "local":
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_link_gives_the_object_its_ranges_and_its_name(place: Place) -> None:
    whole = ask(place.link)
    assert (whole.status_code, whole.content) == (200, DATA)
    assert whole.headers["content-disposition"] == 'attachment; filename="map.tif"'
    part = ask(place.link, Range="bytes=100-199")
    assert (part.status_code, part.content) == (206, DATA[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(DATA)}"
    assert ask(place.link, Range="bytes=-5").content == DATA[-5:]


def test_every_parameter_of_a_link_is_signed(place: Place) -> None:
    base, _, text = place.link.partition("?")
    query = dict(parse_qsl(text))
    assert len(query) >= 4
    for name, value in query.items():
        other = value[:-1] + ("1" if value[-1] != "1" else "2")
        without = {n: v for n, v in query.items() if n != name}
        for what, told in {"changed": {name: other}, "empty": {name: ""}, "removed": {}}.items():
            refused(place, ask(f"{base}?{urlencode(without | told)}"), f"{name} {what}")


def test_no_character_of_the_signature_is_left_unread(place: Place) -> None:
    head, name, signature = place.link.rpartition("ignature=")
    assert len(signature) == 64
    for at in range(0, 64, 7):
        other = "0" if signature[at] != "0" else "1"
        refused(place, ask(f"{head}{name}{signature[:at]}{other}{signature[at + 1 :]}"))
    refused(place, ask(f"{head}{name}{signature[:-1]}"))
    refused(place, ask(f"{head}{name}{quote('é' * 64)}"))


def test_a_link_is_good_for_its_own_object_only(place: Place) -> None:
    link = place.link
    for other in (place.key.replace("map", "units"), place.foreign, place.key.replace("map", "Map"), f"{place.key}x"):
        refused(place, ask(link.replace(place.key, other)))


@pytest.mark.parametrize("way", ["outputs/%2e%2e/request.json", "outputs/..%2f..%2f..%2fsecret", "request.json"])
def test_a_link_leads_nowhere_else(place: Place, way: str) -> None:
    answer = ask(place.link.replace("outputs/map.tif", way))
    assert answer.status_code == (404 if place.name == "local" else 403)


def test_a_link_only_reads(place: Place) -> None:
    for method in ("PUT", "POST", "PATCH", "DELETE"):
        refused(place, ask(place.link, method, content=b"mine"), method)
    assert place.storage.get(place.key) == DATA


def test_the_head_of_an_object_is_part_of_a_local_link_alone(place: Place) -> None:
    answer = ask(place.link, "HEAD")
    assert answer.status_code == (200 if place.name == "local" else 403)
    assert answer.content == b""


def test_a_link_to_write_writes_its_own_object_and_reads_none(place: Place) -> None:
    link = place.storage.put_link("uploads/new/arriving")
    if place.name == "local":
        assert link is None
        return
    assert link
    for method in ("GET", "HEAD", "DELETE"):
        refused(place, ask(link.href, method), f"{method} by a link to write")
    for key in ("uploads/other/arriving", place.key):
        refused(place, ask(link.href.replace("uploads/new/arriving", key), "PUT", content=b"mine"))
    refused(place, ask(link.href.replace("X-Amz-Expires=", "X-Amz-Expires=1"), "PUT", content=b"mine"))
    assert ask(link.href, "PUT", content=b"mine").status_code == 200
    assert (place.storage.get("uploads/new/arriving"), place.storage.get(place.key)) == (b"mine", DATA)


def test_a_link_to_write_copies_nothing_but_on_ceph(place: Place) -> None:
    """Ceph 16.2 heeds a header that was not signed: whoever knows another's key, with its random id, can copy it."""
    if link := place.storage.put_link("uploads/copy/arriving"):
        source = f"/{BUCKET}/links/{place.key}"
        answer = ask(link.href, "PUT", **{"x-amz-copy-source": source})
        assert answer.status_code == (200 if place.name == "ceph" else 403)


def test_without_a_signature_nothing_is_read_or_listed(place: Place) -> None:
    base = place.link.partition("?")[0]
    refused(place, ask(base), "unsigned")
    root = base.partition("/jobs/")[0]
    for address in (f"{root}/", f"{root}/jobs/", f"{root}/?list-type=2&prefix=jobs"):
        answer = ask(address)
        assert 400 <= answer.status_code < 500
        assert place.job not in answer.text


def test_a_link_of_another_key_is_refused(place: Place) -> None:
    told = {"link_secret": "another"} if place.name == "local" else {"s3_secret_access_key": "another"}
    stranger = place.settings.model_validate(place.settings.model_dump() | told)
    refused(place, ask(type(place.storage)(stranger).link(place.key, filename="map.tif").href))


def test_a_link_ends(place: Place) -> None:
    time.sleep(max(0.0, place.short_ends - time.monotonic()))
    refused(place, ask(place.short))
    refused(place, ask(place.short, Range="bytes=0-9"))
    later = dict(parse_qsl(urlsplit(place.short).query))
    name = next(name for name in later if name.lower().endswith("expires"))
    longer = str(int(later[name]) + 3600)
    refused(place, ask(place.short.replace(f"{name}={later[name]}", f"{name}={longer}")))
