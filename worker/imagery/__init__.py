"""The imagery of a job: chosen once from a catalogue or from uploads, then read window by window on the job's grid."""

from __future__ import annotations

from worker.imagery.block import BlockImage, Imagery
from worker.imagery.domain import domain_warning
from worker.imagery.plan import ImageryPlan
from worker.imagery.source import open_imagery, plan_imagery

__all__ = ["BlockImage", "Imagery", "ImageryPlan", "domain_warning", "open_imagery", "plan_imagery"]
