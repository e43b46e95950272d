"""Sums over polygons, each pixel weighted by the exact share of it a polygon covers: areas, probabilities, classes."""

from worker.parcels.zonal.statistics import class_areas, coverage_sums
from worker.parcels.zonal.sums import Sums, SumsMerger, merge_sums, sums_table

__all__ = ["Sums", "SumsMerger", "class_areas", "coverage_sums", "merge_sums", "sums_table"]
