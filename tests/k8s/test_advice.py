"""Checkov finds nothing in the manifests but what .checkov.yaml skips with a reason."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

import yaml

from tests.k8s.cluster import OVERLAYS, ROOT, Cluster, render
from tests.missing import without

CHECKOV: Final = ROOT / ".checkov/bin/checkov"


def _advice(folder: Path, *clusters: Cluster) -> subprocess.CompletedProcess[str]:
    if not CHECKOV.exists():
        without("Checkov is not here: make k8s-advice builds its environment")
    for number, cluster in enumerate(clusters):
        text = yaml.safe_dump_all(cluster.objects)
        (folder / f"{number}.yaml").write_text(text, encoding="utf-8")
    command = [str(CHECKOV), "--directory", str(folder), "--config-file", str(ROOT / ".checkov.yaml")]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_no_advice_is_left(tmp_path: Path) -> None:
    done = _advice(tmp_path, *map(render, OVERLAYS))
    assert done.returncode == 0, done.stdout
    assert "Failed checks: 0" in done.stdout


def test_advice_is_heard(tmp_path: Path) -> None:
    spoilt = render("prod-cpu")
    spoilt.pod("api").container("api")["securityContext"]["privileged"] = True
    done = _advice(tmp_path, spoilt)
    assert done.returncode != 0
    assert "CKV_K8S_16" in done.stdout


def test_every_skip_has_its_reason() -> None:
    skipped = (ROOT / ".checkov.yaml").read_text(encoding="utf-8").partition("skip-check:\n")[2].splitlines()
    assert skipped
    assert all(line.startswith("  - CKV_K8S_") and len(line.partition("#")[2]) > 20 for line in skipped)
