"""Rules for the network: what settings name can be reached, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import NamedTuple
from urllib.parse import urlsplit

from jobs.callbacks.rules import _SPECIAL_4, _SPECIAL_6
from tests.k8s.cluster import Cluster, Pod, Rule, Thing, matches

# Anywhere public; what a filled-in managed service is before it is filled in; inside; the cloud's metadata.
_PUBLIC = ("8.8.8.8", "2606:4700:4700::1111")
_HIDDEN = (
    "10.0.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "100.64.0.1",
    "169.254.169.254",
    "127.0.0.1",
    "168.63.129.16",
    "fd00:ec2::254",
)
_MAPPING = ("worker-jobs", "worker-blocks", "worker-interactive")
_ONLINE = {*_MAPPING, "worker-callbacks", "api", "doctor"}


class Peer(NamedTuple):
    """The other end of a connection: a pod's labels with its namespace, or an address."""

    labels: dict[str, str] | None = None
    namespace: str = "cityzones"
    address: str = ""


def _takes(peer: Thing, other: Peer) -> bool:
    if "ipBlock" in peer:
        return bool(other.address) and _in_block(peer["ipBlock"], other.address)
    if other.labels is None:
        return False
    if "namespaceSelector" in peer:
        home = {"kubernetes.io/metadata.name": other.namespace}
        return matches(peer["namespaceSelector"], home) and matches(peer.get("podSelector", {}), other.labels)
    return other.namespace == "cityzones" and matches(peer["podSelector"], other.labels)


def _in_block(block: Thing, address: str) -> bool:
    found = ip_address(address)
    inside = [found in network for network in map(ip_network, [block["cidr"], *block.get("except", [])])]
    return inside[0] and not any(inside[1:])


def _allowed(cluster: Cluster, way: str, labels: dict[str, str], other: Peer, port: int, protocol: str = "TCP") -> bool:
    """Say whether pods with these labels may connect to ("egress") or be reached by ("ingress") the other end."""
    policies = [p["spec"] for p in cluster.of("NetworkPolicy") if matches(p["spec"]["podSelector"], labels)]
    about = [policy for policy in policies if way.capitalize() in policy["policyTypes"]]
    rules = [rule for policy in about for rule in policy.get(way, [])]
    side = "to" if way == "egress" else "from"
    return not about or any(
        any(_takes(peer, other) for peer in rule[side])
        and any(told["port"] == port and told["protocol"] == protocol for told in rule["ports"])
        for rule in rules
    )


def _meets(cluster: Cluster, client: Pod, server: Pod, port: int) -> bool:
    out = _allowed(cluster, "egress", client.labels, Peer(server.labels), port)
    return out and _allowed(cluster, "ingress", server.labels, Peer(client.labels), port)


def denied_by_default(cluster: Cluster) -> Iterator[str]:
    stranger = {"some": "pod"}
    for way in ("ingress", "egress"):
        if _allowed(cluster, way, stranger, Peer({"other": "pod"}, "default"), 80):
            yield f"{way} is allowed where nobody has said so"


def names_resolved(cluster: Cluster) -> Iterator[str]:
    server = Peer({"k8s-app": "kube-dns"}, "kube-system")
    for pod in cluster.pods():
        if not all(_allowed(cluster, "egress", pod.labels, server, 53, protocol) for protocol in ("UDP", "TCP")):
            yield f"{pod.name} cannot look up names"


def redis_reached(cluster: Cluster) -> Iterator[str]:
    yield from _reached(cluster, "cityzones-redis", "valkey", 6379, "to-redis")


def storage_reached(cluster: Cluster) -> Iterator[str]:
    endpoint = urlsplit(cluster.settings["CITYZONES_S3_ENDPOINT"])
    port = endpoint.port or {"http": 80, "https": 443}[endpoint.scheme]
    yield from _reached(cluster, "cityzones-storage", "s3", port, "to-storage")


def _reached(cluster: Cluster, secret: str, server: str, port: int, policy: str) -> Iterator[str]:
    """Complain of pods that know the secret and cannot reach the server in the cluster, or the managed one."""
    there = next((pod for pod in cluster.pods() if pod.name == server), None)
    block = "" if there else _managed(cluster, policy)
    for pod in cluster.pods():
        if secret not in pod.secrets or (not there and not block):
            continue
        if there and not _meets(cluster, pod, there, port):
            yield f"{pod.name} does not reach {server}"
        if not there and not _allowed(cluster, "egress", pod.labels, Peer(address=block), port):
            yield f"{pod.name} does not reach {block}:{port}"
    if not there and not block:
        yield f"no policy {policy} says where that is"


def _managed(cluster: Cluster, policy: str) -> str:
    for thing in cluster.of("NetworkPolicy"):
        if thing["metadata"]["name"] == policy:
            return str(ip_network(thing["spec"]["egress"][0]["to"][0]["ipBlock"]["cidr"])[1])
    return ""


def triton_reached(cluster: Cluster) -> Iterator[str]:
    host, _, port = cluster.settings["CITYZONES_TRITON_URL"].partition(":")
    service, triton = cluster.get("Service", host), cluster.pod("triton")
    ports = {p["name"]: p["containerPort"] for p in triton.container("triton")["ports"]}
    leads = {told["port"]: ports[told["targetPort"]] for told in service["spec"]["ports"]}
    if int(port) not in leads:
        yield f"the service {host} does not answer at {port}"
        return
    for name in (*_MAPPING, "api", "doctor"):
        if not _meets(cluster, cluster.pod(name), triton, leads[int(port)]):
            yield f"{name} does not reach triton"
    for name in ("worker-callbacks", "worker-upkeep", "beat", "publish-models"):
        if _meets(cluster, cluster.pod(name), triton, leads[int(port)]):
            yield f"{name} reaches triton, and has no business with it"


def internet_reached(cluster: Cluster) -> Iterator[str]:
    for pod in cluster.pods():
        reached = all(_allowed(cluster, "egress", pod.labels, Peer(address=address), 443) for address in _PUBLIC)
        if reached != (pod.name in _ONLINE):
            yield f"{pod.name} {'reaches' if reached else 'does not reach'} the internet"


def inside_hidden(cluster: Cluster) -> Iterator[str]:
    special = [
        str(network[1]) if network.num_addresses > 1 else str(network[0]) for network in (*_SPECIAL_4, *_SPECIAL_6)
    ]
    own = {_managed(cluster, policy) for policy in ("to-redis", "to-storage") if not cluster.of("StatefulSet")}
    for pod in cluster.pods():
        for address in {*_HIDDEN, *special} - own:
            if any(_allowed(cluster, "egress", pod.labels, Peer(address=address), port) for port in (80, 443)):
                yield f"{pod.name} reaches {address}"


def scraped(cluster: Cluster) -> Iterator[str]:
    prometheus = Peer({"app": "prometheus"}, "monitoring")
    monitors = [(m, m["spec"]["podMetricsEndpoints"]) for m in cluster.of("PodMonitor")]
    for monitor, endpoints in [*monitors, *((m, m["spec"]["endpoints"]) for m in cluster.of("ServiceMonitor"))]:
        for pod in (pod for pod in cluster.pods() if matches(monitor["spec"]["selector"], pod.labels)):
            ports = {p["name"]: p["containerPort"] for c in pod.containers for p in c.get("ports", [])}
            for endpoint in endpoints:
                if not _allowed(cluster, "ingress", pod.labels, prometheus, ports[endpoint["port"]]):
                    yield f"Prometheus does not reach {pod.name}"


def strangers_kept_out(cluster: Cluster) -> Iterator[str]:
    stranger = Peer({"app": "anything"}, "default")
    for pod in cluster.pods():
        ports = [port["containerPort"] for container in pod.containers for port in container.get("ports", [])]
        yield from (
            f"anybody reaches {pod.name}:{p}" for p in ports if _allowed(cluster, "ingress", pod.labels, stranger, p)
        )
    if cluster.of("Ingress"):
        controller = Peer({"app": "controller"}, "ingress-nginx")
        if not _allowed(cluster, "ingress", cluster.pod("api").labels, controller, 3000):
            yield "the ingress controller does not reach the API"


RULES: tuple[Rule, ...] = (
    denied_by_default, names_resolved, redis_reached, storage_reached, triton_reached, internet_reached, inside_hidden,
    scraped, strangers_kept_out,
)  # fmt: skip
