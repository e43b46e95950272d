"""Rules for pods: what they may, what they need, and how one sees that they work."""

from __future__ import annotations

import re
from collections.abc import Iterator

from models import serving
from tests.k8s.cluster import NAMESPACE, SERVERS, Cluster, Pod, Rule, Thing, matches, mebibytes

_CLUSTER_WIDE = {"Namespace", "PriorityClass"}
_PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


def one_namespace(cluster: Cluster) -> Iterator[str]:
    labels = cluster.get("Namespace", NAMESPACE)["metadata"].get("labels", {})
    if labels.get("pod-security.kubernetes.io/enforce") != "restricted":
        yield "the namespace takes pods that are not restricted"
    for thing in cluster.objects:
        if thing["kind"] not in _CLUSTER_WIDE and thing["metadata"].get("namespace") != NAMESPACE:
            yield f"{thing['kind']}/{thing['metadata']['name']} is not in {NAMESPACE}"


def locked_down(cluster: Cluster) -> Iterator[str]:
    for pod in cluster.pods():
        context = pod.spec.get("securityContext", {})
        if not context.get("runAsNonRoot") or not context.get("runAsUser"):
            yield f"{pod.name} may run as root"
        if context.get("seccompProfile") != {"type": "RuntimeDefault"}:
            yield f"{pod.name} may make any system call"
        if any(pod.spec.get(host) for host in ("hostNetwork", "hostPID", "hostIPC")):
            yield f"{pod.name} shares the node's namespaces"
        if any("hostPath" in volume for volume in pod.spec.get("volumes", [])):
            yield f"{pod.name} mounts the node's files"
        for container in pod.containers:
            if container.get("securityContext") != {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }:
                yield f"{pod.name}/{container['name']} may do more than it needs"


def tells_nothing(cluster: Cluster) -> Iterator[str]:
    accounts = {thing["metadata"]["name"] for thing in cluster.of("ServiceAccount")}
    for pod in cluster.pods():
        if pod.spec.get("automountServiceAccountToken") is not False:
            yield f"{pod.name} gets a key to the cluster"
        if pod.spec.get("enableServiceLinks") is not False:
            yield f"{pod.name} gets variables of services, which settings could be mistaken for"
        if pod.spec.get("serviceAccountName") not in accounts:
            yield f"{pod.name} runs as an account that is not there"


def images_pinned(cluster: Cluster) -> Iterator[str]:
    for pod in cluster.pods():
        for container in pod.containers:
            tag = re.search(r":([\w.-]+)$|@sha256:[0-9a-f]{64}$", container["image"])
            if tag is None or tag[1] == "latest":
                yield f"{pod.name}/{container['name']}: {container['image']} is whatever it is that day"


def resources_told(cluster: Cluster) -> Iterator[str]:
    for pod in cluster.pods():
        for container in pod.containers:
            where, told = f"{pod.name}/{container['name']}", container.get("resources", {})
            requests, limits = told.get("requests", {}), told.get("limits", {})
            if not {"cpu", "memory"} <= set(requests) or "memory" not in limits:
                yield f"{where} does not say what it needs"
            elif mebibytes(requests["memory"]) > mebibytes(limits["memory"]):
                yield f"{where} asks for more memory than it may have"


def probed(cluster: Cluster) -> Iterator[str]:
    for pod in cluster.pods(*SERVERS):
        ports = {port["containerPort"] for container in pod.containers for port in container.get("ports", [])}
        for container in pod.spec["containers"]:
            where = f"{pod.name}/{container['name']}"
            for kind in _PROBES if container.get("ports") else ("livenessProbe",):
                if kind not in container:
                    yield f"{where} has no {kind}"
            named = {port["name"] for port in container.get("ports", [])}
            for probe in (container[kind] for kind in _PROBES if kind in container):
                port = (probe.get("httpGet") or probe.get("tcpSocket") or {}).get("port")
                if port is not None and port not in (named if isinstance(port, str) else ports):
                    yield f"{where} is probed at port {port}, which nothing listens on"


def volumes_exist(cluster: Cluster) -> Iterator[str]:
    claims = {thing["metadata"]["name"] for thing in cluster.of("PersistentVolumeClaim")}
    for pod in cluster.pods():
        templates = [claim["metadata"]["name"] for claim in pod.owner["spec"].get("volumeClaimTemplates", [])]
        volumes = {volume["name"] for volume in pod.spec.get("volumes", [])} | set(templates)
        mounted = {mount["name"] for container in pod.containers for mount in container.get("volumeMounts", [])}
        if mounted != volumes:
            yield f"{pod.name}: volumes {sorted(volumes)}, mounted are {sorted(mounted)}"
        for volume in pod.spec.get("volumes", []):
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            if claim and claim not in claims:
                yield f"{pod.name} mounts the claim {claim}, which is not there"
            if "emptyDir" in volume and "sizeLimit" not in volume["emptyDir"]:
                yield f"{pod.name} may fill the node's disk with {volume['name']}"


def room_to_write(cluster: Cluster) -> Iterator[str]:
    for pod in cluster.pods():
        for container in pod.containers:
            paths = {mount["mountPath"] for mount in container.get("volumeMounts", [])}
            if "/cityzones/" in container["image"] and container["name"] != "bucket" and "/tmp" not in paths:
                yield f"{pod.name}/{container['name']} has no /tmp to write to"
            if {"worker", "api"} & {container["name"]} and cluster.settings["CITYZONES_SCRATCH"] not in paths:
                yield f"{pod.name}/{container['name']} has no scratch to write to"


def spread(cluster: Cluster) -> Iterator[str]:
    for pod in cluster.pods("Deployment"):
        told = {
            constraint["topologyKey"]
            for constraint in pod.spec.get("topologySpreadConstraints", [])
            if matches(constraint["labelSelector"], pod.labels)
        }
        if pod.owner["spec"].get("replicas") != 1 and told != {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}:
            yield f"{pod.name}: one zone or one node may hold all of them"


def shares_memory(cluster: Cluster) -> Iterator[str]:
    pod = cluster.pod("triton")
    triton = pod.container("triton")
    mounts = {mount["mountPath"]: mount["name"] for mount in triton["volumeMounts"]}
    volume = next((v for v in pod.spec["volumes"] if v["name"] == mounts.get("/dev/shm")), {})
    room = volume.get("emptyDir", {})
    if room.get("medium") != "Memory":
        yield "triton has the 64 MiB of /dev/shm that containers have by default"
    elif mebibytes(room["sizeLimit"]) > mebibytes(triton["resources"]["limits"]["memory"]) / 2:
        yield "shared memory counts as memory, and leaves triton too little"


def asks_for_answers(cluster: Cluster) -> Iterator[str]:
    pod = cluster.pod("triton")
    asking = next((c for c in pod.spec["initContainers"] if c.get("restartPolicy") == "Always"), None)
    if asking is None:
        yield "nothing asks triton's models for a real answer"
        return
    port = asking["args"][asking["args"].index("--serve") + 1]
    for kind, path in {"startupProbe": "/ready", "readinessProbe": "/ready", "livenessProbe": "/live"}.items():
        if pod.container("triton")[kind].get("httpGet") != {"path": path, "port": int(port)}:
            yield f"triton's {kind} does not ask for an answer of its models"


def on_gpus(cluster: Cluster) -> Iterator[str]:
    for pod in cluster.pods():
        for container in pod.containers:
            asked = "nvidia.com/gpu" in container.get("resources", {}).get("limits", {})
            if asked != ("nvidia" in container["image"]):
                yield f"{pod.name}/{container['name']}: a GPU and the image for it go together"
            elif asked:
                yield from _on_gpu(pod, container)


def _on_gpu(pod: Pod, container: Thing) -> Iterator[str]:
    if not any(toleration["key"] == "nvidia.com/gpu" for toleration in pod.spec.get("tolerations", [])):
        yield f"{pod.name} is kept off nodes with GPUs"
    if "nodeAffinity" not in pod.spec.get("affinity", {}):
        yield f"{pod.name} does not look for nodes with GPUs"
    if "--model-config-name=gpu" not in container["args"]:
        yield f"{pod.name} does not run what models/serving.py writes for GPUs"
    paths = [mount["mountPath"] for mount in container["volumeMounts"]]
    if not any(f'"{path}"' in _serving_source() for path in paths if "tensorrt" in path):
        yield f"{pod.name} does not keep engines where models/serving.py says they are"
    startup = container["startupProbe"]
    if startup["periodSeconds"] * startup["failureThreshold"] < 1200:
        yield f"{pod.name} is ended before its engines are built"


def _serving_source() -> str:
    with open(serving.__file__, encoding="utf-8") as file:  # noqa: PTH123
        return file.read()


RULES: tuple[Rule, ...] = (
    one_namespace, locked_down, tells_nothing, images_pinned, resources_told, probed, volumes_exist, room_to_write,
    spread, shares_memory, asks_for_answers, on_gpus,
)  # fmt: skip
