"""Vector data as clients bring them: read in chunks, cleaned, and dealt out to blocks; parcels derived from streets."""
