"""Which variables with our prefix mean anything: settings, and the few that servers read before there are any."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from jobs.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
_NAME = re.compile(r"CITYZONES_[A-Z0-9_]+")
# Read by the model server and its launcher, which have no settings.
_SERVERS = {"CITYZONES_TRITON_ENV", "CITYZONES_TRITON_THREADS"}


def settings_names() -> set[str]:
    return {f"CITYZONES_{field.upper()}" for field in Settings.model_fields} | _SERVERS


def unknown_names(texts: Iterable[str]) -> list[str]:
    return sorted({name for text in texts for name in _NAME.findall(text)} - settings_names())
