"""Breaks one thing after another in a copy of the repository; each has to be noticed, as what it is."""

import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile

BASE, DEV, PRODUCTION = "kubernetes/base/", "kubernetes/overlays/dev/", "kubernetes/overlays/production/"

# File below deploy/, what is replaced (once), by what, and what the check then says.
MUTANTS = [
    ("Dockerfile", "COPY bench bench", "COPY benches bench", "COPY benches: there is no such file"),
    ("Dockerfile", "COPY bench bench\n", "", "cargo cannot read what is copied"),
    ("Dockerfile", "COPY identifiers identifiers\n", "", "cargo cannot read what is copied"),
    ("../.dockerignore", "!proto\n", "", "COPY proto: .dockerignore keeps it out"),
    ("Dockerfile", "target/release/gateway ", "target/release/gatewai ", "gatewai is no binary"),
    ("Dockerfile", " -p gateway", "", "gateway is copied, but gateway is not built"),
    ("Dockerfile", " --locked", "", "--release and --locked"),
    ("Dockerfile", "rust:1.95", "rust:1.94", "Cargo.toml asks for 1.95"),
    ("Dockerfile", "USER 65532:65532", "USER nonroot", "USER nonroot is not the number"),
    ("Dockerfile", "USER 65532:65532", "USER 1000:1000", "USER 1000:1000 is not the number"),
    ("Dockerfile", 'org.opencontainers.image.revision="${REVISION}"', 'revision="${REVISION}"', "no label revision"),
    ("Dockerfile", "ARG VERSION=0.1.0", "ARG VERSION=0.0.9", "VERSION is not 0.1.0"),
    ("Dockerfile", "EXPOSE 50051 9464", "EXPOSE 50051", "EXPOSE [50051]"),
    (BASE + "gateway.yaml", "/usr/local/bin/gateway", "/usr/local/bin/edge", "/usr/local/bin/edge, a command"),
    (BASE + "patches/server.yaml", "enableServiceLinks:", "enableServiceLink:", "not valid for Kubernetes"),
    (BASE + "patches/server.yaml", "failureThreshold: 2", 'failureThreshold: "2"', "not valid for Kubernetes"),
    (BASE + "namespace.yaml", "enforce: restricted", "enforce: baseline", "pod security is baseline"),
    (BASE + "patches/server.yaml", "runAsNonRoot: true", "runAsNonRoot: false", "runAsNonRoot"),
    (BASE + "patches/server.yaml", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "readOnlyRootFilesystem"),
    (BASE + "patches/server.yaml", "drop: [ALL]", "drop: [NET_RAW]", "capabilities"),
    (BASE + "patches/server.yaml", "seccompProfile: {type: RuntimeDefault}", "fsGroupChangePolicy: Always", "seccompProfile"),
    (BASE + "patches/migrate.yaml", "automountServiceAccountToken: false", "hostNetwork: true", "hostNetwork"),
    (BASE + "patches/migrate.yaml", "allowPrivilegeEscalation: false", "privileged: true", "allowPrivilegeEscalation"),
    (PRODUCTION + "kustomization.yaml", "newTag: 0.1.0", "newTag: latest", "no tag of its own"),
    (BASE + "gateway.yaml", "          resources:\n            requests: {cpu: 100m, memory: 128Mi}", "          resources:", "resources.requests.cpu"),
    (BASE + "gateway.yaml", "serviceAccountName: gateway", "serviceAccountName: edge", "no ServiceAccount edge"),
    (BASE + "patches/server.yaml", "{path: /readyz, port: admin}", "{path: /ready, port: admin}", "readinessProbe is not"),
    (BASE + "patches/server.yaml", "containerPort: 9464", "containerPort: 9465", "server.admin_address has port 9464"),
    (BASE + "patches/server.yaml", "{name: config, mountPath", "{name: configuration, mountPath", "no volume configuration"),
    (BASE + "consent-svc.yaml", "targetPort: grpc", "targetPort: rpc", "has no port rpc"),
    (BASE + "consent-svc.yaml", "  selector: {app.kubernetes.io/name: consent-svc, app.kubernetes.io/component: server}", "  selector: {app.kubernetes.io/name: consent-svc}", "Service consent-svc: leads to"),
    (BASE + "patches/server.yaml", "terminationGracePeriodSeconds: 50", "terminationGracePeriodSeconds: 30", "needs 45 s to stop"),
    (BASE + "patches/server.yaml", "sleep: {seconds: 5}", "sleep: {seconds: 1}", "the gateway may not know"),
    (PRODUCTION + "consent-svc.toml", 'drain_deadline = "25s"', 'drain_deadline = "2m"', "needs 140 s to stop"),
    (PRODUCTION + "gateway.toml", "[upstreams.consent]\n", '[upstreams.consent]\nresolve_interval = "30s"\n', "the gateway may not know"),
    (PRODUCTION + "gateway.toml", "endpoints = [", "endpoint = [", "unknown keys: upstreams.consent.endpoint"),
    (PRODUCTION + "suggest-svc.toml", 'drain_delay = "5s"', "drain_delay = 5", "`suggest-svc check-config` says"),
    (DEV + "consent-svc.toml", "[cache]", "[caches]", "unknown keys: caches"),
    (DEV + "audience-svc.toml", "assent/match-key-1", "assent/match-key-2", "match-key-2 is not in the volume secrets"),
    (PRODUCTION + "audience-svc.toml", "/var/lib/assent/directory", "/var/lib/directory", "/var/lib/directory is on no volume"),
    (PRODUCTION + "gateway.toml", "/run/secrets/outside-tls/tls.key", "/run/secrets/outside/tls.key", "is on no volume of the pod"),
    (BASE + "patches/server.yaml", "args: [serve,", "args: [server,", "`gateway server` says"),
    (BASE + "patches/migrate.yaml", "args: [migrate,", "args: [migration,", "`consent-svc migration` says"),
    (DEV + "kustomization.yaml", "      - secrets/page-token-secret\n", "", "page-token-secret is not in the volume"),
    (PRODUCTION + "autoscaling.yaml", "name: gateway}\n  minReplicas: 3", "name: gateways}\n  minReplicas: 3", "Deployment gateway: no HorizontalPodAutoscaler"),
    (PRODUCTION + "autoscaling.yaml", "minReplicas: 3", "minReplicas: 4", "quota.replicas is 3, the autoscaler keeps 4"),
    (PRODUCTION + "autoscaling.yaml", "minReplicas: 2", "minReplicas: 1", "one replica is none"),
    (PRODUCTION + "autoscaling.yaml", "matchLabels: {app.kubernetes.io/name: consent-svc,", "matchLabels: {app.kubernetes.io/name: consent,", "0 PodDisruptionBudgets"),
    (BASE + "gateway.yaml", "topologyKey: topology.kubernetes.io/zone", "topologyKey: zone", "is to be spread"),
    ("../docs/deploy.md", "`gateway-outside-tls`", "`gateway-public-tls`", "gateway-outside-tls is neither in the manifests"),
    ("../docs/deploy.md", "`receipt-key`", "`receipts-key`", "receipt-key is not in the volume"),
    (BASE + "network-policies.yaml", "policyTypes: [Ingress, Egress]", "policyTypes: [Ingress]", "-> the internet:"),
    (BASE + "network-policies.yaml", "policyTypes: [Ingress, Egress]", "policyTypes: [Egress]", "outside -> consent-svc-migrate:"),
    (BASE + "network-policies.yaml", "values: [gateway, audience-svc, suggest-svc]", "values: [gateway, audience-svc]", "suggest-svc -> consent-svc:50051 is an arrow"),
    (BASE + "network-policies.yaml", "values: [consent-svc, audience-svc, suggest-svc]", "values: [consent-svc, audience-svc]", "gateway -> suggest-svc:50051 is an arrow"),
    (BASE + "network-policies.yaml", "matchLabels: {app.kubernetes.io/name: prometheus}", "{}", "a pod beside prometheus -> consent-svc:9464"),
    (BASE + "network-policies.yaml", "port: 9464}]", "port: 9464, endPort: 50051}]", "prometheus -> "),
    (BASE + "network-policies.yaml", "port: 4317}", "port: 4318}", "otlp:4317 is an arrow"),
    (DEV + "network-policies.yaml", "values: [server, migrate]", "values: [server]", "consent-svc-migrate -> postgresql:5432 is an arrow"),
    (PRODUCTION + "external.yaml", "cidr: 203.0.113.0/28", "cidr: 0.0.0.0/0", "the internet:443 is let through"),
    (PRODUCTION + "external.yaml", "values: [consent-svc, gateway]", "values: [consent-svc, gateway, suggest-svc]", "suggest-svc -> redis:6379 is let through"),
]


def check(root, arguments):
    """The exit code, and what is said on standard error."""
    command = [sys.executable, pathlib.Path(__file__).parent, "--root", root, "--binaries", arguments.binaries]
    done = subprocess.run([*command, "--renderer", arguments.renderer], capture_output=True, text=True)
    return done.returncode, done.stderr


def copy(root, to):
    """What is in the repository, as it is now."""
    listed = subprocess.run(["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=root, capture_output=True, check=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (root / name).exists():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, to / name)
    subprocess.run("git init --quiet && git add --all", shell=True, cwd=to, check=True)


def main():
    parser = argparse.ArgumentParser()
    for name in ("--root", "--binaries", "--renderer"):
        parser.add_argument(name, required=True)
    parser.add_argument("only", nargs="?", default="", help="those of which this is in what they are to be told as")
    arguments = parser.parse_args()
    missed = 0
    with tempfile.TemporaryDirectory() as scratch:
        root = pathlib.Path(scratch)
        copy(pathlib.Path(arguments.root), root)
        code, said = check(root, arguments)
        if code != 0:
            sys.exit(f"without any change:\n{said}")
        mutants = [mutant for mutant in MUTANTS if arguments.only in mutant[3]]
        for name, old, new, wanted in mutants:
            file = root / "deploy" / name
            before = file.read_text()
            if old not in before:
                sys.exit(f"{name} has no {old!r} any more")
            file.write_text(before.replace(old, new, 1))
            code, said = check(root, arguments)
            file.write_text(before)
            line = next((line for line in said.splitlines() if wanted in line), None)
            if code != 0 and line is not None and "Traceback" not in said:
                print(f"noticed: {line}")
            else:
                missed += 1
                print(f"MISSED: {name}: {old!r} -> {new!r}: {said.strip().splitlines()[-1:] or 'nothing'}")
    print(f"{len(mutants) - missed} of {len(mutants)} mutants noticed")
    sys.exit(missed != 0)


main()
