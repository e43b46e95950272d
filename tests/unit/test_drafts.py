"""Draft pictures of blocks: the likeliest class in the card's colours, at most so many pixels, the same bytes twice."""

import io

import numpy as np
import pytest
from PIL import Image

from models.cards import Card, card_of
from worker.pipeline.drafts import SIDE, draw

CARDS = [card_of("magnet"), card_of("land-cover")]


def sure_of(codes: np.ndarray, card: Card) -> np.ndarray:
    """Return probabilities (class, y, x) that are surest of these codes (y, x), and all 0 where the code is."""
    others = np.random.default_rng(4).integers(0, 90, (len(card.classes), *codes.shape))
    known = np.array([told.code for told in card.classes])[:, None, None]
    return np.where(codes == 0, 0, np.where(known == codes, 100, others)).astype(np.uint8)


def colours_of(codes: np.ndarray, card: Card) -> np.ndarray:
    table = np.array([(0, 0, 0, 0), *((*told.rgb, 255) for told in card.classes)], np.uint8)
    return table[codes]


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.id)
def test_classes_have_their_colours_and_what_was_not_seen_none(card: Card) -> None:
    codes = np.arange(24 * 30).reshape(24, 30) % (len(card.classes) + 1)
    drawn = draw(sure_of(codes, card), card)
    with opened(drawn) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "P", (30, 24))
        assert np.array_equal(np.asarray(image), codes)
        assert np.array_equal(np.asarray(image.convert("RGBA")), colours_of(codes, card))
    assert draw(sure_of(codes, card), card) == drawn


@pytest.mark.parametrize(("rows", "columns"), [(480, 480), (512, 130), (1, 241), (700, 240), (3, 1)])
def test_large_blocks_are_drawn_smaller_by_the_nearest_node(rows: int, columns: int) -> None:
    card = CARDS[0]
    codes = np.random.default_rng(5).integers(0, 18, (rows, columns))
    with opened(draw(sure_of(codes, card), card)) as image:
        height, width = min(rows, SIDE), min(columns, SIDE)
        assert image.size == (width, height)
        y, x = (np.arange(drawn) + 0.5 for drawn in (height, width))
        nearest = codes[(y * rows / height).astype(int)][:, (x * columns / width).astype(int)]
        assert np.array_equal(np.asarray(image), nearest)


def test_the_first_of_equals_is_drawn_as_on_the_map() -> None:
    values = np.zeros((17, 1, 2), np.uint8)
    values[[3, 9], 0, 0] = 127
    with opened(draw(values, CARDS[0])) as image:
        assert np.asarray(image).tolist() == [[4, 0]]
