"""Networks of the tests' own among the cards, in this process and in servers that a test starts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import models.cards
from models.cards import CARDS_DIR, Card, cards


def write_cards(folder: Path, *more: Card) -> Path:
    """Write cards beside copies of the project's into a folder; return a path that makes a Python process read them.

    It goes before everything else on PYTHONPATH: Python imports sitecustomize before all else.
    """
    (folder / "cards").mkdir(parents=True)
    for path in CARDS_DIR.glob("*.toml"):
        (folder / "cards" / path.name).write_bytes(path.read_bytes())
    for card in more:
        (folder / "cards" / f"{card.id}.toml").write_text(_toml(card))
    (folder / "first").mkdir()
    patch = f"import pathlib, models.cards\nmodels.cards.CARDS_DIR = pathlib.Path({str(folder / 'cards')!r})\n"
    (folder / "first" / "sitecustomize.py").write_text(patch)
    return folder / "first"


@contextmanager
def reading_cards(folder: Path) -> Iterator[None]:
    """Let this process read the cards that `write_cards` wrote into a folder, until the block ends."""
    models.cards.CARDS_DIR = folder / "cards"
    cards.cache_clear()
    try:
        yield
    finally:
        models.cards.CARDS_DIR = CARDS_DIR
        cards.cache_clear()


def _toml(card: Card) -> str:
    values = card.model_dump(mode="json", exclude_none=True)
    plain = [f"{name} = {json.dumps(v)}" for name, v in values.items() if not isinstance(v, dict)]
    for name, section in values.items():
        if isinstance(section, dict):
            plain += [f"[{name}]", *(f"{key} = {json.dumps(v)}" for key, v in section.items())]
    return "\n".join(plain)
