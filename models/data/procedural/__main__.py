"""Writes a procedural city: `python -m models.data.procedural --seed 7 --width 6000 --height 5000 --out FOLDER`."""

from __future__ import annotations

import argparse
from pathlib import Path

from models.data.procedural import generate, write_city


def main() -> None:
    """Generate the city that the arguments describe and write its files."""
    parser = argparse.ArgumentParser(description="Write a procedural city. It shows no real place.")
    parser.add_argument("--seed", type=int, required=True, help="the same seed and size give the same bytes")
    parser.add_argument("--width", type=int, default=6000, help="metres, a multiple of 100")
    parser.add_argument("--height", type=int, default=5000, help="metres, a multiple of 100")
    parser.add_argument("--out", type=Path, required=True, help="folder the files are written into")
    told = parser.parse_args()
    write_city(generate(told.seed, (told.height // 10, told.width // 10)), told.out)


if __name__ == "__main__":
    main()
