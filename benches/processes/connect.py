#!/usr/bin/env python3
"""Measures how long two ICE peer processes of one implementation take to connect over an emulated link.

Two network namespaces are joined by two TUN devices, between which this program carries the packets:
with delay, with loss from a seed that is the same for all implementations, and not at all to addresses
that nobody has. Needs root (or user namespaces) and /dev/net/tun; Python 3.11, standard library only.

Both sides have gathered before the clock starts; then each is told at one instant all that the other
one has said. What counts is when the later of both prints `state connected` (data may flow), and when
both have printed a `selected` line.
"""

import argparse
import fcntl
import heapq
import importlib.util
import os
import random
import select
import signal
import struct
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TARGET = ROOT / "target"

spec = importlib.util.spec_from_file_location("interop", ROOT / "tests/interop/run.py")
interop = importlib.util.module_from_spec(spec)
sys.modules["interop"] = interop
spec.loader.exec_module(interop)

ADDRESSES = ("192.0.2.1", "192.0.2.2")
ROLES = ("controlling", "controlled")
DEAD = [f"192.0.2.{number}" for number in range(101, 107)]
QUIET = 0.4
"""Seconds after its last candidate in which a peer counts as done with gathering, if it never says
so itself."""
START_DEADLINE = 15.0
CONNECT_DEADLINE = 45.0
"""Seconds; a silent transaction of RFC 8445 ends after 39.5."""
STAGGER = 0.15
"""Seconds between the starts of two sessions, so that the work of starting does not fall together."""


@dataclass(frozen=True)
class Row:
    name: str
    delay: float
    loss: float
    dead: bool = False


ROWS = [
    Row("50 ms, 0 %", 0.050, 0.0),
    Row("50 ms, 5 %", 0.050, 0.05),
    Row("50 ms, 20 %", 0.050, 0.20),
    Row("150 ms, 5 %", 0.150, 0.05),
    Row("10 ms, 6 dead remote candidates ahead", 0.010, 0.0, dead=True),
]


@dataclass(frozen=True)
class Implementation:
    name: str
    command: tuple
    says_end: bool = True
    """It prints `end-of-candidates`."""
    credentials_first: bool = False
    """Its controlled side tells and gathers nothing before it has the other's credentials."""


IMPLEMENTATIONS = [
    Implementation("frazil", (str(TARGET / "release/examples/peer"), "--pacing", "20")),
    Implementation("frazil, Ta 50 ms", (str(TARGET / "release/examples/peer"),)),
    Implementation("libjuice", (str(TARGET / "processes/libjuice-peer"),), credentials_first=True),
    Implementation("aioice", (str(TARGET / "interop/venv/bin/python"),
                              str(ROOT / "tests/interop/aioice_peer.py"))),
    Implementation("libnice", (str(TARGET / "processes/libnice-peer"),)),
    Implementation("pion", (str(TARGET / "interop/pion-peer"),), says_end=False),
    *(Implementation(name, (str(HERE.parent / "peers/target/release/peer"), name))
      for name in ("is", "is-str0m", "rtc-ice", "rice")),
]


class Lane:
    """Two hosts and the link between them, used for one session after the other."""

    def __init__(self):
        self.hosts = [interop.Host() for _ in ADDRESSES]
        self.tuns = []
        for host, address in zip(self.hosts, ADDRESSES):
            tun, name = open_tun()
            self.tuns.append(tun)
            move = ["ip", "link", "set", name, "netns", str(host.process.pid)]
            subprocess.run(move, check=True, capture_output=True)
            host.run(
                "ip link set lo up",
                f"ip link set {name} addrgenmode none",
                f"ip link set {name} up",
                f"ip address add {address}/24 dev {name}",
                f"ip route add default dev {name}",
            )
        self.queue = []
        self.session = None

    def begin(self, session):
        self.session = session
        self.queue.clear()
        self.dice = [random.Random(f"{session.row.name} {session.seed} {side}") for side in (0, 1)]
        session.start(self.hosts)

    def carry(self, side, now):
        """Takes the packets that a host has sent."""
        while True:
            try:
                packet = os.read(self.tuns[side], 4096)
            except BlockingIOError:
                return
            there = bytes(map(int, ADDRESSES[1 - side].split(".")))
            # IPv4 UDP to the other host; the session of before may still be talking.
            if packet[0] >> 4 != 4 or packet[9] != 17 or packet[16:20] != there:
                continue
            lost = self.dice[side].random() < self.session.row.loss if self.session else True
            if not lost:
                due = now + self.session.row.delay
                heapq.heappush(self.queue, (due, len(self.queue), time.monotonic_ns(), side, packet))

    def deliver(self, now):
        while self.queue and self.queue[0][0] <= now:
            *_, side, packet = heapq.heappop(self.queue)
            os.write(self.tuns[1 - side], packet)


def open_tun():
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    # TUNSETIFF: IFF_TUN | IFF_NO_PI.
    reply = fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", b"link%d", 0x0001 | 0x1000))
    return tun, reply[:16].rstrip(b"\0").decode()


@dataclass
class Side:
    process: subprocess.Popen
    rest: bytes = b""
    parameters: list = field(default_factory=list)
    credentials: str = ""
    candidates: list = field(default_factory=list)
    ended: bool = False
    heard: float = 0.0
    connected: float = 0.0
    selected: float = 0.0

    def has_gathered(self, says_end, now):
        quiet = not says_end and self.candidates and now > self.heard + QUIET
        return bool(self.credentials and (self.ended or quiet))

    def write(self, lines):
        os.write(self.process.stdin.fileno(), ("\n".join(lines) + "\n").encode())


class Session:
    """One try of one implementation: two processes."""

    def __init__(self, implementation, row, seed):
        self.implementation, self.row, self.seed = implementation, row, seed
        self.told = 0.0
        self.over = False
        self.trouble = ""

    def start(self, hosts):
        self.began = time.monotonic()
        self.sides = []
        for host, role, address in zip(hosts, ROLES, ADDRESSES):
            command = [*host.enter, *self.implementation.command, "--role", role, "--bind", address]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=subprocess.DEVNULL)
            os.set_blocking(process.stdout.fileno(), False)
            self.sides.append(Side(process))

    def read(self, index, now):
        side = self.sides[index]
        data = side.process.stdout.read()
        if data == b"":
            self.end("a process ended")
            return
        *lines, side.rest = (side.rest + (data or b"")).split(b"\n")
        for line in lines:
            self.take(index, line.decode(errors="replace").strip(), now)

    def take(self, index, line, now):
        side = self.sides[index]
        side.heard = now
        word, _, rest = line.partition(" ")
        if word == "parameters":
            side.parameters = [line]
        elif word == "credentials":
            side.credentials = line
            if self.implementation.credentials_first and index == 0:
                self.sides[1].write([line])
        elif word == "candidate":
            side.candidates.append(line)
        elif word == "end-of-candidates":
            side.ended = True
        elif word == "state" and rest in ("connected", "completed"):
            side.connected = side.connected or now
        elif word == "selected":
            side.selected = side.selected or now
        elif word == "state" and rest == "failed":
            self.end("failed")

    def step(self, now):
        says_end = self.implementation.says_end
        if not self.told:
            if all(side.has_gathered(says_end, now) for side in self.sides):
                self.tell()
            elif now > self.began + START_DEADLINE:
                self.end("no credentials and candidates")
        elif all(side.connected and side.selected for side in self.sides):
            self.end()
        elif now > self.told + CONNECT_DEADLINE:
            self.end("not connected in time")

    def tell(self):
        messages = []
        for side in self.sides:
            lines = [*side.parameters, side.credentials]
            candidates = side.candidates
            if self.row.dead:
                lines += [dead_line(number, ip) for number, ip in enumerate(DEAD)]
                candidates = [lowered(line) for line in candidates]
            messages.append([*lines, *candidates, "end-of-candidates"])
        self.told = time.monotonic()
        for side, lines in zip(self.sides, reversed(messages)):
            side.write(lines)

    def end(self, trouble=""):
        self.over = True
        self.trouble = trouble
        for side in self.sides:
            side.process.kill()
            side.process.wait()
            side.process.stdin.close()
            side.process.stdout.close()

    def times(self):
        """Milliseconds until both were connected, and until both had selected."""
        def late(moments):
            return (max(moments) - self.told) * 1000 if all(moments) and self.told else float("inf")
        return (late([side.connected for side in self.sides]),
                late([side.selected for side in self.sides]))


def dead_line(number, ip):
    priority = (126 << 24) + ((65535 - number) << 8) + 255
    return f"candidate dead{number} 1 udp {priority} {ip} 9000 typ host"


def lowered(line):
    """The same candidate, behind the dead ones."""
    words = line.split(" ")
    words[4] = str((126 << 24) + (30000 << 8) + 255)
    return " ".join(words)


def run(jobs, lanes):
    """Runs all sessions, so many at a time."""
    jobs = list(reversed(jobs))
    total = len(jobs)
    done = []
    started = 0.0
    while jobs or any(lane.session for lane in lanes):
        now = time.monotonic()
        for lane in lanes:
            lane.deliver(now)
            session = lane.session
            if session:
                session.step(now)
                if session.over:
                    done.append(session)
                    lane.session = None
                    progress(session, len(done), total)
            elif jobs and now > started + STAGGER:
                lane.begin(jobs.pop())
                started = time.monotonic()
        inputs = {}
        until = now + 0.02
        for lane in lanes:
            inputs |= {tun: (lane.carry, side) for side, tun in enumerate(lane.tuns)}
            if lane.queue:
                until = min(until, lane.queue[0][0])
            if lane.session and not lane.session.over:
                inputs |= {side.process.stdout.fileno(): (lane.session.read, index)
                           for index, side in enumerate(lane.session.sides)}
        wait = max(0.0, until - time.monotonic())
        for ready in select.select(list(inputs), [], [], wait)[0]:
            take, side = inputs[ready]
            if take.__self__.__class__ is Session and take.__self__.over:
                continue
            take(side, time.monotonic())
    return done


def progress(session, number, total):
    connected, selected = session.times()
    print(f"{number}/{total} {session.implementation.name}: {session.row.name} #{session.seed}: "
          f"{connected:.0f} {selected:.0f} {session.trouble}", file=sys.stderr, flush=True)


def percentile(times, share):
    times = sorted(times)
    return times[min(len(times) - 1, int(len(times) * share))]


def cell(times):
    text = " / ".join("–" if each == float("inf") else f"{each:.0f}"
                      for each in (percentile(times, 0.5), percentile(times, 0.95)))
    failed = times.count(float("inf"))
    return text + (f"; {failed} failed" if failed else "")


def table(done, implementations, rows):
    for index, what in enumerate(("connected", "the same pair selected")):
        print(f"\n| {what}: one-way delay, loss | " + " | ".join(each.name for each in implementations) + " |")
        print("|---|" + "---|" * len(implementations))
        for row in rows:
            cells = [cell([session.times()[index] for session in done
                           if session.row == row and session.implementation == each])
                     for each in implementations]
            print(f"| {row.name} | " + " | ".join(cells) + " |")


def main():
    options = parse_flags()
    if not options.inside:
        # In a namespace of its own, so that no device is left behind or seen by others.
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        os.execvp("unshare", ["unshare", *user, "--net", sys.executable, __file__, "--inside", *sys.argv[1:]])
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    names = options.implementation or [each.name for each in IMPLEMENTATIONS]
    implementations = [each for each in IMPLEMENTATIONS if each.name in names]
    rows = [row for row in ROWS if options.only in row.name]
    jobs = [Session(each, row, seed) for seed in range(options.runs) for row in rows
            for each in implementations]
    if not jobs:
        sys.exit("nothing has these names")
    for each in implementations:
        if not os.path.exists(each.command[0]):
            sys.exit(f"{each.name} is missing: {each.command[0]}")
    lanes = [Lane() for _ in range(options.lanes)]
    try:
        done = run(jobs, lanes)
    finally:
        for lane in lanes:
            for host in lane.hosts:
                host.process.kill()
                host.process.communicate()
    print(f"{options.runs} runs each: p50 / p95 in ms")
    table(done, implementations, rows)


def parse_flags():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=30, help="of each cell (default 30)")
    parser.add_argument("--lanes", type=int, default=4, help="sessions at a time (default 4)")
    parser.add_argument("--only", default="", metavar="SUBSTRING", help="rows whose name contains this")
    parser.add_argument("--implementation", action="append", metavar="NAME",
                        help="only this one (repeatable)")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
