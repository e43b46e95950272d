"""Examines an installation, from its settings to a real inference, and says what to mend."""

from service.doctor.examination import AREAS, examine
from service.doctor.findings import Finding

__all__ = ["AREAS", "Finding", "examine"]
