"""Parcels: read, cleaned, summed over by exact coverage, and judged as mapping units."""
