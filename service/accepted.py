"""How much a client wants what, by its Accept headers (RFC 9110, 12.4.2)."""

from __future__ import annotations


def weight(header: str, name: str) -> float:
    """Return the weight (0-1) an Accept or Accept-Encoding header gives a name; 0 where it does not name it."""
    for part in header.split(","):
        told, *parameters = (piece.strip() for piece in part.split(";"))
        if told.lower() == name:
            weights = [p[2:] for p in parameters if p.startswith("q=")]
            return _number(weights[0]) if weights else 1.0
    return 0.0


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
