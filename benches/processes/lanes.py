"""Hosts of two peers and the emulated links between them.

A link is the user's end of a TUN device in each host: what one sends, `carry` takes, and `deliver`
gives it to whose address it has, later.
"""

import fcntl
import heapq
import os
import random
import struct
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests/interop"))

import networks  # noqa: E402
from run import Host  # noqa: E402

ADDRESSES = ("192.0.2.1", "192.0.2.2")
SERVER = "192.0.2.1"
OUTSIDES = ("198.51.100", "203.0.113")


class Lane:
    """Is used for one session after the other."""

    def __init__(self):
        self.hosts = []
        """Those of the two peers."""
        self.addresses = []
        """What the peers bind to."""
        self.tuns = []
        self.ends = {}
        """Which device leads to an address, in network order."""
        self.queue = []
        self.session = None

    def attach(self, host, name, address):
        """A device of this name, which leads to all addresses."""
        tun, made = open_tun()
        move = ["ip", "link", "set", made, "netns", str(host.process.pid)]
        subprocess.run(move, check=True, capture_output=True)
        host.run(
            f"ip link set {made} name {name}",
            f"ip link set {name} addrgenmode none",
            f"ip link set {name} up",
            f"ip address add {address} dev {name}",
            f"ip route add default dev {name}",
        )
        self.ends[bytes(map(int, address.partition("/")[0].split(".")))] = len(self.tuns)
        self.tuns.append(tun)

    def detach(self):
        for tun in self.tuns:
            os.close(tun)

    def begin(self, session):
        self.session = session
        self.queue.clear()
        self.dice = [random.Random(f"{session.row.name} {session.seed} {end}")
                     for end in range(len(self.tuns))]
        session.start(self.hosts, self.addresses)

    def carry(self, end, now):
        """Takes the packets that a host has sent."""
        while True:
            try:
                packet = os.read(self.tuns[end], 4096)
            except BlockingIOError:
                return
            # IPv4 UDP to an address that somebody has; the session of before may still be talking.
            to = self.ends.get(packet[16:20])
            if packet[0] >> 4 != 4 or packet[9] != 17 or to in (None, end):
                continue
            lost = self.dice[end].random() < self.session.row.loss if self.session else True
            if not lost:
                due = now + self.session.row.delay
                heapq.heappush(self.queue, (due, time.monotonic_ns(), to, packet))

    def deliver(self, now):
        while self.queue and self.queue[0][0] <= now:
            *_, to, packet = heapq.heappop(self.queue)
            os.write(self.tuns[to], packet)


class Wire(Lane):
    """Two hosts with one address each."""

    def __init__(self):
        super().__init__()
        self.addresses = ADDRESSES
        for address in ADDRESSES:
            host = Host()
            self.hosts.append(host)
            host.run("ip link set lo up")
            self.attach(host, "wire", f"{address}/24")

    def remove(self):
        self.detach()
        for host in self.hosts:
            host.process.kill()
            host.process.communicate()


class Nats(Lane):
    """Each host behind a NAT that follows these rules, and coturn. The links are those between the
    NATs and the server.

        a 10.0.1.2 -- NAT 198.51.100.1 == 192.0.2.1 server == 203.0.113.1 NAT -- 10.0.2.2 b
                                       =====================
    """

    def __init__(self, rules):
        super().__init__()
        self.addresses = ("10.0.1.2", "10.0.2.2")
        self.network = Between(self, rules)
        self.hosts = self.network.all

    def remove(self):
        self.detach()
        self.network.remove()


class Between(networks.Nats):
    """NATs without wires outside."""

    def __init__(self, lane, rules):
        self.lane = lane
        super().__init__(rules, rules)

    def build(self):
        middle = self.host()
        self.lane.attach(middle, "wan", f"{SERVER}/32")
        self.all = [
            self.behind(middle, kind, None, outside, f"10.0.{number}")
            for number, (kind, outside) in enumerate(zip(self.kinds, OUTSIDES), 1)
        ]
        return middle, SERVER

    def uplink(self, middle, link, nat, outside):
        self.lane.attach(nat, "wan", f"{outside}.1/32")


def open_tun():
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    # TUNSETIFF: IFF_TUN | IFF_NO_PI.
    reply = fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", b"tun%d", 0x0001 | 0x1000))
    return tun, reply[:16].rstrip(b"\0").decode()
