"""Examines the settings: what agrees with itself and still makes trouble, or leaves a door open."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from jobs.loopback import hostname, is_loopback
from jobs.settings import Settings
from service.doctor.findings import Finding, Notes

_NOTES: Final = Notes("settings")
_LEAST_SECRET: Final = 32


def examine_settings(settings: Settings) -> Iterator[Finding]:
    """Yield what the settings lead to. That they agree was checked when they were read."""
    public = not is_loopback(hostname(settings.public_url))
    yield from _link_secret(settings, public=public)
    yield from _addresses(settings, public=public)
    if settings.auth == "open":
        yield _NOTES.warning(
            "access", "no key is asked, and this machine alone is answered",
            "set CITYZONES_AUTH=keys before others use it",
        )  # fmt: skip
    else:
        yield _NOTES.ok("access", "every caller needs a key")
    if settings.callback_secret_previous:
        yield _NOTES.warning(
            "rotation", "callbacks still carry the signature of the secret before",
            "remove CITYZONES_CALLBACK_SECRET_PREVIOUS once every receiver has the new one",
        )  # fmt: skip


def _link_secret(settings: Settings, *, public: bool) -> Iterator[Finding]:
    if "link_secret" not in settings.model_fields_set:
        said = "CITYZONES_LINK_SECRET is not set: every process makes its own, so links fail at the next one"
        mend = "set it to 64 random hexadecimal digits, the same everywhere: openssl rand -hex 32"
        yield (_NOTES.fault if public else _NOTES.warning)("link secret", said, mend)
    elif _short(settings.link_secret):
        yield _NOTES.fault(
            "link secret", f"CITYZONES_LINK_SECRET has fewer than {_LEAST_SECRET} characters, and can be guessed",
            "set another: openssl rand -hex 32",
        )  # fmt: skip
    else:
        yield _NOTES.ok("link secret", "set")


def _addresses(settings: Settings, *, public: bool) -> Iterator[Finding]:
    plain = urlsplit(settings.public_url).scheme != "https"
    if plain and public:
        yield _NOTES.fault(
            "public address", f"{settings.public_url} is not https: keys and links can be read on their way",
            "serve it by TLS, and set CITYZONES_PUBLIC_URL to the https address",
        )  # fmt: skip
    else:
        yield _NOTES.ok("public address", settings.public_url)
    links = settings.s3_public_endpoint or settings.s3_endpoint
    if not plain and links and urlsplit(links).scheme != "https" and not settings.stores_locally:
        yield _NOTES.fault(
            "addresses of links", f"links lead to {links}, which pages of an https address may not load",
            "set CITYZONES_S3_PUBLIC_ENDPOINT to an https address of the bucket",
        )  # fmt: skip
    if public and links and not settings.stores_locally and is_loopback(hostname(links)):
        yield _NOTES.fault(
            "addresses of links", f"links lead to {links}, which only this machine reaches",
            "set CITYZONES_S3_PUBLIC_ENDPOINT to an address that clients reach",
        )  # fmt: skip


def _short(secret: SecretStr) -> bool:
    return len(secret.get_secret_value()) < _LEAST_SECRET
