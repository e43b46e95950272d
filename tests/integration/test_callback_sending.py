"""One message to one receiver: TLS, redirects, names that change their mind, and receivers that never end."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jobs.callbacks.rules import NOT_PUBLIC
from jobs.callbacks.signing import headers, secrets_of, shown
from service.stack.process import free_port
from tests.servers.api import settings_in
from tests.servers.receiver import Receiver, dribbles, floods, hangs, says, write_certificate
from worker.callbacks.sending import post

NAME = "receiver.test"
LOOPBACK = "127.0.0.1"
BODY = b'{"map": {"href": "https://example.org/map.tif"}}'


def here(host):
    """The look-up of a network in which the receiver's name is this machine's, and everything else public."""
    return (LOOPBACK,) if host in {NAME, LOOPBACK} else ("198.41.0.4",)


@pytest.fixture
def settings(tmp_path):
    return settings_in(
        tmp_path,
        callback_secret="a secret of the tests, long enough",
        callback_allow_http=True,
        callback_hosts="127.0.0.1/32",
        callback_timeout=1.0,
    )


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return write_certificate(tmp_path_factory.mktemp("tls") / "receiver.pem", NAME)


def send(uri, settings, ask=here):
    return post(uri, BODY, headers("msg_1", int(time.time()), BODY, secrets_of("public", settings)), settings, ask=ask)


def test_a_message_arrives_once_by_its_name_and_verifies(settings):
    with Receiver() as receiver:
        answer = send(f"http://{NAME}:{receiver.port}/here?a=1", settings)
    assert (answer.status, answer.accepted, answer.is_gone) == (204, True, False)
    (message,) = receiver.messages
    assert (message.method, message.path, message.id) == ("POST", "/here?a=1", "msg_1")
    assert message.headers["host"] == f"{NAME}:{receiver.port}"
    assert message.verified(shown(secrets_of("public", settings)[0]))["map"]["href"] == "https://example.org/map.tif"


def test_tls_verifies_the_name_although_the_connection_goes_to_an_address(settings, certificate, tmp_path):
    trusting = settings.model_copy(update={"callback_ca": certificate})
    with Receiver(certificate=certificate) as receiver:
        assert send(f"https://{NAME}:{receiver.port}/", trusting).accepted
        assert send(f"https://{NAME}:{receiver.port}/", settings).detail == "the receiver's certificate is not good"
        other = send(f"https://other.test:{receiver.port}/", trusting, ask=lambda _: (LOOPBACK,))
        assert other.detail == "the receiver's certificate is not good"
    assert len(receiver.messages) == 1


def test_a_proxy_of_the_environment_is_not_used(settings, monkeypatch):
    with Receiver() as proxy, Receiver() as receiver:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert send(f"{receiver.url}/", settings).accepted
    assert (len(proxy.messages), len(receiver.messages)) == (0, 1)


def test_a_name_that_turns_private_reaches_nothing(tmp_path):
    """DNS rebinding: a connection asks once and goes to the address that was checked, never to a later answer."""
    settings = settings_in(tmp_path, callback_secret="x" * 32, callback_allow_http=True, callback_hosts="127.0.0.2/32")
    answers = ["127.0.0.2", LOOPBACK, LOOPBACK]

    def rebinding(host):
        return (answers.pop(0),)

    with Receiver(host="127.0.0.2") as allowed, Receiver(port=allowed.port) as private:
        uri = f"http://rebinding.test:{allowed.port}/"
        assert send(uri, settings, ask=rebinding).accepted
        assert len(answers) == 2
        assert send(uri, settings, ask=rebinding).detail == f"not sent: {NOT_PUBLIC}"
    assert (len(allowed.messages), len(private.messages)) == (1, 0)


def test_one_private_address_among_public_ones_is_enough_to_refuse(tmp_path):
    settings = settings_in(tmp_path, callback_allow_http=True)
    answer = send("http://mixed.test/", settings, ask=lambda _: ("198.41.0.4", "10.0.0.1"))
    assert answer.detail == f"not sent: {NOT_PUBLIC}"


@pytest.mark.parametrize("status", [307, 308])
def test_redirects_keep_method_body_and_id(settings, status):
    with Receiver() as last, Receiver(says(status, Location=f"http://{NAME}:{last.port}/moved")) as first:
        assert send(f"{first.url}/old", settings).accepted
        with Receiver(says(status, Location="/elsewhere"), says(204)) as relative:
            assert send(f"{relative.url}/old", settings).accepted
    (message,) = last.messages
    assert (message.method, message.path, message.body, message.id) == ("POST", "/moved", BODY, "msg_1")
    assert [m.path for m in relative.messages] == ["/old", "/elsewhere"]


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 305])
def test_redirects_that_would_change_the_method_are_failures(settings, status):
    with Receiver() as last, Receiver(says(status, Location=f"{last.url}/")) as first:
        answer = send(first.url, settings)
    assert (answer.status, answer.accepted, last.messages) == (status, False, [])


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://localhost:6379/",
        "http://[::1]:6379/",
        "http://[::ffff:169.254.169.254]/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://017700000001/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_FLUSHALL",
        "http://user:pass@198.41.0.4/",
        "//[",
        "http://198.41.0.4:22/",
        "\\\\evil",
    ],
)
def test_redirects_to_where_no_callback_may_go_are_not_followed(settings, location):
    def real(host):
        return here(host) if host == LOOPBACK else {"localhost": ("::1",)}.get(host, (host,))

    with Receiver(says(308, Location=location)) as receiver:
        answer = send(f"{receiver.url}/", settings, ask=real)
    assert answer.status is None
    assert answer.detail.startswith("not sent: ")
    assert len(receiver.messages) == 1


def test_redirects_to_plain_http_are_refused_unless_allowed(settings, certificate):
    strict = settings.model_copy(update={"callback_allow_http": False, "callback_ca": certificate})
    with Receiver() as plain, Receiver(says(307, Location=f"{plain.url}/"), certificate=certificate) as receiver:
        assert send(f"https://{NAME}:{receiver.port}/", strict).detail == "not sent: callbacks go to https only"
    assert plain.messages == []


def test_redirects_in_a_circle_end(settings):
    with Receiver(says(307, Location="/again")) as receiver:
        assert send(f"{receiver.url}/", settings).detail == "more than 3 redirects"
    assert len(receiver.messages) == 4


@pytest.mark.parametrize(
    ("behaviour", "outcome"),
    [
        (hangs, None),
        (dribbles, None),
        (floods(b"HTTP/1.1 200 OK\r\nX-Endless: "), None),
        (floods(b"not HTTP at all\r\n"), None),
        (floods(b"HTTP/1.1 200 OK\r\n\r\n"), 200),
        (floods(b"HTTP/1.1 500 Oh\r\nContent-Length: 99999999999\r\n\r\n"), 500),
        (floods(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000), None),
    ],
    ids=["hangs", "dribbles", "endless-headers", "no-http", "endless-body", "endless-error", "endless-continue"],
)
def test_receivers_that_never_end_are_left_in_time(settings, behaviour, outcome):
    with Receiver(behaviour) as receiver:
        started = time.monotonic()
        answer = send(f"{receiver.url}/", settings)
        took = time.monotonic() - started
    assert answer.status == outcome
    assert took < 2.0


def test_nobody_there_is_told_without_the_systems_words(settings):
    with Receiver() as receiver:
        port = receiver.port
    assert send(f"http://{NAME}:{port}/", settings).detail == "the receiver cannot be reached"


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("120", 120),
        ("0", 0),
        ("-1", None),
        ("soon", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("1e9", None),
        ("", None),
    ],
)
def test_retry_after_is_read_in_both_its_forms(settings, told, seconds):
    with Receiver(says(503, Retry_After=told)) as receiver:
        assert send(f"{receiver.url}/", settings).retry_after == seconds


@pytest.fixture
def documented(settings):
    """The receiver of the documentation, running; its port."""
    page = (Path(__file__).parents[2] / "docs" / "callbacks.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    told = {"PORT": str(free_port()), "WEBHOOK_SECRET": shown(secrets_of("public", settings)[0])}
    command = [sys.executable, "-c", code]
    running = subprocess.Popen(command, env=os.environ | told, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    yield running, f"http://{NAME}:{told['PORT']}/"
    running.kill()
    running.wait()


def test_the_receiver_of_the_documentation_takes_what_is_signed_once(settings, documented):
    running, uri = documented
    limit = time.monotonic() + 20
    while not (answer := send(uri, settings)).accepted:
        assert time.monotonic() < limit, answer
        time.sleep(0.05)
    assert send(uri, settings).accepted
    assert post(uri, BODY, {"webhook-id": "msg_2"}, settings, ask=here).status == 401
    running.terminate()
    assert running.communicate(timeout=10)[0].decode() == f"msg_1 {json.dumps(json.loads(BODY))}\n"
