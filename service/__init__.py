"""The HTTP face: BentoML service, OGC API - Processes, uploads, links and the command line."""
