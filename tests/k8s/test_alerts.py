"""Alerts and dashboard: Prometheus reads them, they speak of metrics that exist, and alerts fire when they should."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

from service.stack.embedded import EmbeddedStack
from tests.k8s.cluster import ROOT, render, tool

PLAYED: Final = Path(__file__).with_name("alerts.yaml")
# What other programs count: the scraper itself, and kube-state-metrics.
OTHERS: Final = {"up", "kube_pod_container_status_restarts_total"}
ON_GPUS: Final = {"nv_gpu_utilization"}
_PARTS: Final = ("_bucket", "_count", "_sum", "_total")


def _rules() -> dict[str, Any]:
    spec: dict[str, Any] = render("prod-cpu").get("PrometheusRule", "cityzones")["spec"]
    return spec


def _alerts(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [rule for group in spec["groups"] for rule in group["rules"]]


def _dashboard() -> dict[str, Any]:
    config = render("prod-cpu").get("ConfigMap", "cityzones-dashboard")
    assert config["metadata"]["labels"]["grafana_dashboard"] == "1"
    board: dict[str, Any] = json.loads(config["data"]["cityzones.json"])
    return board


def _queries() -> Iterator[str]:
    yield from (rule["expr"] for rule in _alerts(_rules()))
    yield from (target["expr"] for panel in _dashboard()["panels"] for target in panel["targets"])
    for overlay in ("prod-cpu", "prod-gpu"):
        for thing in render(overlay).of("ScaledObject"):
            yield from (t["metadata"]["query"] for t in thing["spec"]["triggers"] if t["type"] == "prometheus")


def _metrics() -> set[str]:
    return {name for query in _queries() for name in re.findall(r"([a-zA-Z_]+)\{", query)}


def _base(name: str) -> str:
    for part in _PARTS:
        name = name.removesuffix(part)
    return name


def _promtool(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([tool("promtool"), *words], cwd=folder, capture_output=True, text=True, check=False)


def _write(folder: Path, spec: dict[str, Any]) -> None:
    (folder / "rules.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
    (folder / "alerts.yaml").write_bytes(PLAYED.read_bytes())


def test_prometheus_reads_the_rules(tmp_path: Path) -> None:
    _write(tmp_path, _rules())
    done = _promtool(tmp_path, "check", "rules", "--lint=all", "--lint-fatal", "rules.yaml")
    assert done.returncode == 0, done.stderr + done.stdout


def test_prometheus_reads_every_query(tmp_path: Path) -> None:
    records = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(_queries())]
    _write(tmp_path, {"groups": [{"name": "queries", "rules": records}]})
    done = _promtool(tmp_path, "check", "rules", "rules.yaml")
    assert done.returncode == 0, done.stderr + done.stdout


def test_alerts_fire_and_are_silent(tmp_path: Path) -> None:
    _write(tmp_path, _rules())
    done = _promtool(tmp_path, "test", "rules", "alerts.yaml")
    assert done.returncode == 0, done.stderr + done.stdout


def test_an_alert_that_never_fires_is_found(tmp_path: Path) -> None:
    played = []
    for number, alert in enumerate(_alerts(_rules())):
        spec = _rules()
        _alerts(spec)[number]["expr"] = "vector(1) > 2"
        folder = tmp_path / str(alert["alert"])
        folder.mkdir()
        _write(folder, spec)
        played.append(f"{folder.name}/alerts.yaml")
    told = _promtool(tmp_path, "test", "rules", *played)
    assert told.returncode != 0
    assert told.stdout.count("Unit Testing") == len(played)
    assert "SUCCESS" not in told.stdout


def test_an_alert_that_always_fires_is_found(tmp_path: Path) -> None:
    spec = _rules()
    _alerts(spec)[0]["expr"] = "vector(1)"
    _write(tmp_path, spec)
    assert _promtool(tmp_path, "test", "rules", "alerts.yaml").returncode != 0


def test_every_alert_is_played() -> None:
    played = PLAYED.read_text(encoding="utf-8")
    assert set(re.findall(r'alertname="(\w+)"', played)) == {rule["alert"] for rule in _alerts(_rules())}


def test_our_metrics_are_counted() -> None:
    rooms = [path for room in ("jobs", "service", "worker") for path in (ROOT / room).rglob("*.py")]
    code = "\n".join(path.read_text(encoding="utf-8") for path in rooms)
    ours = {_base(name) for name in _metrics() if name.startswith("cityzones_")}
    assert len(ours) > 5
    assert {name for name in ours if f'"{name}"' not in code} == set()


def test_metrics_of_the_model_server_are_its_own(stack: EmbeddedStack) -> None:
    assert stack.triton is not None
    told = httpx.get(stack.triton.metrics_url).text
    theirs = {name for name in _metrics() if name.startswith("nv_")} - ON_GPUS
    assert theirs
    assert {name for name in theirs if f"\n{name}{{" not in told} == set()


def test_metrics_of_others_are_known() -> None:
    assert {name for name in _metrics() if not name.startswith(("cityzones_", "nv_"))} == OTHERS


def test_panels_do_not_overlap() -> None:
    board = _dashboard()
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
    assert len(set(places)) == len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    assert all(0 <= x <= 24 - panel["gridPos"]["w"] for panel, (x, _) in zip(board["panels"], places, strict=True))
