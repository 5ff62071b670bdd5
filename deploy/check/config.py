"""The configuration that is shipped, read by the binaries that will read it."""

import os
import pathlib
import re
import subprocess

# What stands for a secret that production brings itself. Never a real one.
RECEIPT_KEY = """-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
-----END PRIVATE KEY-----
"""
STAND_INS = {
    "store-url": "postgres://user:password@postgresql.example/database?sslmode=verify-full\n",
    "redis-url": "rediss://user:password@redis.example:6379/0\n",
    "receipt-key": RECEIPT_KEY,
    "page-token-secret": "a stand-in\n",
    "match-key": "a stand-in that is long enough\n",
    "match-key-1": "a stand-in that is long enough\n",
    "tls.crt": "a stand-in\n",
    "tls.key": "a stand-in\n",
    "ca.crt": "a stand-in\n",
}


def documented_secrets(page):
    """The Secrets that docs/deploy.md asks for: their keys, by name."""
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| ((?:`[^`]+`(?:, )?)+) \|", page.read_text(), re.MULTILINE)
    return {name: set(re.findall("`([^`]+)`", keys)) for name, keys in rows}


def place(overlay, pod, root, documented):
    """Lays the pod's volumes out under `root`; what is wrong with them."""
    volumes = {v["name"]: v for v in pod.spec["volumes"]}
    for mount in pod.container["volumeMounts"]:
        volume = volumes.get(mount["name"])
        if volume is None:
            continue  # pods.references says so
        where = root / mount["mountPath"].lstrip("/")
        where.mkdir(parents=True, exist_ok=True)
        files = overlay.files(volume)
        if files is None and "secret" in volume:
            name = volume["secret"]["secretName"]
            if name not in documented:
                yield f"{pod}: Secret {name} is neither in the manifests nor in the table of docs/deploy.md"
            files = {key: STAND_INS[key].encode() for key in documented.get(name, ()) if key in STAND_INS}
        for name, content in (files or {}).items():
            (where / name).write_bytes(content)


def paths(value):
    """Every file that a configuration names."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from paths(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from paths(inner)
    elif isinstance(value, str):
        path = value.removeprefix("file:")
        if path.startswith("/"):
            yield path


def check(overlay, pod, scratch, binaries, documented):
    """What the pod's own binary, and its volumes, say against its configuration."""
    root = scratch / overlay.name / pod.name
    yield from place(overlay, pod, root, documented)
    mounts = {m["mountPath"]: m for m in pod.container["volumeMounts"]}
    volumes = {v["name"]: v for v in pod.spec["volumes"]}
    for path in sorted(set(paths(overlay.config(pod)))):
        mount = next((m for where, m in mounts.items() if path.startswith(where + "/")), None)
        if mount is None:
            # A migration opens the store and nothing else.
            if pod.kind != "Job" or path.startswith("/run/secrets/assent/"):
                yield f"{pod}: {path} is on no volume of the pod"
        elif "emptyDir" in volumes.get(mount["name"], {}):
            if mount.get("readOnly"):
                yield f"{pod}: {path} is to be written, and is on a read-only volume"
        elif not (root / path.lstrip("/")).exists():
            yield f"{pod}: {path} is not in the volume {mount['name']}"
    written = [m["mountPath"] for m in mounts.values() if not m.get("readOnly")]
    if any("emptyDir" not in volumes[m["name"]] for m in mounts.values() if not m.get("readOnly")):
        yield f"{pod}: one of {written} is not to be written to"

    command = pathlib.PurePosixPath(pod.container["command"][0])
    arguments = pod.container["args"]
    binary = binaries / command.name
    # The configuration, with the places where this machine has what the pod will have.
    file = root / arguments[arguments.index("--config") + 1].lstrip("/")
    if not file.exists():
        yield f"{pod}: its --config is on no volume"
        return
    text = file.read_text()
    for where in sorted(mounts, key=len, reverse=True):
        text = text.replace(f'"{where}/', f'"{root}{where}/').replace(f'"file:{where}/', f'"file:{root}{where}/')
    file.write_text(text)
    here = [str(file) if a == arguments[arguments.index("--config") + 1] else a for a in arguments]
    env = {e["name"]: e["value"] for e in pod.container.get("env", [])} | {"PATH": os.environ["PATH"]}
    # The command exists: with --help it is not carried out. A command it does not know is an error all the same.
    yield from run(pod, [binary, *here, "--help"], env)
    yield from run(pod, [binary, "check-config", *here[1:]], env)


def run(pod, command, env):
    if not command[0].exists():
        yield f"{pod}: there is no binary {command[0].name}"
        return
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        yield f"{pod}: `{command[0].name} {command[1]}` says: {said[0] if said else done.returncode}"
