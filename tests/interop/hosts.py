"""Hosts of their own for the cases: network namespaces, from which nothing reaches this machine's
network. They need root, or user namespaces for everybody."""

import os
import subprocess


class Failure(Exception):
    """A case did not do what it should; the text says what."""


class Hosts:
    """Two hosts with a wire between them: network namespaces, which end with this process.

    Each has an IPv4 and an IPv6 address and, because a browser uses only the addresses of the
    default route, a default route. Nothing in there reaches this machine's network.
    """

    def __init__(self):
        self.all = []
        try:
            first = Host()
            self.all.append(first)
            second = Host(neighbour=first)
            self.all.append(second)
            first.run(f"ip link add wire type veth peer name wire netns {second.process.pid}")
            for number, host in enumerate(self.all, 1):
                host.run(
                    "ip link set lo up",
                    "ip link set wire addrgenmode none",
                    "ip link set wire up",
                    f"ip address add 192.0.2.{number}/24 dev wire",
                    f"ip address add 2001:db8::{number}/64 dev wire nodad",
                    "ip route add default dev wire",
                    "ip -6 route add default dev wire",
                )
        except (OSError, subprocess.SubprocessError) as error:
            self.remove()
            why = (getattr(error, "stderr", None) or str(error)).strip()
            raise Failure(f"no hosts of its own: {why}") from None

    def remove(self):
        for host in self.all:
            host.process.kill()
            host.process.communicate()


class Host:
    """One network namespace. What holds it ends with its input, so it cannot be left behind."""

    def __init__(self, neighbour=None):
        # Whoever is not root is root in a user namespace, one for both hosts.
        is_root = os.geteuid() == 0
        before = neighbour.enter if neighbour else []
        user = [] if is_root or neighbour else ["--user", "--map-root-user"]
        self.process = subprocess.Popen(
            [*before, "unshare", *user, "--net", "sh", "-c", "echo; exec cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        namespaces = ["--net"] if is_root else ["--user", "--preserve-credentials", "--net"]
        self.enter = ["nsenter", "--target", str(self.process.pid), *namespaces]
        if not self.process.stdout.readline():
            raise OSError(self.process.communicate()[1])

    def run(self, *commands):
        for command in commands:
            subprocess.run([*self.enter, *command.split()], check=True, capture_output=True, text=True)

    def filter(self, rules):
        """Follows these rules of nftables from now on."""
        subprocess.run([*self.enter, "nft", "-f", "-"], input=rules, check=True,
                       capture_output=True, text=True)


class WithoutUdp(Hosts):
    """The same, and nothing that is UDP gets from one to the other."""

    def __init__(self):
        super().__init__()
        try:
            for host in self.all:
                host.filter("""
                    table inet filter {
                        chain in {
                            type filter hook input priority filter;
                            iifname "wire" meta l4proto udp drop
                        }
                    }
                """)
        except (OSError, subprocess.SubprocessError) as error:
            self.remove()
            raise Failure(f"no filter: {(getattr(error, 'stderr', None) or str(error)).strip()}") from None
