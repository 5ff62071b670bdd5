"""Who reaches whom, worked out from the rendered network policies, against the architecture's arrows."""

import dataclasses
import ipaddress

from cluster import selects

# The arrows of the architecture (README.md, ARCHITECTURE.md) and of what its processes depend on. A job that
# migrates a store needs that store and no service. In `dev` keys come from a file, so nobody asks a key server.
SERVERS = ["gateway", "consent-svc", "audience-svc", "suggest-svc"]
SERVICES = SERVERS[1:]
JOBS = [f"{service}-migrate" for service in SERVICES]
CALLS = [
    ("outside", "gateway", 50051),
    *[("gateway", service, 50051) for service in SERVICES],
    ("audience-svc", "consent-svc", 50051),
    ("suggest-svc", "consent-svc", 50051),
]
DEPENDENCIES = [
    *[(one, "postgresql", 5432) for one in SERVICES + JOBS],
    *[(one, "redis", 6379) for one in ("consent-svc", "gateway")],
    *[(one, "dns", 53) for one in SERVERS + JOBS],
    *[(one, "otlp", 4317) for one in SERVERS + JOBS],
    *[("prometheus", one, 9464) for one in SERVERS],
]
ARROWS = {
    "dev": {*CALLS, *DEPENDENCIES},
    "production": {*CALLS, *DEPENDENCIES, *[(one, "key server", 443) for one in SERVERS]},
}

# Outside the cluster, what a service is known by is its port.
OUTSIDE = {5432: "postgresql", 6379: "redis", 443: "key server"}
# Ports that nobody may reach unless a rule has none, which means all.
OTHER_PORTS = [1, 22, 80, 8080, 10250]


@dataclasses.dataclass(frozen=True)
class Peer:
    """One end of an arrow."""

    name: str
    namespace: str | None = None
    labels: tuple = ()
    address: str | None = None
    ports: tuple = ()

    def has(self):
        return dict(self.labels)


def peers(overlay, namespace):
    """Everybody: our pods; who should get in or be reached; and strangers, who should not."""

    def pod(name, where, labels, ports=()):
        return Peer(name, where, tuple(labels.items()), None, tuple(ports))

    yield from (pod(p.name, namespace, p.labels, p.ports().values()) for p in overlay.pods)
    yield pod("dns", "kube-system", {"k8s-app": "kube-dns"}, [53])
    yield pod("otlp", "observability", {"app.kubernetes.io/name": "opentelemetry-collector"}, [4317])
    yield pod("prometheus", "monitoring", {"app.kubernetes.io/name": "prometheus"}, [9090])
    yield pod("a stranger beside us", namespace, {"app": "stranger"}, [5432, 6379, 443])
    yield pod("a stranger in another namespace", "default", {"app": "stranger"}, [5432, 6379, 443])
    yield pod("a pod beside prometheus", "monitoring", {"app": "stranger"}, [443])
    yield pod("a pod beside otlp", "observability", {"app": "stranger"}, [4317])
    yield pod("a pod of kube-system", "kube-system", {"app": "stranger"}, [53, 443])
    yield Peer("the internet", address="9.9.9.9", ports=(*OUTSIDE, 53, 4317))
    yield Peer("the cloud's metadata", address="169.254.169.254", ports=(80, 443))
    for policy in overlay.of("NetworkPolicy"):
        for rule in policy["spec"].get("egress") or []:
            for to in rule.get("to") or []:
                if "ipBlock" in to:
                    network = ipaddress.ip_network(to["ipBlock"]["cidr"])
                    if network.num_addresses > 256:
                        yield Peer(f"all of {network}", address=str(network[-2]), ports=tuple(OUTSIDE))
                    else:
                        yield Peer("", address=str(network[0]), ports=(*OUTSIDE, 53, 4317))


def takes(rule, peer, namespace):
    """Whether one entry of `from` or `to` stands for this peer."""
    if "ipBlock" in rule:
        block = rule["ipBlock"]
        # A pod has some address too: what is for everybody is for pods.
        address = ipaddress.ip_address(peer.address or "10.255.0.1")
        inside = address in ipaddress.ip_network(block["cidr"])
        return inside and not any(address in ipaddress.ip_network(e) for e in block.get("except", []))
    if peer.namespace is None:
        return False
    where = rule.get("namespaceSelector")
    if where is None:
        there = peer.namespace == namespace
    else:
        there = selects(where, {"kubernetes.io/metadata.name": peer.namespace})
    return there and selects(rule.get("podSelector") or {}, peer.has())


def allowed(overlay, namespace, one, direction, other, port):
    """Whether the policies over `one` let it talk with `other` in this direction."""
    if one.namespace != namespace:
        return True
    key, ends = ("egress", "to") if direction == "Egress" else ("ingress", "from")
    isolated = False
    for policy in overlay.of("NetworkPolicy"):
        spec = policy["spec"]
        if direction not in spec["policyTypes"] or not selects(spec["podSelector"], one.has()):
            continue
        isolated = True
        for rule in spec.get(key) or []:
            ports = rule.get("ports")
            fits = not ports or any(p["port"] <= port <= p.get("endPort", p["port"]) for p in ports)
            if fits and (not rule.get(ends) or any(takes(r, other, namespace) for r in rule[ends])):
                return True
    return not isolated


def arrows(overlay):
    """(from, to, port) of everything that may be said."""
    namespace = overlay.of("Namespace")[0]["metadata"]["name"]
    everybody = list(dict.fromkeys(peers(overlay, namespace)))
    found = set()
    for source in everybody:
        for target in everybody:
            if source == target or namespace not in (source.namespace, target.namespace):
                continue
            for port in (*target.ports, *OTHER_PORTS):
                if allowed(overlay, namespace, source, "Egress", target, port) and allowed(
                    overlay, namespace, target, "Ingress", source, port
                ):
                    name = target.name or OUTSIDE.get(port, f"{target.address} outside")
                    found.add((source.name or f"{source.address} outside", name, port))
    # Whoever may come from anywhere is told of once, if strangers really are among them.
    for target, port in {(t, p) for s, t, p in found if s == "the internet"}:
        found = {arrow for arrow in found if arrow[1:] != (target, port) or arrow in CALLS}
        found.add(("outside", target, port))
    return found


def check(overlay):
    """What is not as the architecture has it."""
    found, wanted = arrows(overlay), ARROWS[overlay.name]
    for source, target, port in sorted(found - wanted):
        yield f"network: {source} -> {target}:{port} is let through, and is no arrow of the architecture"
    for source, target, port in sorted(wanted - found):
        yield f"network: {source} -> {target}:{port} is an arrow of the architecture, and is not let through"
