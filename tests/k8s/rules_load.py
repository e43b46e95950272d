"""Rules for load: every queue is worked off, what follows the load is told nowhere else, and nothing is cut off."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from jobs.lengths import running_key
from jobs.queue import INTERACTIVE, POOLED, QUEUES, make_app
from jobs.settings import Settings
from tests.k8s.cluster import Cluster, Pod, Rule, Thing, mebibytes, variables

_HALF_AN_HOUR = 1800


def _workers(cluster: Cluster) -> dict[str, Pod]:
    """Return what works off each queue."""
    pods = [pod for pod in cluster.pods("Deployment") if pod.labels["app.kubernetes.io/name"] == "worker"]
    return {variables(pod.container("worker"))["QUEUE"]: pod for pod in pods}


def queues_served(cluster: Cluster) -> Iterator[str]:
    workers = _workers(cluster)
    yield from (f"nothing works off the queue {queue}" for queue in {*QUEUES, INTERACTIVE} - set(workers))
    for queue, pod in workers.items():
        words = pod.container("worker")["args"]
        if words[words.index("-Q") + 1] != "$(QUEUE)" or words[words.index("-c") + 1] != "$(PROCESSES)":
            yield f"{pod.name} is not started for {queue}"
        if pod.labels.get("queue") != queue:
            yield f"{pod.name} is labelled {pod.labels.get('queue')}, and works off {queue}"


def drains(cluster: Cluster) -> Iterator[str]:
    soft = make_app(Settings()).conf.worker_soft_shutdown_timeout
    for queue, pod in _workers(cluster).items():
        if pod.spec.get("terminationGracePeriodSeconds", 30) < 2 * soft:
            yield f"workers of {queue} are killed before they have given their work back ({soft:.0f} s and some more)"
        if variables(pod.container("worker")).get("REMAP_SIGTERM") != "SIGQUIT":
            yield f"workers of {queue} wait for their task for ever when they are asked to end"
    api = cluster.pod("api")
    pause = api.container("api").get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    if pause < 5 or api.spec.get("terminationGracePeriodSeconds", 30) < pause + 60:
        yield "the API ends while requests are still sent to it"


def watched_workers(cluster: Cluster) -> Iterator[str]:
    for pod in _workers(cluster).values():
        worker = pod.container("worker")
        if str(worker["ports"][0]["containerPort"]) != variables(worker).get("CITYZONES_WORKER_PORT"):
            yield f"{pod.name} answers at another port than it is asked at"


def clock_alone(cluster: Cluster) -> Iterator[str]:
    beat = cluster.pod("beat")
    if beat.owner["spec"].get("replicas") != 1 or beat.owner["spec"].get("strategy") != {"type": "Recreate"}:
        yield "two clocks may tick at a time"
    words = beat.container("beat")["args"]
    places = [mount["mountPath"] for mount in beat.container("beat")["volumeMounts"]]
    if not any(words[words.index("--schedule") + 1].startswith(f"{place}/") for place in places):
        yield "the clock cannot write its schedule"
    if "--pidfile=" not in words:
        yield "the clock cannot write its number"
    if cluster.get("Deployment", "worker-upkeep")["spec"].get("replicas") != 1:
        yield "nobody does what the clock asks for"


def told_once(cluster: Cluster) -> Iterator[str]:
    for name, scaler in cluster.autoscaled.items():
        try:
            target = cluster.get("Deployment", name)
        except KeyError:
            yield f"{scaler['metadata']['name']} scales {name}, which is not there"
            continue
        if "replicas" in target["spec"]:
            yield f"{name} has a fixed number of replicas, which every deployment would go back to"
        low, high = _bounds(scaler)
        if not low < high:
            yield f"{name} has no room to grow: {low} to {high}"
    targets = [
        thing["spec"]["scaleTargetRef"]["name"] for thing in cluster.of("HorizontalPodAutoscaler", "ScaledObject")
    ]
    yield from (f"{name} is scaled twice" for name in set(targets) if targets.count(name) > 1)
    if targets:
        free = {pod.name for pod in cluster.pods("Deployment") if pod.owner["spec"].get("replicas") is None}
        yield from (f"{name} does not follow the load" for name in free - set(targets))


def _bounds(scaler: Thing) -> tuple[int, int]:
    spec = scaler["spec"]
    if scaler["kind"] == "ScaledObject":
        return spec["minReplicaCount"], spec["maxReplicaCount"]
    return spec["minReplicas"], spec["maxReplicas"]


def waiting_and_running(cluster: Cluster) -> Iterator[str]:
    for queue, pod in _workers(cluster).items():
        scaler = cluster.autoscaled.get(pod.name)
        if scaler is None:
            continue
        if {t["name"]: _looked_up(cluster, t) for t in scaler["spec"]["triggers"]} != {
            "waiting": ("CITYZONES_BROKER_URL", queue),
            "running": ("CITYZONES_LIVE_URL", running_key(queue)),
        }:
            yield f"{pod.name} does not follow what waits and what runs"
        told = scaler["spec"]["advanced"].get("scalingModifiers", {})
        if told.get("formula") != "waiting + running":
            yield f"{pod.name} follows the larger of what waits and what runs"
        if (
            told.get("target") != variables(pod.container("worker"))["PROCESSES"]
            or told.get("metricType") != "AverageValue"
        ):
            yield f"{pod.name} has another number of processes than it is scaled by"


def _looked_up(cluster: Cluster, trigger: Thing) -> tuple[str, str]:
    """Return the URL whose database a trigger looks into, and the key it looks at."""
    urls = cluster.secret("cityzones-redis")
    known = {urlsplit(url).path.removeprefix("/"): name for name, url in urls.items()}
    return known.get(trigger["metadata"]["databaseIndex"], "no database"), trigger["metadata"]["listName"]


def settles(cluster: Cluster) -> Iterator[str]:
    for name, scaler in cluster.autoscaled.items():
        spec = scaler["spec"]
        behavior = spec.get("behavior") or spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        if behavior["scaleDown"].get("stabilizationWindowSeconds", 0) < 300:
            yield f"{name} ends pods it will want a moment later"
        if scaler["kind"] == "ScaledObject" and spec["cooldownPeriod"] < 300:
            yield f"{name} goes to zero between two jobs"


def wakes_together(cluster: Cluster) -> Iterator[str]:
    model_server = cluster.autoscaled.get("triton")
    if model_server is None or model_server["spec"]["minReplicaCount"] > 0:
        return
    for queue in POOLED:
        pod, scaler = _workers(cluster)[queue], cluster.autoscaled[f"worker-{queue}"]
        if scaler["spec"]["minReplicaCount"]:
            yield f"a worker of {queue} is left without the model server"
        if scaler["spec"]["cooldownPeriod"] >= model_server["spec"]["cooldownPeriod"]:
            yield f"the model server goes before the workers of {queue}"
        if not any("models probe" in " ".join(c["args"]) for c in pod.spec.get("initContainers", [])):
            yield f"workers of {queue} do not wait for the model server"
        looked = {_looked_up(cluster, t)[1] for t in model_server["spec"]["triggers"] if t["type"] == "redis"}
        if not {queue, running_key(queue)} <= looked:
            yield f"work in {queue} does not wake the model server"


def authenticated(cluster: Cluster) -> Iterator[str]:
    known = {thing["metadata"]["name"] for thing in cluster.of("TriggerAuthentication")}
    tls = cluster.secret("cityzones-redis")["CITYZONES_BROKER_URL"].startswith("rediss:")
    for scaler in cluster.of("ScaledObject"):
        for trigger in scaler["spec"]["triggers"]:
            if trigger["type"] == "redis" and trigger.get("authenticationRef", {}).get("name") not in known:
                yield f"{scaler['metadata']['name']} cannot log in to Redis"
            if trigger["type"] == "redis" and (trigger["metadata"].get("enableTLS") == "true") != tls:
                yield f"{scaler['metadata']['name']} speaks another protocol than the URL"


def models_published(cluster: Cluster) -> Iterator[str]:
    job = next((pod for pod in cluster.pods("Job") if "publish-repository" in pod.containers[0]["args"]), None)
    if job is None:
        yield "nobody publishes the models"
    elif job.owner["spec"].get("ttlSecondsAfterFinished", _HALF_AN_HOUR + 1) > _HALF_AN_HOUR:
        yield "the job that publishes the models stays, and the next version cannot be applied"
    fetch = next((c for c in cluster.pod("triton").spec["initContainers"] if "fetch-repository" in c["args"]), None)
    if fetch is None:
        yield "triton has no models"
        return
    volumes = {m["name"]: m["mountPath"] for m in fetch["volumeMounts"]}
    served = {m["name"]: m["mountPath"] for m in cluster.pod("triton").container("triton")["volumeMounts"]}
    if fetch["args"][-1] != volumes.get("models") or served.get("models") != volumes.get("models"):
        yield "triton does not serve what was fetched"


def sized_as_measured(cluster: Cluster) -> Iterator[str]:
    """docs/scale.md: no process of a worker took more than 553 MiB at 1,600 km2."""
    for queue, pod in _workers(cluster).items():
        mapping = queue in POOLED
        worker = pod.container("worker")
        need = 553 * int(variables(worker)["PROCESSES"]) if mapping else 340
        if mebibytes(worker["resources"]["limits"]["memory"]) < 1.3 * need:
            yield f"{pod.name} is ended for its memory at what was measured"


RULES: tuple[Rule, ...] = (
    queues_served, drains, watched_workers, clock_alone, told_once, waiting_and_running, settles, wakes_together,
    authenticated, models_published, sized_as_measured,
)  # fmt: skip
