"""Example requests of the published contract; the tests run them."""

from __future__ import annotations

from typing import Any, Final

EXECUTE_EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "stac": {
        "summary": "An area, imagery from the catalogue",
        "value": {
            "inputs": {
                "aoi": {"bbox": [13.36, 52.50, 13.42, 52.53]},
                "imagery": {"stac": {"datetime": "2025-05-01/2025-09-30", "max_cloud_cover": 20}},
            }
        },
    },
    "polygon": {
        "summary": "A drawn polygon, one class a scene cell, two outputs",
        "value": {
            "inputs": {
                "aoi": {
                    "type": "Polygon",
                    "coordinates": [[[2.33, 48.85], [2.36, 48.85], [2.36, 48.87], [2.33, 48.87], [2.33, 48.85]]],
                },
                "imagery": {"stac": {"collection": "sentinel-2-l2a", "datetime": "2025-06-01/2025-08-31"}},
                "units": "scene",
                "outputs": ["map", "preview"],
            }
        },
    },
    "uploads": {
        "summary": "An uploaded image with parcels and buildings; put in the ids POST /uploads answered with",
        "value": {
            "inputs": {
                "imagery": {"uploads": ["upl_01jd5x3v8r7q2m9k4n6p0w1y5z"], "scale": 0.0001, "offset": 0},
                "buildings": {"upload": "upl_01jd5x3v8r7q2m9k4n6p0w1y60", "height_field": "height"},
                "parcels": {"upload": "upl_01jd5x3v8r7q2m9k4n6p0w1y61", "id_field": "PARCEL_ID"},
                "units": "auto",
            }
        },
    },
    "again": {
        "summary": "A finished job once more: its probabilities, blocks between streets as units, no network",
        "value": {
            "inputs": {
                "imagery": {"job": "job_01jd5x3v8r7q2m9k4n6p0w1y62"},
                "parcels": {"derive": "streets", "streets": {"upload": "upl_01jd5x3v8r7q2m9k4n6p0w1y63"}},
                "outputs": ["map", "parcels"],
            }
        },
    },
    "pictures": {
        "summary": "Land cover of uploaded aerial pictures side by side, and its shares in every parcel",
        "value": {
            "inputs": {
                "imagery": {"uploads": ["upl_01jd5x3v8r7q2m9k4n6p0w1y64", "upl_01jd5x3v8r7q2m9k4n6p0w1y65"]},
                "parcels": {"upload": "upl_01jd5x3v8r7q2m9k4n6p0w1y66"},
            }
        },
    },
}
