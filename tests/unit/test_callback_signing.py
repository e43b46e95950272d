"""Callbacks are signed as Standard Webhooks says; its own library is the oracle."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import settings as trials
from hypothesis import strategies as st
from pydantic import ValidationError
from standardwebhooks import Webhook, WebhookVerificationError

from jobs.callbacks.signing import headers, secrets_of, shown
from jobs.settings import Settings

OLD, NEW = "the old secret of these tests, 01", "the new secret of these tests, 02"
BODY = b'{"status": "successful"}'


def signed(settings: Settings, body: bytes = BODY, *, tenant: str = "public", at: float = 0) -> dict[str, str]:
    return headers("msg_job_1_successful", int(time.time() + at), body, secrets_of(tenant, settings))


@trials(deadline=None)
@given(st.dictionaries(st.text(), st.text() | st.integers() | st.none()))
def test_the_library_verifies_any_body(value: dict[str, object]) -> None:
    settings = Settings(callback_secret=NEW)
    body = json.dumps(value, ensure_ascii=False).encode()
    secret = shown(secrets_of("public", settings)[0])
    assert Webhook(secret).verify(body, signed(settings, body)) == value


def test_what_was_changed_or_is_old_does_not_verify() -> None:
    settings = Settings(callback_secret=NEW)
    hook = Webhook(shown(secrets_of("public", settings)[0]))
    for spoilt in (
        (BODY + b" ", signed(settings)),
        (BODY, signed(settings) | {"webhook-id": "msg_job_2_successful"}),
        (BODY, signed(settings) | {"webhook-timestamp": str(int(time.time()) - 5)}),
        (BODY, signed(settings, at=-600)),
        (BODY, signed(settings, tenant="another")),
    ):
        with pytest.raises(WebhookVerificationError):
            hook.verify(*spoilt)


def test_while_a_secret_is_rotated_both_verify() -> None:
    before, during = Settings(callback_secret=OLD), Settings(callback_secret=NEW, callback_secret_previous=OLD)
    after = Settings(callback_secret=NEW)
    assert len(signed(during)["webhook-signature"].split(" ")) == 2
    for settings in (before, after):
        assert Webhook(shown(secrets_of("public", settings)[0])).verify(BODY, signed(during))
    with pytest.raises(WebhookVerificationError):
        Webhook(shown(secrets_of("public", before)[0])).verify(BODY, signed(after))


def test_every_tenant_has_a_secret_of_its_own_that_stays() -> None:
    settings = Settings(callback_secret=NEW)
    found = {tenant: secrets_of(tenant, settings)[0] for tenant in ("public", "a", "b", "")}
    assert len(set(found.values())) == 4
    assert {len(secret) for secret in found.values()} == {32}
    assert secrets_of("a", Settings(callback_secret=NEW)) == (found["a"],)
    assert secrets_of("a", Settings()) == ()


def test_settings_that_cannot_be_meant_are_refused() -> None:
    with pytest.raises(ValidationError, match="CALLBACK_SECRET_PREVIOUS"):
        Settings(callback_secret_previous=OLD)
    with pytest.raises(ValidationError):
        Settings(callback_secret="too short")
