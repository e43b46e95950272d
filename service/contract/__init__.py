"""The published OpenAPI document: what FastAPI reads off the routes, made exact."""
