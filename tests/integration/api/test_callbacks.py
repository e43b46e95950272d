"""Subscribers at submission, the secret receivers verify with, and what the contract says of callbacks."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from standardwebhooks import Webhook

from jobs.callbacks.signing import headers, secrets_of
from jobs.settings import Settings
from tests.servers.api import EXECUTE, Api, problem

CITYZONES = str(Path(sys.executable).with_name("cityzones"))
SECRET = "a secret of the tests, long enough"
PUBLIC_ADDRESS = "https://8.8.8.8"  # an address needs no name server; nothing is sent there


@pytest.fixture
def calling(settings: Settings) -> Api:
    """A service that signs callbacks."""
    told = Settings(callback_secret=SECRET, callback_hosts=("10.9.0.0/16",))
    wanted = {"callback_secret": told.callback_secret, "callback_hosts": told.callback_hosts}
    return Api(settings.model_copy(update=wanted))


def subscribe(api: Api, **uris: Any) -> Any:
    return api.execute(EXECUTE | {"subscriber": uris})


def test_a_subscriber_is_kept_with_the_job_and_shown_to_nobody(calling: Api) -> None:
    uris = {"successUri": f"{PUBLIC_ADDRESS}/done?token=1234567", "inProgressUri": "https://10.9.1.2:8443/going"}
    answer = subscribe(calling, **uris)
    assert answer.status_code == 201, answer.text
    job = answer.json()["jobID"]
    assert calling.store.request(job).execute["subscriber"] == uris
    assert calling.store.outbox.opened() == [job]
    assert "1234567" not in answer.text + calling.get(f"/jobs/{job}").text + calling.get("/jobs").text
    plain = calling.execute().json()["jobID"]
    assert calling.store.outbox.opened() == [job]
    assert "callbacks" not in calling.get(f"/jobs/{plain}").json()


@pytest.mark.parametrize(
    "uri",
    [
        "https://127.0.0.1/", "https://localhost/", "https://10.8.0.1/", "https://169.254.169.254/latest/meta-data/",
        "https://[::1]/", "https://[::ffff:10.8.0.1]/", "https://[fd00:ec2::254]/", "https://[64:ff9b::a08:1]/",
        "https://no-such-host.invalid/", "http://8.8.8.8/",
    ],
)  # fmt: skip
def test_where_no_callback_may_go_is_refused_before_the_job_exists(calling: Api, uri: str) -> None:
    body = problem(subscribe(calling, successUri=PUBLIC_ADDRESS, failedUri=uri), 422, "callback-refused")
    assert [fault["pointer"] for fault in body["errors"]] == ["/subscriber/failedUri"]
    assert (calling.store.outbox.opened(), calling.get("/jobs").json()["jobs"]) == ([], [])


def test_a_name_nobody_knows_and_one_that_leads_inside_are_refused_alike(calling: Api) -> None:
    details = {
        subscribe(calling, successUri=uri).json()["errors"][0]["detail"]
        for uri in ("https://no-such-host.invalid/", "https://localhost/", "https://10.8.0.1/")
    }
    assert len(details) == 1


@pytest.mark.parametrize(
    ("subscriber", "pointer", "told"),
    [
        ({}, "/subscriber/successUri", "required"),
        ({"failedUri": PUBLIC_ADDRESS}, "/subscriber/successUri", "required"),
        ({"successUri": 5}, "/subscriber/successUri", "string"),
        ({"successUri": None}, "/subscriber/successUri", "string"),
        ({"successUri": f"{PUBLIC_ADDRESS}/{'a' * 2000}"}, "/subscriber/successUri", "2000"),
        ({"successUri": "https://a:b@8.8.8.8/"}, "/subscriber/successUri", "password"),
        ({"successUri": "ftp://8.8.8.8/"}, "/subscriber/successUri", "https://host"),
        ({"successUri": "https://2130706433/"}, "/subscriber/successUri", "decimal"),
        ({"successUri": PUBLIC_ADDRESS, "successUrl": PUBLIC_ADDRESS}, "/subscriber/successUrl", "'successUri'"),
    ],
)
def test_subscribers_that_are_none_are_pointed_at(calling: Api, subscriber: Any, pointer: str, told: str) -> None:
    body = problem(subscribe(calling, **subscriber), 422, "invalid-request")
    (fault,) = (fault for fault in body["errors"] if fault["pointer"] == pointer)
    assert told in fault["detail"]


def test_a_service_without_a_secret_takes_no_subscriber_and_has_none_to_tell(api: Api) -> None:
    problem(subscribe(api, successUri=PUBLIC_ADDRESS), 422, "callbacks-not-configured")
    problem(api.get("/callbacks/secret"), 404, "not-found")


def test_the_secret_of_the_interface_and_of_the_command_line_verify(calling: Api) -> None:
    answer = calling.get("/callbacks/secret")
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert (body["tenant"], set(body)) == ("public", {"tenant", "secret"})
    signed = headers("msg_1", int(time.time()), b"{}", secrets_of("public", calling.settings))
    assert Webhook(body["secret"]).verify(b"{}", signed) == {}
    told = {**os.environ, "CITYZONES_CALLBACK_SECRET": SECRET}
    command = [CITYZONES, "callbacks", "secret"]
    printed = subprocess.run(command, env=told, capture_output=True, text=True, timeout=60, check=True)
    assert printed.stdout == f"{body['secret']}\n"


def test_the_contract_tells_of_the_callbacks(api: Api) -> None:
    document = api.get("/openapi.json").json()
    execution = document["paths"]["/processes/{process}/execution"]["post"]
    uris = {uri for callback in execution["callbacks"].values() for uri in callback}
    names = document["components"]["schemas"]["Subscriber"]["properties"]
    assert uris == {f"{{$request.body#/subscriber/{name}}}" for name in names}
    for callback in execution["callbacks"].values():
        for operation in callback.values():
            schema = operation["post"]["requestBody"]["content"]["application/json"]["schema"]
            Draft202012Validator.check_schema(schema)
    assert (
        api.get("/conformance")
        .json()["conformsTo"]
        .count("http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/callback")
        == 1
    )
