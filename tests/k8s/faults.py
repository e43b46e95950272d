"""Faults planted into rendered objects, each with the rule that must catch it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.k8s import rules_load as load
from tests.k8s import rules_names as names
from tests.k8s import rules_network as network
from tests.k8s import rules_pods as pods
from tests.k8s.cluster import Cluster, Fault, Rule, Thing

FAULTS: list[tuple[Rule, str, Fault]] = []
Plant = Callable[[Cluster], Any]


def _fault(rule: Rule, name: str, plant: Plant, overlay: str = "prod-gpu") -> None:
    def fault(cluster: Cluster) -> None:
        plant(cluster)

    fault.__name__ = name
    FAULTS.append((rule, overlay, fault))


def _container(cluster: Cluster, pod: str, container: str) -> Thing:
    return cluster.pod(pod).container(container)


def _worker(cluster: Cluster, queue: str = "blocks") -> Thing:
    return _container(cluster, f"worker-{queue}", "worker")


def _drop(cluster: Cluster, kind: str, name: str) -> None:
    cluster.objects.remove(cluster.get(kind, name))


def _variable(container: Thing, name: str, value: str) -> None:
    next(v for v in container["env"] if v["name"] == name)["value"] = value


def _scaler(cluster: Cluster, name: str) -> Thing:
    return cluster.get("ScaledObject", name)["spec"]


def _egress(cluster: Cluster, name: str) -> Thing:
    return cluster.get("NetworkPolicy", name)["spec"]["egress"][0]


def _triton(cluster: Cluster) -> Thing:
    return _container(cluster, "triton", "triton")


def _of_pods() -> None:
    _fault(pods.one_namespace, "elsewhere", lambda c: c.get("Service", "api")["metadata"].update(namespace="default"))
    _fault(pods.one_namespace, "lax", lambda c: c.get("Namespace", "cityzones")["metadata"].pop("labels"))
    _fault(pods.locked_down, "root", lambda c: c.pod("api").spec["securityContext"].update(runAsUser=0))
    _fault(pods.locked_down, "system_calls", lambda c: c.pod("api").spec["securityContext"].pop("seccompProfile"))
    _fault(pods.locked_down, "writable", lambda c: _triton(c)["securityContext"].update(readOnlyRootFilesystem=False))
    _fault(
        pods.locked_down,
        "capability",
        lambda c: _worker(c)["securityContext"]["capabilities"].update(add=["SYS_PTRACE"]),
    )
    _fault(pods.locked_down, "init", lambda c: _container(c, "triton", "fetch").pop("securityContext"))
    _fault(
        pods.locked_down,
        "node_files",
        lambda c: c.pod("beat").spec["volumes"].append({"name": "x", "hostPath": {"path": "/"}}),
    )
    _fault(pods.tells_nothing, "token", lambda c: c.pod("beat").spec.update(automountServiceAccountToken=True))
    _fault(pods.tells_nothing, "links", lambda c: c.pod("api").spec.pop("enableServiceLinks"))
    _fault(pods.tells_nothing, "account", lambda c: c.pod("api").spec.update(serviceAccountName="citizens"))
    _fault(
        pods.images_pinned, "latest", lambda c: _worker(c).update(image="registry.example.org/cityzones/worker:latest")
    )
    _fault(pods.images_pinned, "bare", lambda c: _worker(c).update(image="cityzones-worker"))
    _fault(pods.resources_told, "nothing", lambda c: _container(c, "triton", "probe").pop("resources"))
    _fault(pods.resources_told, "no_limit", lambda c: _worker(c)["resources"].pop("limits"))
    _fault(pods.resources_told, "more", lambda c: _worker(c)["resources"]["requests"].update(memory="9Gi"))
    _fault(pods.probed, "unseen", lambda c: _worker(c).pop("livenessProbe"))
    _fault(pods.probed, "clock", lambda c: _container(c, "beat", "beat").pop("livenessProbe"))
    _fault(pods.probed, "name", lambda c: _worker(c)["readinessProbe"]["httpGet"].update(port="http"))
    _fault(pods.probed, "number", lambda c: _triton(c)["startupProbe"]["httpGet"].update(port=8091))
    _fault(pods.volumes_exist, "unmounted", lambda c: _worker(c)["volumeMounts"].pop())
    _fault(pods.volumes_exist, "claim", lambda c: _drop(c, "PersistentVolumeClaim", "tensorrt-engines"))
    _fault(pods.volumes_exist, "endless", lambda c: c.pod("api").spec["volumes"][0].update(emptyDir={}))
    _fault(pods.room_to_write, "tmp", lambda c: _container(c, "publish-models", "publish").update(volumeMounts=[]))
    _fault(pods.room_to_write, "scratch", lambda c: c.settings.update(CITYZONES_SCRATCH="/var/scratch"))
    _fault(pods.spread, "one_zone", lambda c: c.pod("worker-jobs").spec.pop("topologySpreadConstraints"))
    _fault(
        pods.spread,
        "others",
        lambda c: c.pod("api").spec["topologySpreadConstraints"][0].update(labelSelector={"matchLabels": {"a": "b"}}),
    )
    _fault(pods.shares_memory, "disk", lambda c: _volume(c, "triton", "memory")["emptyDir"].pop("medium"))
    _fault(
        pods.shares_memory, "all_of_it", lambda c: _volume(c, "triton", "memory")["emptyDir"].update(sizeLimit="8Gi")
    )
    _fault(
        pods.asks_for_answers,
        "own_word",
        lambda c: _triton(c)["readinessProbe"].update(httpGet={"path": "/v2/health/ready", "port": 8000}),
    )
    _fault(pods.asks_for_answers, "before", lambda c: _container(c, "triton", "probe").pop("restartPolicy"))
    _fault(pods.on_gpus, "cpu_config", lambda c: _triton(c)["args"].remove("--model-config-name=gpu"))
    _fault(pods.on_gpus, "tainted", lambda c: c.pod("triton").spec.pop("tolerations"))
    _fault(pods.on_gpus, "anywhere", lambda c: c.pod("triton").spec.pop("affinity"))
    _fault(pods.on_gpus, "no_gpu", lambda c: _triton(c)["resources"]["limits"].pop("nvidia.com/gpu"))
    _fault(pods.on_gpus, "engines", lambda c: _mount(_triton(c), "engines").update(mountPath="/var/cache/tensorrt"))
    _fault(pods.on_gpus, "hasty", lambda c: _triton(c)["startupProbe"].update(failureThreshold=10))


def _volume(cluster: Cluster, pod: str, name: str) -> Thing:
    return next(volume for volume in cluster.pod(pod).spec["volumes"] if volume["name"] == name)


def _mount(container: Thing, name: str) -> Thing:
    return next(mount for mount in container["volumeMounts"] if mount["name"] == name)


def _of_references() -> None:
    _fault(names.references_exist, "map", lambda c: _worker(c)["envFrom"][0]["configMapRef"].update(name="settings"))
    _fault(names.references_exist, "secret", lambda c: _worker(c)["envFrom"][1]["secretRef"].update(name="redis"))
    _fault(
        names.references_exist,
        "key",
        lambda c: _container(c, "valkey", "valkey")["env"][0]["valueFrom"]["secretKeyRef"].update(key="pw"),
        "dev",
    )
    _fault(
        names.secrets_of_others_exist,
        "keda",
        lambda c: c.get("TriggerAuthentication", "redis")["spec"]["secretTargetRef"][0].update(key="host"),
    )
    _fault(
        names.secrets_of_others_exist,
        "scraper",
        lambda c: c.get("ServiceMonitor", "api")["spec"]["endpoints"][0].pop("authorization"),
    )
    _fault(
        names.secrets_of_others_exist,
        "tls",
        lambda c: c.get("Ingress", "api")["spec"]["tls"][0].update(secretName="tls"),
    )
    _fault(
        names.no_secret_inside,
        "object",
        lambda c: c.objects.append({"kind": "Secret", "metadata": {"name": "s", "namespace": "cityzones"}}),
    )
    _fault(names.no_secret_inside, "written_out", lambda c: c.settings.update(CITYZONES_LINK_SECRET="0" * 32))
    _fault(
        names.no_secret_inside,
        "password",
        lambda c: _worker(c)["env"].append({"name": "CITYZONES_BROKER_URL", "value": "redis://:secret@valkey"}),
    )
    _fault(names.priorities_exist, "priority", lambda c: _drop(c, "PriorityClass", "cityzones-serving"))


def _of_settings() -> None:
    _fault(names.settings_exist, "misspelt", lambda c: c.settings.update(CITYZONES_TRITON_ADDRESS="triton:8001"))
    _fault(
        names.settings_exist, "variable", lambda c: _worker(c)["env"].append({"name": "CITYZONES_PORT", "value": "1"})
    )
    _fault(names.settings_agree, "value", lambda c: c.settings.update(CITYZONES_TRITON_SHARED_MEMORY="maybe"))
    _fault(names.settings_agree, "open", lambda c: c.settings.update(CITYZONES_AUTH="open"))
    _fault(
        names.settings_agree, "half_a_key", lambda c: c.secret("cityzones-storage").pop("CITYZONES_S3_ACCESS_KEY_ID")
    )


def _of_selectors() -> None:
    _fault(
        names.each_selects_its_own,
        "two",
        lambda c: c.get("Deployment", "worker-jobs")["spec"]["selector"]["matchLabels"].pop("queue"),
    )
    _fault(names.each_selects_its_own, "none", lambda c: c.pod("api").labels.update({"app.kubernetes.io/name": "apis"}))
    _fault(names.each_selects_its_own, "no_budget", lambda c: _drop(c, "PodDisruptionBudget", "worker-jobs"))
    _fault(
        names.each_selects_its_own,
        "undrainable",
        lambda c: c.get("PodDisruptionBudget", "beat")["spec"].update(maxUnavailable=0),
    )
    _fault(
        names.each_selects_its_own,
        "policy",
        lambda c: c.get("NetworkPolicy", "to-triton")["spec"]["podSelector"]["matchLabels"].update(
            {"to-triton": "yes"}
        ),
    )
    _fault(
        names.ports_exist, "port", lambda c: c.get("Service", "triton")["spec"]["ports"][0].update(targetPort="grpcs")
    )
    _fault(
        names.ports_exist,
        "nobody",
        lambda c: c.get("Service", "api")["spec"]["selector"].update({"app.kubernetes.io/name": "web"}),
    )
    _fault(
        names.ports_exist,
        "pod_monitor",
        lambda c: c.get("PodMonitor", "workers")["spec"]["podMetricsEndpoints"][0].update(port="http"),
    )
    _fault(
        names.ports_exist,
        "monitor",
        lambda c: c.get("ServiceMonitor", "api")["spec"]["endpoints"][0].update(port="web"),
    )


def _of_ingress() -> None:
    _fault(names.leads_in, "body", lambda c: _annotations(c).pop("nginx.ingress.kubernetes.io/proxy-body-size"))
    _fault(
        names.leads_in,
        "events",
        lambda c: _annotations(c).update({"nginx.ingress.kubernetes.io/proxy-buffering": "on"}),
    )
    _fault(
        names.leads_in,
        "patience",
        lambda c: _annotations(c).update({"nginx.ingress.kubernetes.io/proxy-read-timeout": "60"}),
    )
    _fault(names.leads_in, "host", lambda c: c.settings.update(CITYZONES_PUBLIC_URL="https://other.example.org"))
    _fault(names.leads_in, "plain", lambda c: c.get("Ingress", "api")["spec"].pop("tls"))
    _fault(names.leads_in, "service", lambda c: _drop(c, "Service", "api"))
    _fault(names.leads_in, "no_door", lambda c: _drop(c, "Ingress", "api"))


def _annotations(cluster: Cluster) -> Thing:
    return cluster.get("Ingress", "api")["metadata"]["annotations"]


def _of_load() -> None:
    _fault(load.queues_served, "forgotten", lambda c: _drop(c, "Deployment", "worker-callbacks"))
    _fault(load.queues_served, "other", lambda c: _variable(_worker(c), "QUEUE", "block"))
    _fault(load.queues_served, "all", lambda c: _worker(c).update(args=["celery", "worker", "-Q", "jobs", "-c", "2"]))
    _fault(load.drains, "default_grace", lambda c: c.pod("worker-jobs").spec.pop("terminationGracePeriodSeconds"))
    _fault(load.drains, "warm", lambda c: _variable(_worker(c), "REMAP_SIGTERM", "SIGTERM"))
    _fault(load.drains, "at_once", lambda c: _container(c, "api", "api").pop("lifecycle"))
    _fault(load.watched_workers, "port", lambda c: _variable(_worker(c), "CITYZONES_WORKER_PORT", "9000"))
    _fault(load.clock_alone, "two", lambda c: c.get("Deployment", "beat")["spec"].update(replicas=2))
    _fault(load.clock_alone, "overlap", lambda c: c.get("Deployment", "beat")["spec"].pop("strategy"))
    _fault(
        load.clock_alone,
        "schedule",
        lambda c: _container(c, "beat", "beat").update(args=["beat", "--schedule", "/var/schedule", "--pidfile="]),
    )
    _fault(load.clock_alone, "number", lambda c: _container(c, "beat", "beat")["args"].remove("--pidfile="))
    _fault(load.clock_alone, "nobody", lambda c: c.get("Deployment", "worker-upkeep")["spec"].update(replicas=0))
    _fault(load.told_once, "pinned", lambda c: c.get("Deployment", "worker-blocks")["spec"].update(replicas=3))
    _fault(load.told_once, "gone", lambda c: _drop(c, "Deployment", "worker-interactive"))
    _fault(load.told_once, "no_room", lambda c: _scaler(c, "worker-jobs").update(maxReplicaCount=0))
    _fault(load.told_once, "twice", lambda c: _scaler(c, "worker-jobs")["scaleTargetRef"].update(name="worker-blocks"))
    _fault(load.told_once, "fixed", lambda c: _drop(c, "HorizontalPodAutoscaler", "api"))
    _fault(
        load.waiting_and_running,
        "queue",
        lambda c: _scaler(c, "worker-jobs")["triggers"][0]["metadata"].update(listName="blocks"),
    )
    _fault(
        load.waiting_and_running,
        "database",
        lambda c: _scaler(c, "worker-jobs")["triggers"][1]["metadata"].update(databaseIndex="0"),
    )
    _fault(load.waiting_and_running, "larger", lambda c: _scaler(c, "worker-jobs")["advanced"].pop("scalingModifiers"))
    _fault(load.waiting_and_running, "processes", lambda c: _variable(_worker(c), "PROCESSES", "8"))
    _fault(load.waiting_and_running, "waiting_only", lambda c: _scaler(c, "worker-callbacks")["triggers"].pop())
    _fault(
        load.settles,
        "worker",
        lambda c: _behavior(c, "worker-jobs").pop("scaleDown") and _behavior(c, "worker-jobs").update(scaleDown={}),
    )
    _fault(load.settles, "hasty", lambda c: _scaler(c, "triton").update(cooldownPeriod=30))
    _fault(load.wakes_together, "warm", lambda c: _scaler(c, "worker-interactive").update(minReplicaCount=1))
    _fault(load.wakes_together, "sooner", lambda c: _scaler(c, "triton").update(cooldownPeriod=300))
    _fault(load.wakes_together, "impatient", lambda c: c.pod("worker-blocks").spec.pop("initContainers"))
    _fault(load.wakes_together, "asleep", lambda c: _scaler(c, "triton")["triggers"].pop())
    _fault(load.authenticated, "who", lambda c: _scaler(c, "worker-jobs")["triggers"][0].pop("authenticationRef"))
    _fault(load.authenticated, "tls", lambda c: _scaler(c, "worker-jobs")["triggers"][0]["metadata"].pop("enableTLS"))
    _fault(load.models_published, "nobody", lambda c: _drop(c, "Job", "publish-models"))
    _fault(
        load.models_published, "stays", lambda c: c.get("Job", "publish-models")["spec"].pop("ttlSecondsAfterFinished")
    )
    _fault(load.models_published, "elsewhere", lambda c: _mount(_triton(c), "models").update(mountPath="/repository"))
    _fault(load.sized_as_measured, "small", lambda c: _worker(c)["resources"]["limits"].update(memory="1Gi"))


def _behavior(cluster: Cluster, name: str) -> Thing:
    return _scaler(cluster, name)["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]


def _of_network() -> None:
    _fault(network.denied_by_default, "open", lambda c: _drop(c, "NetworkPolicy", "default-deny"))
    _fault(
        network.denied_by_default,
        "one_way",
        lambda c: c.get("NetworkPolicy", "default-deny")["spec"].update(policyTypes=["Egress"]),
    )
    _fault(network.names_resolved, "tcp", lambda c: _egress(c, "to-dns")["ports"].pop())
    _fault(network.redis_reached, "label", lambda c: c.pod("beat").labels.pop("to-redis"))
    _fault(
        network.redis_reached,
        "door",
        lambda c: _drop(c, "NetworkPolicy", "valkey") or _egress(c, "to-redis")["ports"][0].update(port=6380),
        "dev",
    )
    _fault(network.redis_reached, "unsaid", lambda c: _drop(c, "NetworkPolicy", "to-redis"))
    _fault(network.storage_reached, "label", lambda c: c.pod("triton").labels.pop("to-storage"))
    _fault(
        network.storage_reached, "endpoint", lambda c: c.settings.update(CITYZONES_S3_ENDPOINT="http://s3:9001"), "dev"
    )
    _fault(network.storage_reached, "door", lambda c: c.get("NetworkPolicy", "s3")["spec"].update(ingress=[]), "dev")
    _fault(network.triton_reached, "port", lambda c: c.settings.update(CITYZONES_TRITON_URL="triton:8000"))
    _fault(network.triton_reached, "label", lambda c: c.pod("worker-blocks").labels.pop("to-triton"))
    _fault(network.triton_reached, "anybody", lambda c: c.pod("beat").labels.update({"to-triton": "allowed"}))
    _fault(network.internet_reached, "cut_off", lambda c: c.pod("worker-callbacks").labels.pop("to-internet"))
    _fault(network.internet_reached, "needless", lambda c: c.pod("triton").labels.update({"to-internet": "allowed"}))
    _fault(
        network.inside_hidden,
        "metadata",
        lambda c: _egress(c, "to-internet")["to"][0]["ipBlock"]["except"].remove("169.254.0.0/16"),
    )
    _fault(network.inside_hidden, "inside", lambda c: _egress(c, "to-internet")["to"][0]["ipBlock"].pop("except"))
    _fault(network.inside_hidden, "six", lambda c: _egress(c, "to-internet")["to"][1]["ipBlock"].update(cidr="::/0"))
    _fault(network.scraped, "policy", lambda c: _drop(c, "NetworkPolicy", "monitoring-to-triton"))
    _fault(
        network.strangers_kept_out,
        "anybody",
        lambda c: c.get("NetworkPolicy", "triton")["spec"]["ingress"][0]["from"].append(
            {"namespaceSelector": {}, "podSelector": {}}
        ),
    )
    _fault(network.strangers_kept_out, "controller", lambda c: _drop(c, "NetworkPolicy", "ingress-to-api"))


for _plant in (_of_pods, _of_references, _of_settings, _of_selectors, _of_ingress, _of_load, _of_network):
    _plant()
