"""Reads the compose files, and holds the rules about them."""

from __future__ import annotations

import itertools
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jsonschema
import yaml

from jobs.queue import INTERACTIVE, QUEUES, make_app
from jobs.settings import Settings
from tests.images.names import ROOT, unknown_names

OURS = ("cityzones-api", "cityzones-worker", "cityzones-triton")
WITHOUT_HEALTH = {"beat", "models"}
_WORDS = {"type": "array", "items": {"type": "string"}}
_TIME = {"type": "string", "pattern": r"^\d+(s|m)$"}
_SIZE = {"type": "string", "pattern": r"^\d+(m|g)$"}
# As much of the Compose specification as these files use; anything else is a slip of the pen until it is added here.
SERVICE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["image", "restart", "mem_limit", "cpus", "logging", "user"],
    "properties": {
        "image": {"type": "string"},
        "command": _WORDS,
        "read_only": {"type": "boolean"},
        "user": {"type": "string"},
        "init": {"type": "boolean"},
        "cap_drop": _WORDS,
        "security_opt": _WORDS,
        "restart": {"enum": ["no", "unless-stopped"]},
        "logging": {"type": "object"},
        "env_file": _WORDS,
        "environment": {"type": "object", "additionalProperties": {"type": "string"}},
        "volumes": _WORDS,
        "tmpfs": _WORDS,
        "networks": _WORDS,
        "ports": _WORDS,
        "shm_size": _SIZE,
        "mem_limit": _SIZE,
        "cpus": {"anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^\$\{\w+:-[\d.]+\}$"}]},
        "stop_grace_period": _TIME,
        "depends_on": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "required": ["condition"],
                "properties": {"condition": {"enum": ["service_healthy", "service_completed_successfully"]}},
            },
        },
        "healthcheck": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "test": _WORDS,
                "interval": _TIME,
                "timeout": _TIME,
                "start_period": _TIME,
                "retries": {"type": "integer"},
                "disable": {"type": "boolean"},
            },
        },
        "deploy": {"type": "object", "additionalProperties": False, "properties": {"resources": {"type": "object"}}},
    },
}


@dataclass
class Compose:
    """One compose file, anchors resolved; one that lies over another is merged with it as Compose does."""

    name: str
    document: dict[str, Any]

    @property
    def services(self) -> dict[str, dict[str, Any]]:
        """The services by name."""
        found: dict[str, dict[str, Any]] = self.document["services"]
        return found

    def commands(self) -> list[list[str]]:
        """The commands of all workers."""
        told = [service.get("command", []) for service in self.services.values()]
        return [words for words in told if words[:1] == ["celery"] and "worker" in words]


def read_compose(over: str | None = None) -> Compose:
    """Read compose.yaml, and what lies over it."""
    document = yaml.safe_load((ROOT / "compose.yaml").read_text())
    if over is None:
        return Compose("compose.yaml", document)
    above = yaml.safe_load((ROOT / over).read_text())
    for name, told in above["services"].items():
        base = document["services"][name]
        document["services"][name] = base | told | {"volumes": [*base["volumes"], *told["volumes"]]}
    document["volumes"] |= above["volumes"]
    return Compose(over, document)


def _schema(compose: Compose) -> Iterator[str]:
    validator = jsonschema.Draft202012Validator(SERVICE)
    for name, told in compose.services.items():
        yield from (f"{name}: schema: {error.message[:200]}" for error in validator.iter_errors(told))


def _images(compose: Compose) -> Iterator[str]:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    ours = {f"{image}:{version}" for image in OURS}
    for name, told in compose.services.items():
        image = re.sub(r"^\$\{\w+:-(.*)\}$", r"\1", told["image"])
        asked = re.fullmatch(r"\$\{\w+:\?.*\}", told["image"])
        if not asked and image not in ours and not re.search(r":[\w.-]+@sha256:[0-9a-f]{64}$", image):
            yield f"{name}: image {image} is neither ours of {version} nor pinned by a digest"


def _hardened(compose: Compose) -> Iterator[str]:
    wanted = {"read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"]}
    for name, told in compose.services.items():
        yield from (f"{name}: {key} is not {value}" for key, value in wanted.items() if told.get(key) != value)
        if told.get("user", "").split(":")[0] in {"", "0", "root"}:
            yield f"{name}: user is root"


def _health(compose: Compose) -> Iterator[str]:
    for name, told in compose.services.items():
        check = told.get("healthcheck", {})
        if check.get("disable") and name not in WITHOUT_HEALTH:
            yield f"{name}: healthcheck is off"
        if "test" not in check and name not in WITHOUT_HEALTH:
            yield f"{name}: healthcheck is missing"
        for other, how in told.get("depends_on", {}).items():
            yield from _awaited(compose, name, other, how["condition"])


def _awaited(compose: Compose, name: str, other: str, condition: str) -> Iterator[str]:
    if other not in compose.services:
        yield f"{name}: depends on {other}, which is no service"
    elif condition == "service_healthy" and other in WITHOUT_HEALTH:
        yield f"{name}: depends on {other} to be healthy, which it never says"
    elif other == "models" and condition != "service_completed_successfully":
        yield f"{name}: depends on models without waiting for its end"


def _queues(compose: Compose) -> Iterator[str]:
    taken = {queue for words in compose.commands() for queue in words[words.index("-Q") + 1].split(",")}
    yield from (f"queue {queue} has no worker" for queue in (*QUEUES, INTERACTIVE) if queue not in taken)
    beats = [name for name, told in compose.services.items() if "beat" in told.get("command", [])]
    if len(beats) != 1:
        yield f"there are {len(beats)} beats, not one"


def _settings(compose: Compose) -> Iterator[str]:
    for name, told in compose.services.items():
        environment = told.get("environment", {})
        yield from (f"{name}: nothing reads {unknown}" for unknown in unknown_names(environment))
        for key, value in environment.items():
            if key.endswith(("_SECRET", "_KEY")) and not value.startswith(f"${{{key}:?"):
                yield f"{name}: {key} is written down, or may be empty"
        if told.get("env_file", [".env"]) != [".env"]:
            yield f"{name}: env_file is not .env, which stays out of the repository"


def _owned(compose: Compose) -> Iterator[str]:
    """A volume belongs to whom its folder belongs to in the image that first mounts it: ours must have the folder."""
    worker = (ROOT / "docker" / "worker.Dockerfile").read_text()
    for name, told in compose.services.items():
        for _, _, place in (volume.partition(":") for volume in told.get("volumes", [])):
            if "worker" in told["image"] and not re.search(rf"install -d [^\n]* {place.split(':')[0]}\b", worker):
                yield f"{name}: volume at {place}, which the image has not made its user's"


def _declared(compose: Compose) -> Iterator[str]:
    for name, told in compose.services.items():
        for volume in (volume.split(":")[0] for volume in told.get("volumes", [])):
            if volume not in compose.document["volumes"]:
                yield f"{name}: volume {volume} is not declared"
        for network in told.get("networks", []):
            if network not in compose.document["networks"]:
                yield f"{name}: network {network} is not declared"


def _valkey(compose: Compose) -> Iterator[str]:
    told = compose.services["valkey"]["command"]
    pairs = set(itertools.pairwise(told))
    for pair in (
        ("--appendonly", "yes"),
        ("--maxmemory-policy", "noeviction"),
        ("--requirepass", "${VALKEY_PASSWORD}"),
    ):
        if pair not in pairs:
            yield f"valkey: {' '.join(pair)} is missing"


def _reach(compose: Compose) -> Iterator[str]:
    for name, told in compose.services.items():
        if any("127.0.0.1:" not in port for port in told.get("ports", [])):
            yield f"{name}: ports are open to the network without TLS"


def _grace(compose: Compose) -> Iterator[str]:
    soft = make_app(Settings()).conf.worker_soft_shutdown_timeout
    for name, told in compose.services.items():
        if told.get("command") in compose.commands():
            grace = told.get("stop_grace_period", "0s")
            if int(grace.rstrip("s")) <= soft:
                yield f"{name}: stop_grace_period {grace} is not above the soft shutdown of {soft:g} s"


Rule = Callable[[Compose], Iterator[str]]
COMPOSE_RULES: tuple[Rule, ...] = (
    _schema,
    _images,
    _hardened,
    _health,
    _queues,
    _settings,
    _declared,
    _owned,
    _valkey,
    _reach,
    _grace,
)
