"""Rendered manifests, and the pods that come of them."""

import base64
import dataclasses
import tomllib


@dataclasses.dataclass
class Pod:
    """The pods of one Deployment, StatefulSet or Job."""

    owner: dict
    labels: dict
    spec: dict

    @property
    def kind(self):
        return self.owner["kind"]

    @property
    def name(self):
        return self.owner["metadata"]["name"]

    @property
    def ours(self):
        """Whether it runs a binary of Assent."""
        return self.labels.get("app.kubernetes.io/part-of") == "assent"

    @property
    def is_server(self):
        return self.ours and self.kind == "Deployment"

    @property
    def containers(self):
        return self.spec.get("initContainers", []) + self.spec["containers"]

    @property
    def container(self):
        return self.spec["containers"][0]

    def ports(self):
        """Number by name."""
        return {p["name"]: p["containerPort"] for c in self.containers for p in c.get("ports", [])}

    def __str__(self):
        return f"{self.kind} {self.name}"


class Overlay:
    """What `kubectl apply -k` of one overlay would send."""

    def __init__(self, name, objects):
        self.name, self.objects = name, objects
        self.pods = [
            Pod(o, o["spec"]["template"]["metadata"].get("labels", {}), o["spec"]["template"]["spec"])
            for o in objects
            if o["kind"] in ("Deployment", "StatefulSet", "DaemonSet", "Job")
        ]
        self.servers = [pod for pod in self.pods if pod.is_server]

    def of(self, kind):
        return [o for o in self.objects if o["kind"] == kind]

    def get(self, kind, name):
        return next((o for o in self.of(kind) if o["metadata"]["name"] == name), None)

    def files(self, volume):
        """What a volume of a pod holds: content by file name; None where it is not in the manifests."""
        if "configMap" in volume:
            found = self.get("ConfigMap", volume["configMap"]["name"])
            return found and {k: v.encode() for k, v in found.get("data", {}).items()}
        if "secret" in volume:
            found = self.get("Secret", volume["secret"]["secretName"])
            if found is None:
                return None
            plain = {k: v.encode() for k, v in found.get("stringData", {}).items()}
            return plain | {k: base64.b64decode(v) for k, v in found.get("data", {}).items()}
        return {}

    def config(self, pod):
        """The TOML file that a pod of ours is given."""
        volume = next(v for v in pod.spec["volumes"] if v["name"] == "config")
        return tomllib.loads((self.files(volume) or {})["config.toml"].decode())


def selects(selector, labels):
    """Whether a label selector takes these labels."""
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for rule in selector.get("matchExpressions") or []:
        value, values = labels.get(rule["key"]), rule.get("values") or []
        match rule["operator"]:
            case "In":
                fits = value in values
            case "NotIn":
                fits = value not in values
            case "Exists":
                fits = value is not None
            case "DoesNotExist":
                fits = value is None
            case other:
                raise ValueError(f"unknown operator {other}")
        if not fits:
            return False
    return True
