"""deploy/Dockerfile, where no engine is at hand to build it."""

import fnmatch
import json
import pathlib
import re
import subprocess
import tomllib


def instructions(text):
    """(word, rest) of each instruction, continued lines joined, comments gone."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            yield word.upper(), rest.strip()


def ignored(patterns, path):
    """Whether .dockerignore keeps `path` out of the context: the last pattern that fits decides."""
    out = False
    for pattern in patterns:
        keep, pattern = pattern.startswith("!"), pattern.lstrip("!").strip("/")
        parts = [pathlib.PurePosixPath(path), *pathlib.PurePosixPath(path).parents]
        if any(fnmatch.fnmatchcase(str(part), pattern) for part in parts if str(part) != "."):
            out = not keep
    return out


def check(root, overlays, scratch):
    """(what is printed, what is wrong)."""
    wrong, lines = [], []
    found = list(instructions((root / "deploy/Dockerfile").read_text()))
    cargo = tomllib.loads((root / "Cargo.toml").read_text())
    patterns = [p for p in (root / ".dockerignore").read_text().split("\n") if p and not p.startswith("#")]

    # What is built from is there, and is all that the build needs: cargo reads the copy alone.
    context = scratch / "context"
    sources = [r.split()[:-1] for w, r in found if w == "COPY" and not r.startswith("--from")]
    for source in [s for several in sources for s in several]:
        if not (root / source).exists():
            wrong.append(f"Dockerfile: COPY {source}: there is no such file")
        elif ignored(patterns, source):
            wrong.append(f"Dockerfile: COPY {source}: .dockerignore keeps it out")
        else:
            tracked = subprocess.run(["git", "ls-files", "-z", "--", source], cwd=root, capture_output=True, check=True)
            for name in filter(None, tracked.stdout.decode().split("\0")):
                if (root / name).exists():
                    to = context / name
                    to.parent.mkdir(parents=True, exist_ok=True)
                    to.write_bytes((root / name).read_bytes())
    command = ["cargo", "metadata", "--locked", "--no-deps", "--format-version", "1", "--offline"]
    read = subprocess.run(command, cwd=context, capture_output=True, text=True)
    bins = {}
    if read.returncode != 0:
        wrong.append(f"Dockerfile: cargo cannot read what is copied: {read.stderr.strip().splitlines()[-1]}")
    else:
        packages = json.loads(read.stdout)["packages"]
        bins = {t["name"]: p["name"] for p in packages for t in p["targets"] if "bin" in t["kind"]}
        # What sources include at compile time is copied, too; tests and what is fuzzed are not built.
        sources_of = [f for p in packages for f in pathlib.Path(p["manifest_path"]).parent.glob("src/**/*.rs")]
        for file in [f for f in sources_of if f.stem not in ("tests", "fuzzing")]:
            for name in re.findall(r'include_(?:str|bytes)!\(\s*"([^"]+)"', file.read_text()):
                if not (file.parent / name).exists():
                    wrong.append(f"Dockerfile: {file.relative_to(context)} includes {name}, which is not copied")

    # What is built and copied is a binary of the package that is built; every command is one of them.
    script = " ".join(rest for word, rest in found if word == "RUN")
    built = set(re.findall(r" -p ([a-z-]+)", script))
    copied = re.findall(r"target/release/([a-z-]+)", script)
    if "--locked" not in script or "--release" not in script:
        wrong.append("Dockerfile: cargo build is to be --release and --locked")
    for name in copied:
        if name not in bins:
            wrong.append(f"Dockerfile: {name} is no binary of the workspace")
        elif bins[name] not in built:
            wrong.append(f"Dockerfile: {name} is copied, but {bins[name]} is not built")
    wanted = {bins[name] for name in bins} - {"bench"}
    for package in sorted(wanted - {bins.get(name) for name in copied}):
        wrong.append(f"Dockerfile: nothing of {package} is in the image")
    commands = {pod.container["command"][0] for o in overlays for pod in o.pods if pod.ours}
    for command in sorted(commands):
        place, _, name = command.rpartition("/")
        if place != "/usr/local/bin" or name not in copied:
            wrong.append(f"{command}, a command of the manifests, is not in the image")

    # The base, the user, the labels.
    bases = [rest.split()[0] for word, rest in found if word == "FROM"]
    for base in bases:
        if base != "scratch" and (":" not in base or base.endswith(":latest")):
            wrong.append(f"Dockerfile: FROM {base} has no version")
    toolchain = cargo["workspace"]["package"]["rust-version"]
    if not bases[0].startswith(f"rust:{toolchain}-"):
        wrong.append(f"Dockerfile: built with {bases[0]}, Cargo.toml asks for {toolchain}")
    user = next((rest for word, rest in reversed(found) if word == "USER"), "root")
    uids = {pod.spec["securityContext"].get("runAsUser") for o in overlays for pod in o.pods if pod.ours}
    if not re.fullmatch(r"[1-9]\d*:[1-9]\d*", user) or {int(user.split(":")[0])} != uids:
        wrong.append(f"Dockerfile: USER {user} is not the number that the pods run as: {sorted(map(str, uids))}")
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', " ".join(r for w, r in found if w == "LABEL")))
    for label in {"title", "description", "licenses", "version", "revision"} - set(labels):
        wrong.append(f"Dockerfile: no label {label}")
    version = cargo["workspace"]["package"]["version"]
    if ("ARG", f"VERSION={version}") not in found:
        wrong.append(f"Dockerfile: VERSION is not {version}, as in Cargo.toml")
    if labels.get("licenses") != cargo["workspace"]["package"]["license"]:
        wrong.append("Dockerfile: another licence than in Cargo.toml")
    exposed = {int(p) for word, rest in found if word == "EXPOSE" for p in rest.split()}
    ports = {port for o in overlays for pod in o.servers for port in pod.ports().values()}
    if exposed != ports:
        wrong.append(f"Dockerfile: EXPOSE {sorted(exposed)}, the pods' ports are {sorted(ports)}")
    lines.append(f"{len(copied)} binaries ({', '.join(copied)}) on {bases[-1]}, user {user}; built by {bases[0]} from "
                 f"{sum(map(len, sources))} sources that cargo can read by themselves")
    return lines, wrong
