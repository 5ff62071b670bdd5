"""Runs what the manifests say, without a cluster: scripts/try-deploy calls this, as root in namespaces of its own.

Every pod gets a network namespace with an address on one bridge, names in /etc/hosts in place of DNS, the
volumes of the rendered manifests, a root that cannot be written to, the pod's user, no capability and no new
privileges; and runs its `command` and `args` on the binaries of this machine. The stores are PostgreSQL and
Redis of this machine, set up by the secrets and the configuration of `dev`. Not here: the image, probes,
autoscaling, and the network policies.
"""

import argparse
import base64
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import yaml

from cluster import Overlay

ISSUER = "https://login.example.com/"


def sh(script, **options):
    return subprocess.run(["bash", "-euc", script], check=True, text=True, **options)


class Machine:
    """The bridge, and everybody on it."""

    def __init__(self, work, binaries):
        self.work, self.binaries, self.addresses, self.processes = work, binaries, {}, {}
        sh("ip link set lo up; ip link add br0 type bridge; ip addr add 10.9.0.1/24 dev br0; ip link set br0 up")
        sh("mkdir -p /run/netns; mount -t tmpfs none /run/netns")

    def join(self, name):
        number = len(self.addresses) + 10
        self.addresses[name] = f"10.9.0.{number}"
        sh(f"""ip netns add {name}
            ip link add v{number} type veth peer name eth0 netns {name}
            ip link set v{number} master br0 up
            ip netns exec {name} ip addr add 10.9.0.{number}/24 dev eth0
            ip netns exec {name} ip link set eth0 up
            ip netns exec {name} ip link set lo up""")

    def hosts(self):
        names = {"localhost": "127.0.0.1", **self.addresses}
        if "keyserver" in names:
            names["login.example.com"] = names["keyserver"]
        return "".join(f"{address} {name}\n" for name, address in names.items())

    def start(self, overlay, pod, secrets, env):
        """Starts a pod's container."""
        root, uid = self.work / "pods" / pod.name, pod.spec["securityContext"]["runAsUser"]
        for folder in ("etc", "usr", "proc", "dev"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        for link in ("lib", "lib64", "bin"):
            if not (root / link).is_symlink():
                (root / link).symlink_to(f"usr/{link}")
        (root / "etc/hosts").write_text(self.hosts())
        (root / "etc/nsswitch.conf").write_text("hosts: files\n")
        volumes = {v["name"]: v for v in pod.spec["volumes"]}
        mounts = []
        for mount in pod.container["volumeMounts"]:
            volume, source = volumes[mount["name"]], self.work / "volumes" / pod.name / mount["name"]
            source.mkdir(parents=True, exist_ok=True)
            files = overlay.files(volume)
            for name, content in (secrets[volume["secret"]["secretName"]] if files is None else files).items():
                (source / name).write_bytes(content)
                os.chmod(source / name, 0o440)
                os.chown(source / name, 0, uid)
            os.chown(source, uid if "emptyDir" in volume else 0, uid)
            os.chmod(source, 0o775)
            target = f"{root}{mount['mountPath']}"
            pathlib.Path(target).mkdir(parents=True, exist_ok=True)
            mounts.append(f"mount --bind {source} {target}")
            if mount.get("readOnly"):
                mounts.append(f"mount -o remount,bind,ro {target}")
        settings = " ".join(f"{key}={value}" for key, value in env.items())
        command = " ".join(pod.container["command"] + pod.container.get("args", []))
        script = "\n".join([
            f"mount --bind {root} {root}; mount --bind /usr {root}/usr; mount -o remount,bind,ro {root}/usr",
            f"mount --bind {self.binaries} {root}/usr/local/bin",
            f"mount -t proc proc {root}/proc; mount --rbind /dev {root}/dev",
            *mounts,
            f"mount -o remount,bind,ro {root}",
            f"exec chroot {root} /usr/bin/env -i PATH=/usr/bin {settings} /usr/bin/setpriv --reuid {uid} --regid {uid}"
            f" --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all {command}",
        ])
        with open(self.log(pod.name), "w") as log:
            process = subprocess.Popen(
                ["ip", "netns", "exec", pod.name, "unshare", "-m", "bash", "-euc", script], stdout=log, stderr=log
            )
        self.processes[pod.name] = process
        return process

    def log(self, name):
        return self.work / f"{name}.log"

    def ask(self, name, path):
        """What an admin port answers: (status, text)."""
        try:
            with urllib.request.urlopen(f"http://{self.addresses[name]}:9464{path}", timeout=2) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)


def certificates(work, servers):
    """An authority, and what docs/deploy.md asks it to sign."""
    names = {name: f"DNS:{name},URI:spiffe://assent/{name}" for name in servers}
    names |= {"outside": "DNS:gateway", "keyserver": "DNS:login.example.com", "postgresql": "DNS:postgresql"}
    sh(f"""mkdir {work}/pki; cd {work}/pki
        openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ca.key 2>/dev/null
        openssl req -x509 -new -key ca.key -subj "/CN=internal" -days 2 -out ca.crt""")
    for name, alternatives in names.items():
        sh(f"""cd {work}/pki
            openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {name}.key 2>/dev/null
            openssl req -new -key {name}.key -subj "/CN={name}" | openssl x509 -req -CA ca.crt -CAkey ca.key -CAcreateserial \
                -days 2 -extfile <(printf 'subjectAltName={alternatives}\\nbasicConstraints=CA:FALSE\\n') -out {name}.crt 2>/dev/null""")


def production_secrets(work, dev, servers):
    """The Secrets of docs/deploy.md's table."""
    pki = work / "pki"
    authority = (pki / "ca.crt").read_bytes()

    def store(service):
        url = (dev / f"{service}-store-url").read_text().strip()
        url += "?sslmode=verify-full&sslrootcert=/run/secrets/assent/postgresql-ca.crt"
        return {"store-url": url.encode(), "postgresql-ca.crt": authority}

    def own(**files):
        return {key.replace("_", "-"): (dev / name).read_bytes() for key, name in files.items()}

    def pair(name):
        return {"tls.crt": (pki / f"{name}.crt").read_bytes(), "tls.key": (pki / f"{name}.key").read_bytes()}

    return {
        "consent-svc-secrets": store("consent") | own(
            redis_url="consent-redis-url", receipt_key="receipt-key", page_token_secret="page-token-secret"),
        "audience-svc-secrets": store("audience") | own(match_key_1="audience-match-key"),
        "suggest-svc-secrets": store("suggest") | own(match_key="suggest-match-key"),
        "gateway-secrets": own(redis_url="gateway-redis-url"),
        "gateway-outside-tls": pair("outside"),
        **{f"{name}-tls": pair(name) | {"ca.crt": authority} for name in servers},
    }


def key_server(work, jwks):
    """Serves the key set over TLS."""
    (work / "www/.well-known").mkdir(parents=True)
    shutil.copy(jwks, work / "www/.well-known/jwks.json")
    program = f"""
import http.server, ssl, functools
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory={str(work / 'www')!r})
server = http.server.ThreadingHTTPServer(("0.0.0.0", 443), handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain({str(work / 'pki/keyserver.crt')!r}, {str(work / 'pki/keyserver.key')!r})
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()"""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(["ip", "netns", "exec", "keyserver", sys.executable, "-c", program], **quiet)


def postgresql(work, dev, tls):
    """PostgreSQL of this machine in the place of the pod, with the pod's password and init.sql."""
    programs = sh("ls -d /usr/lib/postgresql/*/bin | tail -1", capture_output=True).stdout.strip()
    data = work / "postgresql/data"
    sh(f"""mkdir {work}/postgresql; cp {dev}/postgresql-password {work}/postgresql/password; chown -R postgres {work}/postgresql
        setpriv --reuid postgres --regid postgres --init-groups {programs}/initdb -U postgres -A scram-sha-256 \
            --pwfile {work}/postgresql/password -D {data} >/dev/null
        printf 'local all all trust\\n{"hostssl" if tls else "host"} all all 0.0.0.0/0 scram-sha-256\\n' > {data}/pg_hba.conf""")
    options = f"-c listen_addresses=* -c unix_socket_directories={work}/postgresql"
    if tls:
        sh(f"""cp {work}/pki/postgresql.crt {work}/pki/postgresql.key {data}; chown postgres {data}/postgresql.*
            chmod 600 {data}/postgresql.key""")
        options += " -c ssl=on -c ssl_cert_file=postgresql.crt -c ssl_key_file=postgresql.key"
    run = f"setpriv --reuid postgres --regid postgres --init-groups {programs}/pg_ctl -w -D {data} -l {work}/postgresql/log"
    sh(f"ip netns exec postgresql {run} -o '{options}' start >/dev/null")
    sh(f"{programs}/psql -q -h {work}/postgresql -U postgres -v ON_ERROR_STOP=1 -f {dev}/postgresql-init.sql")
    return f"{run} -m fast stop >/dev/null"


def token(dev, role, name="developer"):
    """As the development cluster's `token`, with an issuer."""
    def text(value):
        return base64.urlsafe_b64encode(value).rstrip(b"=")

    claims = {"iss": ISSUER, "aud": "assent", "exp": int(time.time()) + 3600, "role": role, "sub": name}
    signed = b".".join(text(json.dumps(part).encode()) for part in ({"alg": "EdDSA", "kid": "cluster"}, claims))
    with tempfile.NamedTemporaryFile() as file:
        file.write(signed)
        file.flush()
        sign = ["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", dev / "service-key", "-in", file.name]
        return (signed + b"." + text(subprocess.run(sign, capture_output=True, check=True).stdout)).decode()


def expect(what, right, said=""):
    print(f"  {what}")
    if not right:
        sys.exit(f"not so: {what}\n{said}")


def main():
    parser = argparse.ArgumentParser()
    for name in ("--root", "--binaries", "--work"):
        parser.add_argument(name, type=pathlib.Path, required=True)
    parser.add_argument("--renderer", required=True)
    parser.add_argument("overlay", choices=["dev", "production"])
    arguments = parser.parse_args()
    work, name = arguments.work, arguments.overlay
    os.chmod(work, 0o755)
    copy = work / "kubernetes"
    shutil.copytree(arguments.root / "deploy/kubernetes", copy, ignore=shutil.ignore_patterns("secrets"))
    dev = copy / "overlays/dev/secrets"
    sh(f"{copy}/overlays/dev/make-secrets")
    rendered = {}
    for one in {"dev", name}:
        text = sh(f"{arguments.renderer} {copy}/overlays/{one}", capture_output=True).stdout
        rendered[one] = Overlay(one, [o for o in yaml.safe_load_all(text) if o])
    overlay, production = rendered[name], name == "production"
    pods = {pod.name: pod for pod in overlay.pods if pod.ours}
    servers = [pod.name for pod in overlay.servers]
    jobs = [pod for pod in pods.values() if pod.kind == "Job"]

    machine = Machine(work, arguments.binaries)
    for one in ["postgresql", "redis", *pods, *(["keyserver"] if production else [])]:
        machine.join(one)
    secrets, env, background = {}, {}, []
    if production:
        certificates(work, servers)
        secrets = production_secrets(work, dev, servers)
        background.append(key_server(work, dev / "jwks.json"))
        # The one thing that is not as shipped: the key server's certificate is not of the public web.
        for one in servers:
            key = f"ASSENT_{one.removesuffix('-svc').upper()}__AUTH__JWKS_CA_FILE"
            env[one] = {key: "/run/secrets/tls/ca.crt"}
    stop_postgresql = postgresql(work, dev, production)
    redis = next(pod for pod in rendered["dev"].pods if pod.name == "redis")
    background.append(machine.start(rendered["dev"], redis, {}, {}))
    try:
        play(machine, overlay, pods, servers, jobs, secrets, env, dev, production)
    finally:
        for process in [*machine.processes.values(), *background]:
            process.kill()
        sh(stop_postgresql)
    print(f"{name}: runs as the manifests say")


def play(machine, overlay, pods, servers, jobs, secrets, env, dev, production):
    """Migrates, starts, calls, stops."""
    def start(pod):
        return machine.start(overlay, pod, secrets, env.get(pod.name, {}))

    code = start(pods["consent-svc"]).wait(timeout=60)
    said = machine.log("consent-svc").read_text()
    expect("a server refuses a database that was not migrated", code == 1 and "not migrated yet" in said, said)
    for job in [*jobs, *jobs]:
        code = start(job).wait(timeout=120)
        expect(f"{job.name} ends with 0", code == 0, machine.log(job.name).read_text())
    for one in servers:
        start(pods[one])
    until = time.monotonic() + 60
    for one in servers:
        while machine.ask(one, "/readyz")[0] != 200 and time.monotonic() < until:
            time.sleep(0.1)
        status = dict(line.split(":", 1) for line in open(f"/proc/{machine.processes[one].pid}/status"))
        uid, memory = status["Uid"].split()[0], int(status["VmRSS"].split()[0]) // 1024
        alone = uid == "65532" and int(status["CapBnd"], 16) == 0 and status["NoNewPrivs"].strip() == "1"
        expect(f"{one} is ready as user {uid}, without capabilities, read-only root; {memory} MB resident",
               machine.ask(one, "/readyz")[0] == 200 and alone, machine.log(one).read_text())

    hosts = machine.work / "hosts"
    hosts.write_text(machine.hosts())
    sh(f"mount --bind {hosts} /etc/hosts")
    endpoint = ["--endpoint", f"{'https' if production else 'http'}://gateway:50051"]
    if production:
        endpoint += ["--ca-file", machine.work / "pki/ca.crt"]

    def call(role, *command, wanted=0):
        bearer = token(dev, role, "ann") if role else "none"
        done = subprocess.run([machine.binaries / "assent", *command, *endpoint], env={"ASSENT_TOKEN": bearer},
                              capture_output=True, text=True, timeout=60)
        expect(f"assent {command[0]} {command[1]}: exit code {wanted}", done.returncode == wanted, done.stdout + done.stderr)

    until = time.monotonic() + 30
    while machine.ask("gateway", "/readyz")[1].count("no answer") and time.monotonic() < until:
        time.sleep(0.1)
    expect("the gateway reaches every service", "no answer" not in machine.ask("gateway", "/readyz")[1])
    example = pathlib.Path(__file__).parents[2] / "consent-svc/policies/example-opt-in.json"
    call("ADMIN", "policy", "publish", example)
    call("APP", "account", "register", "ann", "--jurisdiction", "DE")
    call("USER", "consent", "show", "ann")
    call("USER", "suggest", "list", "ann")
    call("USER", "account", "export", "ann")  # asks audience-svc and suggest-svc in the gateway's own name
    call("ADMIN", "match-keys", "progress")
    call(None, "policy", "list", wanted=4)
    metrics = machine.ask("consent-svc", "/metrics")[1]
    kept = re.search(r'^consent_cache_fills_total\{outcome="stored",[^}]*\} [1-9]', metrics, re.MULTILINE)
    expect("consent-svc keeps answers in Redis, as its user there", kept, machine.log("consent-svc").read_text())
    up = 'gateway_quota_redis_up{service="gateway"} 1'
    expect("the gateway counts in Redis, as its user there", up in machine.ask("gateway", "/metrics")[1])

    for one in ["gateway", *[server for server in servers if server != "gateway"]]:
        process, began = machine.processes[one], time.monotonic()
        process.send_signal(signal.SIGTERM)
        status = 200
        while status == 200 and time.monotonic() < began + 3:
            status = machine.ask(one, "/readyz")[0]
        code = process.wait(timeout=60)
        expect(f"{one} is told to stop: not ready, and ends with 0 after {time.monotonic() - began:.1f} s",
               status == 503 and code == 0, machine.log(one).read_text())
    snapshot = machine.work / "volumes/audience-svc/snapshot/directory"
    expect("audience-svc has left its snapshot on its volume", snapshot.exists(), machine.log("audience-svc").read_text())


main()
