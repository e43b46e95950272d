"""Rules for names: whatever one object calls by its name is there, and settings are those of jobs/settings.py."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from pydantic import ValidationError

from jobs.settings import Settings
from models import serving
from tests.k8s.cluster import ROOT, SERVERS, Cluster, Pod, Rule, Thing, matches, variables

_OURS = "CITYZONES_"


def _seconds() -> int:
    """Return how long the service lets a request take."""
    told = re.search(r'"traffic": {"timeout": (\d+)}', (ROOT / "service/service.py").read_text(encoding="utf-8"))
    assert told, "service/service.py tells its timeout in another way"
    return int(told[1])


def _settings(names: Iterator[str]) -> Iterator[str]:
    known = {f"{_OURS}{name.upper()}" for name in Settings.model_fields}
    # What runs inside Triton reads one variable of its own.
    inside = serving.MODEL_FILE.read_text(encoding="utf-8")
    yield from (name for name in names if name.startswith(_OURS) and name not in known and f'"{name}"' not in inside)


def references_exist(cluster: Cluster) -> Iterator[str]:
    maps = {thing["metadata"]["name"] for thing in cluster.of("ConfigMap")}
    for pod in cluster.pods():
        for container in pod.containers:
            where = f"{pod.name}/{container['name']}"
            for source in container.get("envFrom", []):
                if "configMapRef" in source and source["configMapRef"]["name"] not in maps:
                    yield f"{where}: there is no config map {source['configMapRef']['name']}"
                if "secretRef" in source:
                    yield from _missing(cluster, where, source["secretRef"]["name"])
            for variable in container.get("env", []):
                told = variable.get("valueFrom", {}).get("secretKeyRef")
                if told:
                    yield from _missing(cluster, where, told["name"], told["key"])


def _missing(cluster: Cluster, where: str, secret: str, key: str | None = None) -> Iterator[str]:
    try:
        keys = cluster.secret(secret)
    except KeyError:
        yield f"{where}: secrets.example.yaml has no {secret}"
        return
    if key is not None and key not in keys:
        yield f"{where}: the secret {secret} has no {key}"


def secrets_of_others_exist(cluster: Cluster) -> Iterator[str]:
    for thing in cluster.of("TriggerAuthentication"):
        for told in thing["spec"]["secretTargetRef"]:
            yield from _missing(cluster, thing["metadata"]["name"], told["name"], told["key"])
    for thing in cluster.of("ServiceMonitor"):
        for endpoint in thing["spec"]["endpoints"]:
            told = endpoint.get("authorization", {}).get("credentials", {"name": "none"})
            yield from _missing(cluster, thing["metadata"]["name"], told["name"], told.get("key"))
    for thing in cluster.of("Ingress"):
        for told in thing["spec"].get("tls", []):
            yield from _missing(cluster, thing["metadata"]["name"], told["secretName"])


def no_secret_inside(cluster: Cluster) -> Iterator[str]:
    for thing in cluster.of("Secret"):
        yield f"the secret {thing['metadata']['name']} is in the repository"
    secret = [
        f"{_OURS}{name.upper()}" for name, field in Settings.model_fields.items() if "Secret" in str(field.annotation)
    ]
    told = {*cluster.settings, *(name for pod in cluster.pods() for c in pod.containers for name in variables(c))}
    yield from (f"{name} is written out" for name in secret if name in told)
    yield from (
        f"{name} may hold a password" for name in ("CITYZONES_BROKER_URL", "CITYZONES_LIVE_URL") if name in told
    )


def settings_exist(cluster: Cluster) -> Iterator[str]:
    names = [*cluster.settings, *(key for secret in cluster.secrets for key in secret["stringData"])]
    names += [variable["name"] for pod in cluster.pods() for c in pod.containers for variable in c.get("env", [])]
    yield from (f"jobs/settings.py knows no {name}" for name in sorted(set(_settings(iter(names)))))


def settings_agree(cluster: Cluster) -> Iterator[str]:
    for pod in cluster.pods():
        for container in pod.containers:
            if not any("configMapRef" in source for source in container.get("envFrom", [])):
                continue
            environment = dict(cluster.settings) | variables(container)
            for source in container["envFrom"]:
                if "secretRef" in source:
                    environment |= cluster.secret(source["secretRef"]["name"])
            try:
                Settings.of_environment(environment)
            except ValidationError as error:
                yield f"{pod.name}/{container['name']}: {error.errors()[0]['msg']}"


def each_selects_its_own(cluster: Cluster) -> Iterator[str]:
    pods = cluster.pods(*SERVERS)
    for pod in pods:
        taken = [other.name for other in pods if matches(pod.owner["spec"]["selector"], other.labels)]
        if taken != [pod.name]:
            yield f"{pod.name} selects {taken}"
        budgets = [b for b in cluster.of("PodDisruptionBudget") if matches(b["spec"]["selector"], pod.labels)]
        if len(budgets) != 1 or budgets[0]["spec"].get("maxUnavailable", 0) < 1:
            yield f"{pod.name} has no budget of its own that lets a node be drained"
    for policy in cluster.of("NetworkPolicy"):
        if not any(matches(policy["spec"]["podSelector"], pod.labels) for pod in cluster.pods()):
            yield f"the policy {policy['metadata']['name']} is for no pod"


def ports_exist(cluster: Cluster) -> Iterator[str]:
    for service in cluster.of("Service"):
        chosen = [p for p in cluster.pods(*SERVERS) if matches({"matchLabels": service["spec"]["selector"]}, p.labels)]
        if len(chosen) != 1:
            yield f"the service {service['metadata']['name']} leads to {[pod.name for pod in chosen]}"
        for port in service["spec"]["ports"]:
            if not all(port["targetPort"] in _ports(pod) for pod in chosen):
                yield f"the service {service['metadata']['name']} leads to no port {port['targetPort']}"
    for monitor in cluster.of("PodMonitor"):
        chosen = [pod for pod in cluster.pods(*SERVERS) if matches(monitor["spec"]["selector"], pod.labels)]
        asked = [endpoint["port"] for endpoint in monitor["spec"]["podMetricsEndpoints"]]
        if not chosen or any(port not in _ports(pod) for pod in chosen for port in asked):
            yield f"the monitor {monitor['metadata']['name']} finds nothing"
    for monitor in cluster.of("ServiceMonitor"):
        found = [s for s in cluster.of("Service") if matches(monitor["spec"]["selector"], s["metadata"]["labels"])]
        asked = [endpoint["port"] for endpoint in monitor["spec"]["endpoints"]]
        if not found or any(p not in {port["name"] for port in s["spec"]["ports"]} for s in found for p in asked):
            yield f"the monitor {monitor['metadata']['name']} finds nothing"


def _ports(pod: Pod) -> set[str]:
    return {port["name"] for container in pod.containers for port in container.get("ports", [])}


def priorities_exist(cluster: Cluster) -> Iterator[str]:
    known = {thing["metadata"]["name"] for thing in cluster.of("PriorityClass")}
    for pod in cluster.pods():
        if pod.spec.get("priorityClassName", next(iter(known))) not in known:
            yield f"{pod.name}: there is no priority {pod.spec['priorityClassName']}"


def leads_in(cluster: Cluster) -> Iterator[str]:
    public = urlsplit(cluster.settings["CITYZONES_PUBLIC_URL"])
    if public.hostname != "127.0.0.1" and not cluster.of("Ingress"):
        yield "nothing leads to the API"
    for thing in cluster.of("Ingress"):
        yield from _leads_to_service(cluster, thing)
        hosts = [rule["host"] for rule in thing["spec"]["rules"]]
        covered = [host for entry in thing["spec"].get("tls", []) for host in entry["hosts"]]
        if hosts != [public.hostname] or covered != hosts or public.scheme != "https":
            yield f"links say {public.geturl()}, the ingress serves {hosts} and has certificates for {covered}"
        told = {key.rpartition("/")[2]: value for key, value in thing["metadata"].get("annotations", {}).items()}
        if told.get("proxy-body-size") != "0" or told.get("proxy-request-buffering") != "off":
            yield "the ingress holds uploads up"
        if told.get("proxy-buffering") != "off":
            yield "the ingress holds events up"
        if any(int(told.get(f"proxy-{way}-timeout", 60)) < _seconds() for way in ("read", "send")):
            yield "the ingress gives up before the service does"


def _leads_to_service(cluster: Cluster, ingress: Thing) -> Iterator[str]:
    for path in (path for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]):
        told = path["backend"]["service"]
        try:
            ports = cluster.get("Service", told["name"])["spec"]["ports"]
        except KeyError:
            ports = []
        if told["port"]["name"] not in {port["name"] for port in ports}:
            yield f"the ingress leads to {told['name']}, which does not answer there"


RULES: tuple[Rule, ...] = (
    references_exist, secrets_of_others_exist, no_secret_inside, settings_exist, settings_agree, each_selects_its_own,
    ports_exist, priorities_exist, leads_in,
)  # fmt: skip
