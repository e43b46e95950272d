"""Scenes of a STAC catalogue: searched, filtered and grouped by overpass, without reading a pixel."""
