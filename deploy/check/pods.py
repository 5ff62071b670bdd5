"""Pods: restricted as the namespace says, probes, references, and how they stop."""

from cluster import selects

# service-kit/src/boot/serve.rs: how long background tasks may take after the last call; and telemetry, which
# is sent after that.
TASKS_SECONDS = 5
FLUSH_SECONDS = 5
# How long an answer of the cluster's DNS is kept (CoreDNS, plugin `kubernetes`, default).
DNS_SECONDS = 5


def seconds(span):
    """A length of time as configuration has it, in seconds."""
    units = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600}
    number = span.rstrip("abcdefghijklmnopqrstuvwxyz")
    return float(number) * units[span[len(number) :]]


def restricted(pod):
    """The Pod Security Standard `restricted`, and beyond it: a read-only root, no token, a number as user."""
    spec = pod.spec
    context = spec.get("securityContext", {})
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(key):
            yield f"{pod}: {key}"
    if context.get("runAsNonRoot") is not True or not context.get("runAsUser"):
        yield f"{pod}: runAsNonRoot and a runAsUser other than 0 are wanted"
    if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield f"{pod}: seccompProfile RuntimeDefault is wanted"
    if spec.get("automountServiceAccountToken") is not False:
        yield f"{pod}: a ServiceAccount's token is mounted"
    for volume in spec.get("volumes", []):
        if not {"configMap", "secret", "emptyDir", "projected", "persistentVolumeClaim"} & set(volume):
            yield f"{pod}: volume {volume['name']} is of a kind that is not allowed"
    for container in pod.containers:
        what, own = f"{pod}, container {container['name']}", container.get("securityContext", {})
        if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
            yield f"{what}: allowPrivilegeEscalation must be false"
        if own.get("capabilities", {}).get("drop") != ["ALL"] or own["capabilities"].get("add"):
            yield f"{what}: all capabilities are to be dropped"
        if own.get("readOnlyRootFilesystem") is not True:
            yield f"{what}: readOnlyRootFilesystem is wanted"
        if own.get("runAsUser") == 0 or own.get("runAsNonRoot") is False:
            yield f"{what}: runs as root"
        resources = container.get("resources", {})
        for wanted in (("requests", "cpu"), ("requests", "memory"), ("limits", "memory")):
            if wanted[1] not in resources.get(wanted[0], {}):
                yield f"{what}: resources.{'.'.join(wanted)} is missing"
        tag = container["image"].rpartition("/")[2].partition(":")[2]
        if not tag or tag.startswith("latest"):
            yield f"{what}: the image {container['image']} has no tag of its own"


def references(overlay, pod):
    """What a pod names is there."""
    volumes = {v["name"]: v for v in pod.spec.get("volumes", [])}
    claims = {c["metadata"]["name"] for c in pod.owner["spec"].get("volumeClaimTemplates", [])}
    for container in pod.containers:
        for mount in container.get("volumeMounts", []):
            if mount["name"] not in volumes and mount["name"] not in claims:
                yield f"{pod}: no volume {mount['name']}"
    for volume in volumes.values():
        if "configMap" in volume and overlay.files(volume) is None:
            yield f"{pod}: no ConfigMap {volume['configMap']['name']}"
    account = overlay.get("ServiceAccount", pod.spec.get("serviceAccountName"))
    if account is None:
        yield f"{pod}: no ServiceAccount {pod.spec.get('serviceAccountName')}"
    elif account.get("automountServiceAccountToken") is not False:
        yield f"ServiceAccount {pod.spec['serviceAccountName']}: its token is mounted"
    selector = pod.owner["spec"].get("selector")
    if selector and not selects(selector, pod.labels):
        yield f"{pod}: its selector does not take its own pods"


def services(overlay):
    """Each Service leads to the pods of one workload, and to ports that they have."""
    for service in overlay.of("Service"):
        name, spec = f"Service {service['metadata']['name']}", service["spec"]
        behind = [pod for pod in overlay.pods if selects({"matchLabels": spec["selector"]}, pod.labels)]
        if len(behind) != 1:
            yield f"{name}: leads to {[str(pod) for pod in behind]}, not to one"
        for port in spec["ports"]:
            for pod in behind:
                if port["targetPort"] not in pod.ports():
                    yield f"{name}: {pod} has no port {port['targetPort']}"


def probes(overlay, pod, admin_routes):
    """Probes ask the admin port that the process is configured with, on paths that it has."""
    config, ports = overlay.config(pod), pod.ports()
    for key, name in (("address", "grpc"), ("admin_address", "admin")):
        address, _, port = config["server"][key].rpartition(":")
        if int(port) != ports.get(name):
            yield f"{pod}: server.{key} has port {port}, the container's port {name} is {ports.get(name)}"
        if address != "0.0.0.0":
            yield f"{pod}: server.{key} is not for every address"
    wanted = {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
    for key, path in wanted.items():
        got = pod.container.get(key, {}).get("httpGet", {})
        if got.get("path") != path or got.get("port") != "admin" or got.get("scheme", "HTTP") != "HTTP":
            yield f"{pod}: {key} is not a plain GET of {path} on the port admin"
        if path not in admin_routes:
            yield f"{pod}: the processes do not serve {path} any more"


def stop(overlay, pod, resolve_seconds):
    """How a pod stops, in seconds: (what is printed, what is wrong)."""
    server = overlay.config(pod)["server"]
    pre = pod.container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    delay, deadline = seconds(server.get("drain_delay", "0s")), seconds(server.get("drain_deadline", "25s"))
    grace = pod.spec.get("terminationGracePeriodSeconds", 30)
    needs = pre + delay + deadline + TASKS_SECONDS + FLUSH_SECONDS
    line = (
        f"{pod.name}: preStop {pre} + drain_delay {delay:g} + drain_deadline {deadline:g} + tasks {TASKS_SECONDS}"
        f" + telemetry {FLUSH_SECONDS} = {needs:g} s of {grace} s; out of sight for {pre + delay:g} s before"
        f" calls are refused, of DNS {DNS_SECONDS} + resolve_interval {resolve_seconds:g}"
    )
    wrong = []
    if needs > grace:
        wrong.append(f"{pod}: needs {needs:g} s to stop, terminationGracePeriodSeconds is {grace}")
    if pre + delay < DNS_SECONDS + resolve_seconds:
        wrong.append(f"{pod}: refuses calls {pre + delay:g} s after it began to stop, the gateway may not know before"
                     f" {DNS_SECONDS + resolve_seconds:g} s")
    return line, wrong


def scaling(overlay):
    """Autoscaler, disruption budget and spread of each server, in production: (lines, what is wrong)."""
    lines, wrong = [], []
    for pod in overlay.servers:
        scaler = overlay.get("HorizontalPodAutoscaler", pod.name)
        budgets = [b for b in overlay.of("PodDisruptionBudget") if selects(b["spec"]["selector"], pod.labels)]
        if len(budgets) != 1:
            wrong.append(f"{pod}: {len(budgets)} PodDisruptionBudgets instead of one")
        if scaler is None or scaler["spec"]["scaleTargetRef"] != {
            "apiVersion": "apps/v1", "kind": "Deployment", "name": pod.name,
        }:
            wrong.append(f"{pod}: no HorizontalPodAutoscaler")
            continue
        if "replicas" in pod.owner["spec"]:
            wrong.append(f"{pod}: `replicas` would undo what the autoscaler does")
        spread = pod.spec.get("topologySpreadConstraints", [])
        keys = {c["topologyKey"] for c in spread if selects(c["labelSelector"], pod.labels)}
        if keys != {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}:
            wrong.append(f"{pod}: is to be spread over zones and machines")
        least, most = scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]
        if least < 2:
            wrong.append(f"{pod}: one replica is none while a node is drained")
        config = overlay.config(pod)
        line = f"{pod.name}: {least} to {most} replicas"
        if "store" in config:
            surge = pod.owner["spec"]["strategy"]["rollingUpdate"]["maxSurge"]
            each = config["store"]["max_connections"]
            # consent-svc with Redis has a second pool, of sessions that do not wait for the disk (Store::open).
            pools = 2 if config.get("cache", {}).get("redis") else 1
            whole = (most + surge) * pools * each + each
            line += f"; PostgreSQL: ({most} + {surge}) x {pools} x {each} + {each} of a migration = {whole} connections"
        quota = config.get("quota")
        if quota is not None and quota.get("replicas") != least:
            wrong.append(f"{pod}: quota.replicas is {quota.get('replicas')}, the autoscaler keeps {least}")
        lines.append(line)
    return lines, wrong
