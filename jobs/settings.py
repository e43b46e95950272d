"""All settings of service and worker: environment variables with the prefix CITYZONES_, checked against each other."""

from __future__ import annotations

import secrets
from functools import cached_property
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

TILE_PIXELS = 240


class Settings(BaseSettings):
    """One flat set of settings; `Settings()` reads the environment and raises where two of them disagree."""

    model_config = SettingsConfigDict(env_prefix="CITYZONES_", frozen=True)

    # Object storage: a folder, or s3://bucket[/prefix] with the access below.
    storage_url: str = Field("file://.cityzones/store", description="file:///folder or s3://bucket/prefix")
    s3_endpoint: str | None = Field(None, description="endpoint the programs use; empty for AWS")
    s3_public_endpoint: str | None = Field(
        None, description="endpoint written into signed links; as s3_endpoint if empty"
    )
    s3_region: str = "us-east-1"
    s3_access_key_id: str | None = None
    s3_secret_access_key: SecretStr | None = None
    storage_timeout: float = Field(60.0, gt=0, description="seconds per storage request")

    # Queue and live state.
    broker_url: str = "redis://127.0.0.1:6379/0"
    live_url: str = Field("redis://127.0.0.1:6379/1", description="live progress; only what can be rebuilt")
    task_time_limit: int = Field(3600, gt=0, description="seconds after which a task is ended")
    visibility_timeout: int = Field(7200, gt=0)
    recover_every: float = Field(60.0, gt=0, description="seconds between looks for jobs the queue has lost")
    recover_after: float = Field(300.0, gt=0, description="seconds without a sign of life before a job counts as lost")

    # Inference.
    triton_url: str = Field("127.0.0.1:8001", description="host:port of Triton's gRPC")
    triton_timeout: float = Field(120.0, gt=0)

    # Links, uploads and limits.
    public_url: str = Field("http://127.0.0.1:3000", description="where clients reach the service; starts local links")
    link_secret: SecretStr = Field(
        default_factory=lambda: SecretStr(secrets.token_hex(32)), description="key of local signed links"
    )
    link_seconds: int = Field(3600, gt=0)
    max_upload_bytes: int = Field(2 * 1024**3, gt=0)
    max_body_bytes: int = Field(8 * 1024**2, gt=0, description="limit of every body that is not an upload")
    max_pixels: int = Field(500_000_000, gt=0, description="pixels an uploaded image may have")
    max_features: int = Field(2_000_000, gt=0)
    max_vertices: int = Field(10_000, gt=0, description="vertices an area of interest may have")

    # Imagery.
    stac_url: str = "https://earth-search.aws.element84.com/v1"
    stac_allowed: tuple[str, ...] = Field((), description="further catalogue roots a request may name")
    stac_timeout: float = Field(30.0, gt=0)

    # Mapping.
    block_pixels: int = Field(480, gt=0, description=f"side of a block; a multiple of {TILE_PIXELS}")
    default_model: str = "magnet"
    weights_cache: Path | None = None
    scratch: Path | None = Field(None, description="where workers keep copies of uploads while they read them")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @model_validator(mode="after")
    def _agree(self) -> Settings:
        if self.visibility_timeout <= self.task_time_limit:
            msg = "CITYZONES_VISIBILITY_TIMEOUT must exceed CITYZONES_TASK_TIME_LIMIT, or running tasks start twice"
            raise ValueError(msg)
        if self.block_pixels % TILE_PIXELS:
            msg = f"CITYZONES_BLOCK_PIXELS must be a multiple of {TILE_PIXELS}"
            raise ValueError(msg)
        if urlsplit(self.storage_url).scheme not in {"file", "s3"}:
            msg = "CITYZONES_STORAGE_URL must start with file:// or s3://"
            raise ValueError(msg)
        if bool(self.s3_access_key_id) != bool(self.s3_secret_access_key):
            msg = "set both CITYZONES_S3_ACCESS_KEY_ID and CITYZONES_S3_SECRET_ACCESS_KEY, or neither"
            raise ValueError(msg)
        return self

    @cached_property
    def stores_locally(self) -> bool:
        """Whether objects lie in a folder, so that the service signs and serves the links itself."""
        return urlsplit(self.storage_url).scheme == "file"

    @cached_property
    def catalogues(self) -> tuple[str, ...]:
        """Every STAC root a request may name, the default first."""
        return (self.stac_url, *self.stac_allowed)
