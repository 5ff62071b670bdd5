"""Checks what is under deploy/ without a cluster and without an engine. scripts/check-deploy calls this."""

import argparse
import collections
import pathlib
import shutil
import subprocess
import sys
import tempfile

import kubernetes_validate
import yaml

import config
import image
import network
import pods
from cluster import Overlay

# The oldest version that has what the manifests use for good (preStop.sleep), and the newest whose schemas are
# at hand.
VERSIONS = ["1.34", "1.37"]
OVERLAYS = ["dev", "production"]


def render(root, name, renderer, scratch):
    """What one overlay comes to. `dev` gets secrets made for this occasion."""
    copy = scratch / "deploy/kubernetes"
    if not copy.exists():
        shutil.copytree(root / "deploy/kubernetes", copy, ignore=shutil.ignore_patterns("secrets"))
        subprocess.run([copy / "overlays/dev/make-secrets"], check=True, cwd=copy, stdout=subprocess.DEVNULL)
    done = subprocess.run([*renderer, copy / "overlays" / name], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{name}: cannot be rendered: {done.stderr.strip()}")
    return Overlay(name, [o for o in yaml.safe_load_all(done.stdout) if o])


def schema(overlay):
    """What the schemas of Kubernetes say, unknown keys included."""
    for version in VERSIONS:
        for one in overlay.objects:
            try:
                kubernetes_validate.validate(one, version, strict=True)
            except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
                what = f"{one['kind']} {one['metadata']['name']}"
                yield f"{what}: not valid for Kubernetes {version}: {str(error).splitlines()[0]}"


def check(overlay, root, scratch, binaries):
    """Prints what one overlay is; what is wrong with it."""
    kinds = collections.Counter(o["kind"] for o in overlay.objects)
    print(f"\n{overlay.name}: {len(overlay.objects)} objects, strictly valid for Kubernetes {' and '.join(VERSIONS)}")
    print("  " + ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())))
    wrong = list(schema(overlay))
    if wrong:
        return wrong
    level = overlay.of("Namespace")[0]["metadata"]["labels"].get("pod-security.kubernetes.io/enforce")
    if level != "restricted":
        wrong.append(f"Namespace: pod security is {level}, not restricted")
    documented = config.documented_secrets(root / "docs/deploy.md")
    admin_routes = (root / "service-kit/src/health/admin.rs").read_text()
    wrong += pods.services(overlay)
    for pod in overlay.pods:
        wrong += pods.restricted(pod)
        wrong += pods.references(overlay, pod)
        if pod.ours:
            wrong += config.check(overlay, pod, scratch, binaries, documented)
    if wrong:
        return wrong  # what follows reckons with values that were found good
    gateway = next(overlay.config(pod) for pod in overlay.servers if pod.name == "gateway")
    # gateway/src/config.rs has the default.
    intervals = [pods.seconds(u.get("resolve_interval", "5s")) for u in gateway["upstreams"].values()]
    for pod in overlay.servers:
        wrong += pods.probes(overlay, pod, admin_routes)
        line, findings = pods.stop(overlay, pod, max(intervals))
        print(f"  {line}")
        wrong += findings
    if overlay.name == "production":
        lines, findings = pods.scaling(overlay)
        print(*(f"  {line}" for line in lines), sep="\n")
        wrong += findings
        used = {v["secret"]["secretName"] for p in overlay.pods for v in p.spec["volumes"] if "secret" in v}
        for name in sorted(set(documented) ^ used):
            wrong.append(f"Secret {name}: in docs/deploy.md and the manifests, or in neither")
        print(f"  secrets that have to be there: {', '.join(sorted(used))}")
    found = network.arrows(overlay)
    by_target = collections.defaultdict(list)
    for source, target, port in sorted(found):
        by_target[target, port].append(source)
    print(f"  {len(found)} arrows, {len(network.ARROWS[overlay.name])} in the architecture:")
    for (target, port), sources in sorted(by_target.items()):
        print(f"    {', '.join(sources)} -> {target}:{port}")
    return wrong + list(network.check(overlay))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=pathlib.Path, required=True, help="the repository")
    parser.add_argument("--binaries", type=pathlib.Path, required=True, help="where the services' binaries are")
    parser.add_argument("--renderer", required=True, help="the command that renders a kustomization")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        overlays = [render(arguments.root, name, arguments.renderer.split(), scratch) for name in OVERLAYS]
        lines, findings = image.check(arguments.root, overlays, scratch)
        print("image:", *lines)
        wrong = [f"image: {finding}" for finding in findings]
        for overlay in overlays:
            findings = check(overlay, arguments.root, scratch, arguments.binaries)
            wrong += [f"{overlay.name}: {finding}" for finding in findings]
    if wrong:
        print(*wrong, sep="\n", file=sys.stderr)
        sys.exit(f"deploy/: {len(wrong)} faults")
    print("\ndeploy/ holds together")


main()
