"""All settings of service and worker: environment variables with the prefix CITYZONES_, checked against each other."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Mapping
from functools import cached_property
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, FilePath, PositiveFloat, SecretStr, model_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, NoDecode, SettingsConfigDict

from jobs.basemap import check_basemap
from jobs.loopback import hostname, is_loopback

TILE_PIXELS = 240
T = TypeVar("T")


def _parts(told: object) -> object:
    return [part.strip() for part in told.split(",") if part.strip()] if isinstance(told, str) else told


def _name_or_network(told: str) -> str:
    if "/" in told:
        ip_network(told, strict=False)
    return told


# Several values in one variable, told apart by commas.
Listed = Annotated[tuple[T, ...], NoDecode, BeforeValidator(_parts)]


class Settings(BaseSettings):
    """One flat set of settings; `Settings()` reads the environment and raises where two of them disagree."""

    model_config = SettingsConfigDict(env_prefix="CITYZONES_", frozen=True)

    # Object storage: a folder, or s3://bucket[/prefix] with the access below.
    storage_url: str = Field("file://.cityzones/store", description="file:///folder or s3://bucket/prefix")
    s3_endpoint: str | None = Field(None, description="endpoint the programs use; empty for AWS")
    s3_public_endpoint: str | None = Field(
        None, description="endpoint written into signed links; as s3_endpoint if empty"
    )
    s3_region: str = Field("us-east-1", description="region of the bucket")
    s3_access_key_id: str | None = Field(None, description="access key; the machine's own credentials if empty")
    s3_secret_access_key: SecretStr | None = Field(None, description="the secret that belongs to it")
    storage_timeout: float = Field(60.0, gt=0, description="seconds per storage request")

    # Queue and live state.
    broker_url: str = Field("redis://127.0.0.1:6379/0", description="Celery's broker; redis+socket://… for a socket")
    live_url: str = Field("redis://127.0.0.1:6379/1", description="live progress; only what can be rebuilt")
    task_time_limit: int = Field(3600, gt=0, description="seconds after which a task is ended")
    visibility_timeout: int = Field(
        7200, gt=0, description="seconds until a task that was not acknowledged starts again; above the time limit"
    )
    recover_every: float = Field(10.0, gt=0, description="seconds between looks for jobs the queue has lost")
    recover_after: float = Field(
        20.0, gt=0, description="seconds without a sign of life before a job of which no work waits counts as lost"
    )

    # Inference.
    triton_url: str = Field("127.0.0.1:8001", description="host:port of Triton's gRPC")
    triton_timeout: float = Field(120.0, gt=0, description="seconds one tile may take")
    triton_shared_memory: Literal["auto", "on", "off"] = Field(
        "auto", description="whether tiles reach Triton through shared memory; auto: where its address is this host's"
    )

    # Links, uploads and limits.
    public_url: str = Field("http://127.0.0.1:3000", description="where clients reach the service; starts local links")
    link_secret: SecretStr = Field(
        default_factory=lambda: SecretStr(secrets.token_hex(32)), description="key of local signed links"
    )
    link_secret_previous: SecretStr | None = Field(
        None, description="one more secret whose links are good while secrets are rotated: the one before, or the next"
    )
    link_seconds: int = Field(3600, gt=0, description="seconds a link to an output works")
    tile_cache_bytes: int = Field(
        2 * 1024**3, ge=0, description="bytes of maps copied from S3 to local disk, to draw tiles from"
    )
    tile_threads: int = Field(2, gt=0, description="tiles a process draws at the same time; further ones wait")
    cors_origins: tuple[str, ...] = Field(
        (), description="origins whose pages may call the service: https://maps.example.org; * for every one"
    )
    max_upload_bytes: int = Field(2 * 1024**3, gt=0, description="bytes an uploaded file may have")
    upload_days: int = Field(7, gt=0, description="days after which an upload is deleted")
    unfinished_upload_hours: int = Field(
        24, gt=0, description="hours after which an upload that was announced and is not complete is deleted"
    )
    max_body_bytes: int = Field(8 * 1024**2, gt=0, description="limit of every body that is not an upload")
    body_idle_seconds: float = Field(30.0, gt=0, description="seconds without a byte after which a body is given up")
    body_bytes_per_second: int = Field(
        1000, ge=0, description="bytes a second below which a body is given up, after 30 s of waiting for it"
    )
    max_pixels: int = Field(500_000_000, gt=0, description="pixels an uploaded image may have")
    max_features: int = Field(2_000_000, gt=0, description="features an uploaded vector file may have")
    max_vertices: int = Field(10_000, gt=0, description="vertices an area of interest may have")

    # Who may use the service, and how much. 0 is no limit; a tenant's own limits stand above these.
    auth: Literal["keys", "open"] = Field(
        "keys", description="keys: every caller needs one; open: none is asked, and this machine alone is answered"
    )
    key_cache_seconds: float = Field(
        5.0, ge=0, description="seconds a key and its tenant's limits are remembered; a revoked key ends within them"
    )
    failures_per_minute: int = Field(
        60, ge=0, description="requests without a good key a client's address may send a minute, per process"
    )
    metrics_key: SecretStr | None = Field(
        None, description="bearer token for /metrics; if empty, this machine alone may read them"
    )
    requests_per_minute: int = Field(600, ge=0, description="requests a tenant may send a minute")
    running_jobs: int = Field(50, ge=0, description="jobs without an end a tenant may have")
    waiting_jobs: int = Field(
        20_000, ge=0, description="jobs of all tenants that may wait to begin; further ones are refused for the moment"
    )
    km2_per_month: float = Field(0, ge=0, description="square kilometres a tenant may map in a month")
    upload_bytes: int = Field(20 * 1024**3, ge=0, description="bytes of all uploads a tenant may keep")

    # How long things are kept.
    job_days: int = Field(30, gt=0, description="days after its end on which a job's outputs are deleted")
    record_days: int = Field(
        365, gt=0, description="days after its end on which the last trace of a job is deleted; job_days or more"
    )
    annotation_days: int = Field(
        365,
        gt=0,
        description="days after it was prepared on which an annotation project is deleted; record_days at most",
    )

    # Callbacks.
    callback_secret: SecretStr | None = Field(
        None, min_length=32, description="the secrets that callbacks are signed with derive from it; none: no callbacks"
    )
    callback_secret_previous: SecretStr | None = Field(
        None, min_length=32, description="the one before: while it is set, callbacks carry its signature as well"
    )
    callback_allow_http: bool = Field(default=False, description="whether callbacks may go to plain http")
    callback_hosts: Listed[Annotated[str, AfterValidator(_name_or_network)]] = Field(
        (), description="host names and networks (10.1.0.0/16) that are not public, yet callbacks may reach; by commas"
    )
    callback_ca: FilePath | None = Field(
        None, description="further certificate authorities that receivers may have (PEM)"
    )
    callback_timeout: float = Field(15.0, gt=0, description="seconds a receiver has for its answer, redirects included")
    callback_retry_seconds: Listed[PositiveFloat] = Field(
        (5, 300, 1800, 7200, 18_000, 36_000, 50_400),
        max_length=50,
        description="seconds between attempts to reach a receiver",
    )
    callback_progress_seconds: int = Field(30, gt=0, description="least seconds between two callbacks of progress")

    # Imagery.
    stac_url: str = Field(
        "https://earth-search.aws.element84.com/v1", description="the STAC catalogue searched if a request names none"
    )
    stac_allowed: Listed[str] = Field((), description="further catalogue roots a request may name")
    stac_timeout: float = Field(30.0, gt=0, description="seconds per request to a catalogue")

    # Mapping.
    block_pixels: int = Field(480, gt=0, description=f"side of a block; a multiple of {TILE_PIXELS}")
    default_model: str = Field("magnet", description="the model of a request that names none")
    weights_cache: Path | None = Field(
        None, description="where fetched weights lie; ~/.cache/cityzones/weights if empty"
    )
    annotation_models: Path | None = Field(
        None,
        description="folder with encoder.onnx and decoder.onnx of the SAM family, which then find masks; read where "
        "`cityzones up` builds the model repository",
    )

    # The web page.
    basemap_url: str | None = Field(
        None,
        description="raster tiles below maps on pages: an XYZ template with {z}, {x} and {y}; if empty, a graticule",
    )
    basemap_attribution: str | None = Field(None, description="whose these tiles are: text, shown with them")
    basemap_maxzoom: int = Field(19, ge=0, le=24, description="the deepest zoom these tiles have")

    # Running.
    scratch: Path | None = Field(None, description="where workers keep copies of uploads while they read them")
    access_log: bool = Field(default=False, description="whether the service logs every request; /metrics has counts")
    log_format: Literal["text", "json"] = Field(
        "text", description="text: lines for people; json: an object a line, for programs that gather logs"
    )
    tracing: bool = Field(
        default=False,
        description="whether OpenTelemetry traces requests and jobs; where to, the standard OTEL_ variables say",
    )
    worker_port: int = Field(
        0, ge=0, le=65535, description="port on which a worker answers /metrics, /livez and /readyz; 0: none"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="what the logs hold")

    @model_validator(mode="after")
    def _agree(self) -> Settings:
        if self.visibility_timeout <= self.task_time_limit:
            msg = "CITYZONES_VISIBILITY_TIMEOUT must exceed CITYZONES_TASK_TIME_LIMIT, or running tasks start twice"
            raise ValueError(msg)
        if self.record_days < self.job_days:
            msg = "CITYZONES_RECORD_DAYS must not be less than CITYZONES_JOB_DAYS, or data would outlive their records"
            raise ValueError(msg)
        if self.link_secret_previous and "link_secret" not in self.model_fields_set:
            msg = "CITYZONES_LINK_SECRET_PREVIOUS is set without CITYZONES_LINK_SECRET, which links are signed with"
            raise ValueError(msg)
        if self.callback_secret_previous and not self.callback_secret:
            msg = "CITYZONES_CALLBACK_SECRET_PREVIOUS is set without CITYZONES_CALLBACK_SECRET, which follows it"
            raise ValueError(msg)
        if self.block_pixels % TILE_PIXELS:
            msg = f"CITYZONES_BLOCK_PIXELS must be a multiple of {TILE_PIXELS}"
            raise ValueError(msg)
        if urlsplit(self.storage_url).scheme not in {"file", "s3"}:
            msg = "CITYZONES_STORAGE_URL must start with file:// or s3://"
            raise ValueError(msg)
        if self.auth == "open" and not is_loopback(hostname(self.public_url)):
            msg = "CITYZONES_AUTH=open answers this machine alone, but CITYZONES_PUBLIC_URL is another: use keys"
            raise ValueError(msg)
        if bool(self.s3_access_key_id) != bool(self.s3_secret_access_key):
            msg = "set both CITYZONES_S3_ACCESS_KEY_ID and CITYZONES_S3_SECRET_ACCESS_KEY, or neither"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _draws(self) -> Settings:
        if self.basemap_url:
            check_basemap(self.basemap_url, self.basemap_attribution, self.public_url)
        return self

    @classmethod
    def of_environment(cls, environment: Mapping[str, str]) -> Self:
        """Return the settings that these variables tell, as a program started with them has them."""
        source = EnvSettingsSource(cls)
        source.env_vars = {name.lower(): value for name, value in environment.items()}
        return cls.model_validate(source())

    @cached_property
    def stores_locally(self) -> bool:
        """Whether objects lie in a folder, so that the service signs and serves the links itself."""
        return urlsplit(self.storage_url).scheme == "file"

    @cached_property
    def catalogues(self) -> tuple[str, ...]:
        """Every STAC root a request may name, the default first."""
        return (self.stac_url, *self.stac_allowed)


def settings_page() -> str:
    """Return docs/settings.md: every setting with its default and its meaning, read off the class."""
    rows = [
        "# Settings",
        "",
        "Environment variables; each stands for a field of `jobs.settings.Settings`. Settings that disagree with each",
        "other stop the program when it starts. Written by `python -m jobs.settings > docs/settings.md`.",
        "",
        "| variable | default | meaning |",
        "|-|-|-|",
    ]
    for name, field in Settings.model_fields.items():
        default = "random" if field.default_factory else field.default
        shown = "" if default is None or default == () else f"`{default}`"
        rows.append(f"| `CITYZONES_{name.upper()}` | {shown} | {field.description} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.stdout.write(settings_page())
