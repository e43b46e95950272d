"""Rules that Dockerfiles, bentofile and compose files keep; each is shown to catch what breaks it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.images.compose import COMPOSE_RULES, Compose, read_compose
from tests.images.dockerfile import DOCKERFILE_RULES, Dockerfile, read_dockerfiles
from tests.images.names import ROOT, unknown_names

Change = Callable[[Any], None]


def test_every_dockerfile_keeps_every_rule() -> None:
    files = read_dockerfiles()
    assert {file.name for file in files} == {"api.Dockerfile.j2", "worker.Dockerfile", "triton-cpu.Dockerfile"}
    assert [fault for file in files for rule in DOCKERFILE_RULES for fault in rule(file)] == []
    assert len({file.argument("BASE") for file in files}) == 1


def test_both_compose_files_keep_every_rule() -> None:
    assert [fault for rule in COMPOSE_RULES for fault in rule(read_compose())] == []
    assert [fault for rule in COMPOSE_RULES for fault in rule(read_compose("compose.gpu.yaml"))] == []


SHA = "a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b"


@pytest.mark.parametrize("name", ["api.Dockerfile.j2", "worker.Dockerfile", "triton-cpu.Dockerfile"])
@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (f"@sha256:{SHA}", "", "digest"),
        (f"3.11-slim-bookworm@sha256:{SHA}", "latest", "digest"),
        ("\nFROM ${BASE}\n", "\nFROM docker.io/library/debian:12\n", "not the argument BASE"),
        ("\nUSER 65532:65532\n", "\n", "user"),
        ("\nUSER 65532:65532\n", "\nUSER root\n", "user"),
        ("\nHEALTHCHECK ", "\n# HEALTHCHECK ", "HEALTHCHECK"),
        ("\nSTOPSIGNAL ", "\n# STOPSIGNAL ", "STOPSIGNAL"),
        ('ENTRYPOINT ["tini", "--"', 'ENTRYPOINT ["sh", "-c"', "tini"),
        ("org.opencontainers.image.revision", "revision", "label"),
        ("--require-hashes", "", "hashes"),
        ("PYTHONUNBUFFERED=1", "CITYZONES_NO_SUCH_SETTING=1", "CITYZONES_NO_SUCH_SETTING"),
        ("--gid 65532 --no-create-home", "--gid 1 --no-create-home", "useradd"),
        ("rm -rf /var/lib/apt/lists/*", "true", "apt"),
    ],
)
def test_each_rule_of_dockerfiles_catches_its_fault(name: str, old: str, new: str, says: str) -> None:
    (file,) = [file for file in read_dockerfiles() if file.name == name]
    assert old in file.text
    broken = Dockerfile(file.name, file.text.replace(old, new))
    assert any(says in fault for rule in DOCKERFILE_RULES for fault in rule(broken))


@pytest.mark.parametrize(
    ("name", "old", "new", "says"),
    [
        ("worker.Dockerfile", ', "cityzones-start"]', "]", "tini"),
        ("worker.Dockerfile", "COPY worker ", "COPY workers ", "workers"),
        ("worker.Dockerfile", "COPY worker ", "COPY tests ", "dockerignore"),
        ("worker.Dockerfile", "callbacks,", "", "callbacks"),
        ("api.Dockerfile.j2", "src/requirements/build.txt", "src/requirements/dev.txt", "bentofile"),
        ("triton-cpu.Dockerfile", "service/stack/guard.py ", "", "guard.py"),
    ],
)
def test_what_is_copied_and_run_exists(name: str, old: str, new: str, says: str) -> None:
    (file,) = [file for file in read_dockerfiles() if file.name == name]
    broken = Dockerfile(name, file.text.replace(old, new))
    assert any(says in fault for rule in DOCKERFILE_RULES for fault in rule(broken))


def _service(name: str, key: str, value: Any) -> Change:
    def change(compose: Compose) -> None:
        compose.services[name][key] = value

    return change


def _without(name: str, key: str) -> Change:
    def change(compose: Compose) -> None:
        del compose.services[name][key]

    return change


def _command(name: str, old: str, new: str) -> Change:
    def change(compose: Compose) -> None:
        told = compose.services[name]
        told["command"] = [word.replace(old, new) for word in told["command"]]

    return change


def _top(key: str, name: str) -> Change:
    def change(compose: Compose) -> None:
        del compose.document[key][name]

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_service("valkey", "image", "docker.io/valkey/valkey:9"), "valkey: image"),
        (_service("valkey", "image", "docker.io/valkey/valkey:latest"), "valkey: image"),
        (_service("api", "image", "cityzones-api:latest"), "api: image"),
        (_service("api", "image", "cityzones-api:0.0.9"), "api: image"),
        (_service("api", "privileged", True), "api: schema"),
        (_service("api", "restart", "sometimes"), "api: schema"),
        (_without("blocks", "restart"), "blocks: schema"),
        (_service("jobs", "read_only", False), "jobs: read_only"),
        (_without("triton", "user"), "triton: user"),
        (_service("triton", "user", "0:0"), "triton: user"),
        (_service("beat", "cap_drop", []), "beat: cap_drop"),
        (_service("beat", "security_opt", []), "beat: security_opt"),
        (_without("callbacks", "mem_limit"), "callbacks: schema"),
        (_without("callbacks", "cpus"), "callbacks: schema"),
        (_without("valkey", "healthcheck"), "valkey: healthcheck"),
        (_without("blocks", "healthcheck"), "blocks: healthcheck"),
        (_service("api", "healthcheck", {"disable": True}), "api: healthcheck"),
        (_service("api", "depends_on", {"redis": {"condition": "service_healthy"}}), "api: depends on redis"),
        (_service("api", "depends_on", {"beat": {"condition": "service_healthy"}}), "api: depends on beat"),
        (_service("api", "depends_on", {"models": {"condition": "service_started"}}), "api: depends on models"),
        (_command("callbacks", "callbacks,", ""), "queue callbacks"),
        (_command("interactive", "interactive", "blocks"), "queue interactive"),
        (_service("jobs", "environment", {"CITYZONES_BROKER": "redis://valkey"}), "CITYZONES_BROKER"),
        (_service("jobs", "environment", {"CITYZONES_LINK_SECRET": "0123"}), "CITYZONES_LINK_SECRET is written"),
        (_service("jobs", "volumes", ["dat:/data"]), "jobs: volume dat"),
        (_service("jobs", "volumes", ["data:/objects"]), "jobs: volume at /objects"),
        (_service("jobs", "networks", ["everywhere"]), "jobs: network everywhere"),
        (_top("volumes", "models"), "volume models"),
        (_command("valkey", "noeviction", "allkeys-lru"), "noeviction"),
        (_command("valkey", "--requirepass", "--user"), "requirepass"),
        (_command("valkey", "--appendonly", "--dbfilename"), "appendonly"),
        (_service("api", "ports", ["3000:3000"]), "api: ports"),
        (_service("jobs", "stop_grace_period", "20s"), "jobs: stop_grace_period"),
        (_without("jobs", "stop_grace_period"), "jobs: stop_grace_period"),
        (_service("api", "env_file", ["secrets.env"]), "api: env_file"),
    ],
)
def test_each_rule_of_compose_catches_its_fault(change: Change, says: str) -> None:
    compose = Compose("compose.yaml", copy.deepcopy(read_compose().document))
    change(compose)
    assert any(says in fault for rule in COMPOSE_RULES for fault in rule(compose))


def test_the_example_of_settings_names_settings_and_holds_no_secret() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    told = dict(line.lstrip("#").split("=", 1) for line in lines if "=" in line and " " not in line)
    assert unknown_names(told) == []
    assert unknown_names(["CITYZONES_LINK_SECRETS"]) == ["CITYZONES_LINK_SECRETS"]
    assert [name for name, value in told.items() if name.endswith(("_SECRET", "_KEY", "_PASSWORD")) and value] == []
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()


def test_the_bento_is_made_by_our_template_and_from_the_locks() -> None:
    told = yaml.safe_load((ROOT / "bentofile.yaml").read_text())
    assert told["docker"] == {"dockerfile_template": "./docker/api.Dockerfile.j2"}
    assert (ROOT / told["docker"]["dockerfile_template"]).is_file()
    assert told["python"] == {"requirements_txt": "./requirements/main.txt", "lock_packages": False}
    assert {"tests/", "worker/"} <= set(told["exclude"])
