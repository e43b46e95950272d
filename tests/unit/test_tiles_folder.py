import json

import numpy as np
import pytest
import rasterio
from PIL import Image

from models.data.tiles.folder import open_tiles
from models.data.tiles.legend import BadTiles, code_of

COLOURS = {"3C1098": 8, "8429F6": 1, "6EC1E4": 4, "FEDD3A": 5, "E2A929": 6, "9B9B9B": 0, "000000": 0}
DUBAI = [("Water", "#50E3C2"), ("Land (unpaved area)", "#F5A623"), ("Road", "#DE597F"), ("Building", "#D0021B")]


def rgb(colours, width=6):
    row = np.array([[int(c[k : k + 2], 16) for k in (0, 2, 4)] for c in colours], np.uint8)
    return np.repeat(row[:, None], width, axis=1)


def write(folder, tile="tile1", name="a", mask=None, image=None, suffix=".png"):
    for part in ("images", "masks"):
        (folder / tile / part).mkdir(parents=True, exist_ok=True)
    mask = rgb(COLOURS) if mask is None else mask
    image = np.full((*mask.shape[:2], 3), 90, np.uint8) if image is None else image
    Image.fromarray(image).save(folder / tile / "images" / f"{name}.jpg")
    Image.fromarray(mask).save(folder / tile / "masks" / f"{name}{suffix}")


def only(folder):
    found = open_tiles(folder)
    return next(found.pictures(tuple(found.tiles)))


def test_the_colours_of_the_dubai_masks_are_read_whatever_its_classes_say(tmp_path):
    write(tmp_path)
    rows = [{"title": title, "color": colour, "shape": "polygon"} for title, colour in DUBAI]
    (tmp_path / "classes.json").write_text(json.dumps({"classes": rows, "tags": []}))
    read = only(tmp_path)
    assert read.image.shape == (3, 7, 6)
    assert read.image.dtype == read.codes.dtype == np.uint8
    assert read.codes[:, 0].tolist() == list(COLOURS.values())


def test_colours_that_classes_name_are_read_by_title(tmp_path):
    write(tmp_path, mask=rgb(["50E3C2", "F5A623", "DE597F", "D0021B"]))
    rows = [{"title": title, "color": colour} for title, colour in DUBAI]
    (tmp_path / "classes.json").write_text(json.dumps({"classes": rows}))
    assert only(tmp_path).codes[:, 0].tolist() == [6, 1, 4, 8]


def test_a_palette_png_is_read_by_its_colours(tmp_path):
    write(tmp_path)
    path = tmp_path / "tile1/masks/a.png"
    Image.open(path).convert("P", palette=Image.Palette.ADAPTIVE).save(path)
    assert Image.open(path).mode == "P"
    assert only(tmp_path).codes[:, 0].tolist() == list(COLOURS.values())


def test_one_band_of_codes_is_read_as_it_is_and_other_values_are_told(tmp_path):
    codes = np.arange(10, dtype=np.uint8)[:, None].repeat(4, axis=1)
    write(tmp_path, mask=codes)
    assert np.array_equal(only(tmp_path).codes, codes)
    write(tmp_path, mask=codes * 20)
    with pytest.raises(BadTiles, match="from 0 to 180; codes are 1-9"):
        only(tmp_path)


def test_geotiff_pairs_are_read(tmp_path):
    rng = np.random.default_rng(0)
    image, codes = rng.integers(0, 255, (3, 8, 9), np.uint8), rng.integers(0, 10, (1, 8, 9), np.uint8)
    for part, values in (("images", image), ("masks", codes)):
        (tmp_path / part).mkdir()
        profile = {"driver": "GTiff", "count": len(values), "height": 8, "width": 9, "dtype": "uint8"}
        with rasterio.open(tmp_path / part / "x.tif", "w", **profile) as file:
            file.write(values)
    read = only(tmp_path)
    assert np.array_equal(read.image, image)
    assert np.array_equal(read.codes, codes[0])


def test_an_unknown_colour_is_named_and_a_few_stray_pixels_are_not(tmp_path):
    mask = rgb(["3C1098"] * 20, 20)
    mask[0, :3] = (1, 2, 3)
    write(tmp_path, mask=mask)
    assert (only(tmp_path).codes == 0).sum() == 3
    mask[:5] = (1, 2, 3)
    write(tmp_path, mask=mask)
    with pytest.raises(BadTiles, match=r"#010203 \(25.0%\); name them in classes.json"):
        only(tmp_path)


def test_what_does_not_fit_is_told_by_name(tmp_path):
    with pytest.raises(BadTiles, match="is not a folder"):
        open_tiles(tmp_path / "nowhere")
    with pytest.raises(BadTiles, match="holds no <tile>/images"):
        open_tiles(tmp_path)
    write(tmp_path)
    write(tmp_path, name="b", image=np.zeros((3, 3, 3), np.uint8))
    with pytest.raises(BadTiles, match="differ in size: 3 x 3 and 6 x 7"):
        list(open_tiles(tmp_path).pictures(("tile1",)))
    (tmp_path / "tile1/masks/b.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    with pytest.raises(BadTiles, match=r"b\.png cannot be read as an image"):
        list(open_tiles(tmp_path).pictures(("tile1",)))
    (tmp_path / "tile1/masks/b.png").unlink()
    with pytest.raises(BadTiles, match="no mask of b"):
        open_tiles(tmp_path)
    (tmp_path / "tile1/images/b.jpg").rename(tmp_path / "tile1/images/a.png")
    with pytest.raises(BadTiles, match="holds both"):
        open_tiles(tmp_path)


@pytest.mark.parametrize("text", ["[]", "{", '{"classes": [{"title": "Road"}]}', '{"classes": 3}', "[" * 100_000])
def test_a_broken_legend_is_told(tmp_path, text):
    write(tmp_path)
    (tmp_path / "classes.json").write_text(text)
    with pytest.raises(BadTiles, match="does not read as"):
        open_tiles(tmp_path)


def test_titles_are_mapped_by_name():
    titles = ["Land (unpaved area)", "VEGETATION", "Building", "Agriculture land", "Unlabeled", "Moon"]
    assert [code_of(title) for title in titles] == [1, 5, 8, 7, 0, None]


@pytest.mark.real_data
def test_the_dubai_tiles_are_read_whole(shared_data):
    found = open_tiles(shared_data / "dubai_landcover")
    assert {len(pairs) for pairs in found.tiles.values()} == {9}
    read = next(found.pictures(("tile2",)))
    assert set(np.unique(read.codes)) <= {0, 1, 4, 5, 6, 8}
