"""Checks at submission that a subscriber could be told: the service has a secret to sign with, and may go there."""

from __future__ import annotations

from collections.abc import Callable

from jobs.callbacks.rules import LookUp, Rules, look_up
from jobs.callbacks.targets import parse_target
from jobs.errors import CallbackRefused, CallbacksNotConfigured
from jobs.request import Subscriber
from jobs.settings import Settings
from models.errors import Fault

_POINTER = "/subscriber"


def check_subscriber(subscriber: Subscriber | None, settings: Settings, *, ask: LookUp = look_up) -> None:
    """Raise CallbackRefused, with a fault for each URI that may not be told, or CallbacksNotConfigured.

    The same is checked again whenever something is sent: by then a name may lead elsewhere.
    """
    if subscriber is None:
        return
    if settings.callback_secret is None:
        detail = "this service has no secret to sign callbacks with: leave subscriber out and poll the job"
        raise CallbacksNotConfigured(detail, faults=[Fault(_POINTER, detail)])
    check = _checker(Rules.of(settings), ask)
    named = subscriber.model_dump(exclude_none=True).items()
    faults = [Fault(f"{_POINTER}/{name}", wrong) for name, uri in named if (wrong := check(uri))]
    if faults:
        raise CallbackRefused(f"{faults[0].pointer}: {faults[0].detail}", faults=faults)


def _checker(rules: Rules, ask: LookUp) -> Callable[[str], str | None]:
    def wrong(uri: str) -> str | None:
        target = parse_target(uri)
        try:
            rules.check_scheme(target)
            rules.addresses(target.host, ask)
        except CallbackRefused as error:
            return error.detail
        return None

    return wrong
