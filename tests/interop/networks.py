"""Networks of the relay cases: namespaces with a TURN server, and NATs between.

Each is made anew for its case and ends with it. Nothing in there reaches this machine's network.
"""

import os
import subprocess
import tempfile
import threading
import time
from functools import cache
from pathlib import Path

from hosts import Failure, Host

USER, PASSWORD = "alice", "secret"

LOG_LINES = 60
"""What a failed case shows of the server's log."""
START_DEADLINE = 60.0
"""Seconds until the server must listen."""


class Network:
    """Hosts of one case, with one TURN server among them."""

    nat = False

    def __init__(self, server_flags=(), trusted=True):
        self.hosts = []
        self.server = None
        self.environment = ["env", f"SSL_CERT_FILE={certificate() / 'cert.pem'}"] if trusted else []
        try:
            server_host, ip = self.build()
            self.server = Server(server_host, ip, server_flags)
            self.server.start()
        except (OSError, subprocess.SubprocessError) as error:
            self.remove()
            why = (getattr(error, "stderr", None) or str(error)).strip()
            raise Failure(f"no network of its own: {why}") from None
        except Failure:
            self.remove()
            raise

    def host(self):
        host = Host(neighbour=self.hosts[0] if self.hosts else None)
        self.hosts.append(host)
        host.run("ip link set lo up")
        return host

    def side(self, host):
        """A host for one of the peers."""
        host.enter = [*host.enter, *self.environment]
        return host

    def remove(self):
        if self.server:
            self.server.stop()
        for host in self.hosts:
            host.process.kill()
            host.process.communicate()


class OneHost(Network):
    """Both sides and the server on one host that has nothing but loopback."""

    def build(self):
        host = self.host()
        self.all = [self.side(host)] * 2
        return host, "127.0.0.1"


class Nats(Network):
    """Each side behind a NAT of its own, with the server between them.

        a 10.0.1.2 -- NAT 198.51.100.1 -- server 192.0.2.1 -- 203.0.113.1 NAT -- 10.0.2.2 b
    """

    nat = True

    def __init__(self, a, b, **options):
        self.kinds = (a, b)
        super().__init__(**options)

    def build(self):
        middle = self.host()
        middle.run("ip address add 192.0.2.1/32 dev lo")
        forward(middle)
        self.all = [
            self.behind(middle, kind, f"wan{number}", network, f"10.0.{number}")
            for number, (kind, network) in enumerate(
                zip(self.kinds, ("198.51.100", "203.0.113")), 1)
        ]
        # As on the internet, what is sent to a private address gets lost. Without a route coturn
        # would give up the whole allocation.
        middle.run("ip route add default via 198.51.100.1")
        return middle, "192.0.2.1"

    def behind(self, middle, rules, link, outside, inside):
        """A host behind a NAT that follows these rules."""
        nat, host = self.host(), self.host()
        self.uplink(middle, link, nat, outside)
        wire(nat, "lan", f"{inside}.1/24", host, "lan", f"{inside}.2/24")
        host.run(f"ip route add default via {inside}.1")
        forward(nat)
        nat.filter(rules)
        return self.side(host)

    def uplink(self, middle, link, nat, outside):
        """The NAT's device `wan`, and what it is connected to."""
        wire(middle, link, f"{outside}.2/24", nat, "wan", f"{outside}.1/24")
        nat.run(f"ip route add default via {outside}.2")


def nat_rules(masquerade, extra=""):
    # Unless what nobody asked for is dropped, the NAT answers it itself, remembers that it has, and
    # gives what is sent there later another port.
    return f"""
        table ip nat {{
            chain out {{
                type nat hook postrouting priority srcnat;
                oifname "wan" {masquerade}
            }}
        }}
        table ip filter {{
            chain in {{
                type filter hook input priority filter;
                iifname "wan" ct state new drop
            }}
            chain through {{
                type filter hook forward priority filter;
                iifname "wan" ct state new drop
                {extra}
            }}
        }}
    """


PORT_RESTRICTED = nat_rules("masquerade")
"""Keeps the port of the host, and lets in only what comes from where something was sent to."""
SYMMETRIC = nat_rules("masquerade fully-random")
"""Another port for each destination."""
NO_UDP = nat_rules("masquerade", "meta l4proto udp drop")
"""A firewall that carries TCP only."""


def wire(one, name, address, other, other_name, other_address):
    one.run(
        f"ip link add {name} type veth peer name {other_name} netns {other.process.pid}",
        f"ip link set {name} up",
        f"ip address add {address} dev {name}",
    )
    other.run(f"ip link set {other_name} up", f"ip address add {other_address} dev {other_name}")


def forward(host):
    subprocess.run([*host.enter, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"],
                   check=True, capture_output=True, text=True)


class Server:
    """coturn."""

    def __init__(self, host, ip, flags):
        self.folder = tempfile.TemporaryDirectory()
        self.log = Path(self.folder.name) / "log"
        cert = certificate()
        self.command = [
            *host.enter, "turnserver", "-n", "--no-cli", "--lt-cred-mech",
            "--realm", "example.org", "--user", f"{USER}:{PASSWORD}",
            "--listening-ip", ip, "--relay-ip", ip, "--allow-loopback-peers",
            "--cert", str(cert / "cert.pem"), "--pkey", str(cert / "key.pem"), "--no-dtls",
            "--log-file", "stdout", "--simple-log", "--verbose",
            "--pidfile", f"{self.folder.name}/pid", "--userdb", f"{self.folder.name}/db",
            *flags,
        ]
        self.network = os.readlink(f"/proc/{host.process.pid}/ns/net")
        self.process = None

    def transcript(self):
        lines = self.log.read_text(errors="replace").splitlines()[-LOG_LINES:]
        return "\n".join(["--- the end of what coturn has logged", *lines])

    def start(self):
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + START_DEADLINE
        while not self.listens():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Failure(f"coturn does not listen:\n{self.log.read_text()}")
            time.sleep(0.05)

    def listens(self):
        """Whether all its ports are there, as its network sees it: nsenter replaces itself by what it
        starts."""
        process = Path(f"/proc/{self.process.pid}")
        try:
            if os.readlink(process / "ns/net") != self.network:
                return False
            udp, tcp = (process / "net/udp").read_text(), (process / "net/tcp").read_text()
        except OSError:
            return False
        return f":{3478:04X} " in udp and all(f":{port:04X} 0" in tcp for port in (3478, 5349))

    def restart(self):
        """Without any farewell."""
        self.process.kill()
        self.process.wait()
        self.start()

    def count(self, text):
        return self.log.read_text(errors="replace").count(text)

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        self.folder.cleanup()


MAKING = threading.Lock()


def certificate():
    """A folder with a certificate for the server and its key."""
    with MAKING:
        return Path(make_certificate().name)


@cache
def make_certificate():
    folder = tempfile.TemporaryDirectory()
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-keyout", f"{folder.name}/key.pem", "-out", f"{folder.name}/cert.pem",
         "-subj", "/CN=turn", "-addext", "basicConstraints=critical,CA:FALSE",
         "-addext", "subjectAltName=IP:127.0.0.1,IP:192.0.2.1,DNS:localhost"],
        check=True, capture_output=True, text=True,
    )
    return folder
