"""Procedural cities: seeded, of any size, with imagery, buildings, parcels and the truth. No real place is shown."""

from models.data.procedural.city import CRS, NOTICE, BadCity, City, generate, photograph
from models.data.procedural.materials import BANDS
from models.data.procedural.sample import write_city

__all__ = ["BANDS", "CRS", "NOTICE", "BadCity", "City", "generate", "photograph", "write_city"]
