"""Where callbacks may go: addresses, names, forms of URIs."""

from __future__ import annotations

import ipaddress
import socket
import time

import pytest
from hypothesis import given
from hypothesis import settings as trials
from hypothesis import strategies as st
from pydantic import ValidationError

from jobs.callbacks import rules
from jobs.callbacks.rules import NOT_PUBLIC, Rules, embedded, is_public, look_up
from jobs.callbacks.subscribers import check_subscriber
from jobs.callbacks.targets import parse_target
from jobs.errors import CallbackRefused, CallbacksNotConfigured
from jobs.request import Subscriber
from jobs.settings import Settings

INSIDE = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.0.1",
    "169.254.0.1", "169.254.169.254", "169.254.170.2", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.192",
    "192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.9",
    "224.0.0.1", "233.252.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "168.63.129.16",
    "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1", "::ffff:0:10.0.0.1",
    "64:ff9b::a00:1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808", "100::1", "2001::1",
    "2001:0:7f00:1::", "2001:2::1", "2001:10::1", "2001:db8::1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "2002:808:808::",
    "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%1", "fec0::1", "ff02::1", "ff0e::1",
    "4000::1", "2a00:1450::5efe:10.0.0.1", "2a00:1450::200:5efe:10.0.0.1",
]  # fmt: skip
OUTSIDE = [
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.1", "100.63.255.255", "100.128.0.1", "126.255.255.255",
    "128.0.0.1", "169.253.255.255", "169.255.0.1", "172.15.255.255", "172.32.0.1", "191.255.255.255", "192.0.1.1",
    "192.167.255.255", "192.169.0.1", "198.17.255.255", "198.20.0.1", "223.255.255.255", "168.63.129.15",
    "2606:4700::1111", "2a00:1450:4001::200e", "2001:4860:4860::8888", "2003::1", "64:ff9b::808:808",
    "::ffff:8.8.8.8",
]  # fmt: skip


@pytest.mark.parametrize("address", INSIDE)
def test_addresses_behind_the_wall_are_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))
    with pytest.raises(CallbackRefused, match=NOT_PUBLIC.split(";", maxsplit=1)[0]):
        Rules().addresses("host.test", lambda _: (address,))


@pytest.mark.parametrize("address", OUTSIDE)
def test_addresses_next_to_the_wall_are_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))
    assert Rules().addresses("host.test", lambda _: (address,)) == [str(ipaddress.ip_address(address))]


@trials(deadline=None)
@given(st.ip_addresses())
def test_what_python_holds_for_special_is_never_public(address: rules.Address) -> None:
    real = embedded(address)
    special = real.is_private or real.is_loopback or real.is_link_local or real.is_multicast or real.is_unspecified
    assert not (special and is_public(address))


@trials(deadline=None)
@given(st.ip_addresses(v=4))
def test_a_wrapped_address_is_as_public_as_what_it_wraps(address: ipaddress.IPv4Address) -> None:
    for prefix in ("::ffff:0:0", "64:ff9b::"):
        wrapped = ipaddress.IPv6Address(int(ipaddress.IPv6Address(prefix)) | int(address))
        assert is_public(wrapped) == is_public(address)
        assert embedded(wrapped) == address


def test_no_address_at_all_and_one_bad_among_good_are_refused_alike() -> None:
    for found in ((), ("8.8.8.8", "10.0.0.1"), ("8.8.8.8", "fe80::1%1")):
        with pytest.raises(CallbackRefused) as caught:
            Rules().addresses("host.test", lambda _, found=found: found)
        assert caught.value.detail == NOT_PUBLIC


def test_a_network_that_is_none_stops_the_program() -> None:
    for told in ("10.0.0.0/33", "https://hooks.internal", "10.0.0/8"):
        with pytest.raises(ValidationError):
            Settings(callback_hosts=(told,))


def listed(*entries: str) -> Rules:
    return Rules.of(Settings(callback_hosts=entries))


def test_an_operator_may_list_networks() -> None:
    lets = listed("127.0.0.1/32", "fd12::/16")
    assert lets.addresses("any.test", lambda _: ("127.0.0.1", "fd12::5")) == ["127.0.0.1", "fd12::5"]
    for address in ("127.0.0.2", "fd13::1"):
        with pytest.raises(CallbackRefused):
            lets.addresses("any.test", lambda _, address=address: (address,))


@pytest.mark.parametrize("address", ["10.1.2.3", "192.168.1.1", "fd12::1", "100.64.0.9", "8.8.8.8"])
def test_a_listed_name_may_lead_to_private_networks(address: str) -> None:
    assert listed("Hooks.Internal.").addresses("hooks.internal", lambda _: (address,)) == [address]
    if address != "8.8.8.8":
        with pytest.raises(CallbackRefused):
            listed("Hooks.Internal.").addresses("evil.hooks.internal", lambda _: (address,))


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "169.254.169.254", "fd00:ec2::254", "100.100.100.200", "::1", "0.0.0.0", "fe80::1"]
)
def test_a_listed_name_never_leads_to_this_machine_or_its_metadata(address: str) -> None:
    with pytest.raises(CallbackRefused):
        listed("hooks.internal").addresses("hooks.internal", lambda _: (address,))


@pytest.mark.parametrize(
    ("uri", "host", "port", "path", "authority"),
    [
        ("https://example.org", "example.org", 443, "/", "example.org"),
        ("HTTPS://Example.ORG.:8443/a?b=%20c", "example.org", 8443, "/a?b=%20c", "example.org:8443"),
        ("http://example.org?x=a@b", "example.org", 80, "/?x=a@b", "example.org"),
        ("https://[2606:4700:0::1111]/", "2606:4700::1111", 443, "/", "[2606:4700::1111]"),
        ("https://1.2.3.4:443//x", "1.2.3.4", 443, "//x", "1.2.3.4"),
        ("https://xn--bcher-kva.example/", "xn--bcher-kva.example", 443, "/", "xn--bcher-kva.example"),
    ],
)
def test_good_uris_are_taken_apart(uri: str, host: str, port: int, path: str, authority: str) -> None:
    target = parse_target(uri)
    assert (target.host, target.port, target.path, target.authority) == (host, port, path, authority)


@pytest.mark.parametrize(
    "uri",
    [
        "", "example.org", "//example.org", "ftp://example.org", "file:///etc/passwd", "https://", "https:///x",
        "https://user@example.org", "https://a:b@example.org/", "https://example.org@10.0.0.1/", "https://@example.org",
        "https://example.org/#a", "https://example.org:22/", "https://example.org:80/", "https://example.org:0/",
        "https://example.org:65536/", "https://example.org:/", "https://example.org:99999999/", "http://example.org:443/",
        "https://2130706433/", "https://0x7f000001/", "https://0x7f.0.0.1/", "https://017700000001/", "https://127.1/",
        "https://0177.0.0.1/", "https://127.0.0.01/", "https://1.2.3.4.5/", "https://256.1.1.1/", "https://0x/",
        "https://[::1%25eth0]/", "https://[::1]x/", "https://[127.0.0.1]/", "https://[zz::1]/", "https://::1/",
        "https://ex ample.org/", "https://example.org/a b", "https://example.org\\@evil.org/", "https://exam\nple.org/",
        "https://example.org/\r\nX: y", "\thttps://example.org", "https://example.org/ä", "https://bücher.example/",
        "https://ⓔxample.org/", "https://127。0。0。1/", "https://%31%32%37.0.0.1/", "https://.example.org/",
        "https://a..b/", "https://-a.org/", f"https://{'a' * 64}.org/", f"https://{'a.' * 127}org/",
        f"https://example.org/{'a' * 2000}", "https://example.org/\x00", "https://example.org/<x>",
    ],
)  # fmt: skip
def test_other_forms_are_refused(uri: str) -> None:
    with pytest.raises(CallbackRefused):
        parse_target(uri)
    with pytest.raises(ValidationError):
        Subscriber(successUri=uri)


@trials(deadline=None)
@given(st.text(max_size=60), st.sampled_from(["", "https://", "http://", "https://[", "https://a.b/"]))
def test_any_text_is_taken_apart_in_full_or_refused(text: str, start: str) -> None:
    try:
        target = parse_target(start + text)
    except CallbackRefused:
        return
    again = parse_target(f"{target.scheme}://{target.authority}{target.path}")
    assert again == target
    assert target.path.startswith("/")
    assert (target.host + target.path).isascii()
    assert not set(target.host + target.path) & set(" \r\n\t\\#")


def test_names_are_looked_up_in_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "LOOK_UP_SECONDS", 0.2)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(0.6) or [])
    started = time.monotonic()
    assert look_up("slow.test") == ()
    assert time.monotonic() - started < 1


def test_literals_and_this_machine_are_looked_up_for_real() -> None:
    assert look_up("127.0.0.1") == ("127.0.0.1",)
    assert look_up("::1") == ("::1",)
    assert set(look_up("localhost")) <= {"127.0.0.1", "::1"}
    assert look_up("no-such-host.invalid") == ()
    assert look_up("a" * 300) == ()


SECRET = {"callback_secret": "a secret of the tests, long enough"}


def test_a_subscriber_is_checked_uri_by_uri() -> None:
    named = Subscriber(
        successUri="https://good.test/", failedUri="https://bad.test/", inProgressUri="http://good.test/"
    )
    check_subscriber(None, Settings())
    with pytest.raises(CallbackRefused) as caught:
        check_subscriber(named, Settings(**SECRET), ask=lambda h: ("8.8.8.8",) if h == "good.test" else ("10.0.0.1",))
    assert {f.pointer: f.detail for f in caught.value.faults} == {
        "/subscriber/failedUri": NOT_PUBLIC,
        "/subscriber/inProgressUri": "callbacks go to https only",
    }
    check_subscriber(
        named, Settings(**SECRET, callback_allow_http=True, callback_hosts=("bad.test",)), ask=lambda _: ("8.8.8.8",)
    )


def test_a_service_without_a_secret_takes_no_subscriber() -> None:
    with pytest.raises(CallbacksNotConfigured) as caught:
        check_subscriber(Subscriber(successUri="https://good.test/"), Settings(), ask=lambda _: ("8.8.8.8",))
    assert caught.value.faults[0].pointer == "/subscriber"
