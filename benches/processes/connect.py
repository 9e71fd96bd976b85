#!/usr/bin/env python3
"""Measures how long two ICE peer processes of one implementation take to connect over an emulated link.

Network namespaces are joined by TUN devices (`lanes.py`), between which this program carries the
packets: with delay, with loss from a seed that is the same for all implementations, and not at all to
addresses that nobody has. Needs root (or user namespaces) and /dev/net/tun, for the rows with NATs
nftables and coturn; Python 3.11, standard library only.

Without servers both sides have gathered before the clock starts; then each is told at one instant all
that the other one has said. With a server the clock contains the gathering: when both are ready, each
is told at one instant the other's credentials and `gather`, and from then on each candidate of the
other one, when it says it. What counts is when the later of both prints `state connected` (data may
flow), and when both have printed a `selected` line.
"""

import argparse
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from lanes import SERVER, Nats, Wire
from networks import PASSWORD, PORT_RESTRICTED, SYMMETRIC, USER

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TARGET = ROOT / "target"

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
    nats: str = ""
    """The rules of both sides' NATs."""
    server: tuple = ()
    """The flags that name the server."""

    def lane(self):
        return Nats(self.nats) if self.nats else Wire()


STUN = ("--stun", f"{SERVER}:3478")
TURN = ("--turn", f"{USER}:{PASSWORD}@{SERVER}:3478")
ROWS = [
    Row("50 ms, 0 %", 0.050, 0.0),
    Row("50 ms, 5 %", 0.050, 0.05),
    Row("50 ms, 20 %", 0.050, 0.20),
    Row("150 ms, 5 %", 0.150, 0.05),
    Row("10 ms, 6 dead remote candidates ahead", 0.010, 0.0, dead=True),
    Row("10 ms, port-restricted NATs, STUN", 0.010, 0.0, nats=PORT_RESTRICTED, server=STUN),
    Row("10 ms, symmetric NATs, TURN", 0.010, 0.0, nats=SYMMETRIC, server=TURN),
]


@dataclass(frozen=True)
class Implementation:
    name: str
    command: tuple
    says_end: bool = True
    """It prints `end-of-candidates`."""
    credentials_first: bool = False
    """Its controlled side tells and gathers nothing before it has the other's credentials."""
    asks_servers: bool = True


IMPLEMENTATIONS = [
    Implementation("frazil", (str(TARGET / "release/examples/peer"), "--pacing", "20")),
    Implementation("frazil, Ta 50 ms", (str(TARGET / "release/examples/peer"),)),
    Implementation("libjuice", (str(TARGET / "processes/libjuice-peer"),), credentials_first=True),
    Implementation("aioice", (str(TARGET / "interop/venv/bin/python"),
                              str(ROOT / "tests/interop/aioice_peer.py"))),
    Implementation("libnice", (str(TARGET / "processes/libnice-peer"),)),
    Implementation("pion", (str(TARGET / "interop/pion-peer"),), says_end=False),
    *(Implementation(name, (str(HERE.parent / "peers/target/release/peer"), name), asks_servers=False)
      for name in ("is", "is-str0m", "rtc-ice", "rice")),
]


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

    def is_ready(self, holds, says_end, now):
        """It has told all that the clock waits for."""
        if holds:
            return bool(self.credentials)
        quiet = not says_end and self.candidates and now > self.heard + QUIET
        return bool(self.credentials and (self.ended or quiet))

    def write(self, lines):
        try:
            os.write(self.process.stdin.fileno(), ("\n".join(lines) + "\n").encode())
        except BrokenPipeError:
            # It has ended, which is read from its output.
            pass


class Session:
    """One try of one implementation: two processes."""

    def __init__(self, implementation, row, seed):
        self.implementation, self.row, self.seed = implementation, row, seed
        self.told = 0.0
        self.over = False
        self.trouble = ""

    def start(self, hosts, addresses):
        self.began = time.monotonic()
        self.sides = []
        flags = (*self.row.server, "--hold") if self.row.server else ()
        for host, role, address in zip(hosts, ROLES, addresses):
            command = [*host.enter, *self.implementation.command, "--role", role, "--bind", address,
                       *flags]
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
            self.pass_on(index, line)
        elif word == "end-of-candidates":
            side.ended = True
            self.pass_on(index, line)
        elif word == "state" and rest in ("connected", "completed"):
            side.connected = side.connected or now
        elif word == "selected":
            side.selected = side.selected or now
        elif word == "state" and rest == "failed":
            self.end("failed")

    def pass_on(self, index, line):
        if self.row.server:
            self.sides[1 - index].write([line])

    def step(self, now):
        holds, says_end = bool(self.row.server), self.implementation.says_end
        if not self.told:
            if all(side.is_ready(holds, says_end, now) for side in self.sides):
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
            rest = ["gather"] if self.row.server else [*candidates, "end-of-candidates"]
            messages.append([*lines, *rest])
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


def run_all(jobs, lanes):
    """Runs all sessions, so many at a time, with those together that have the same network."""
    done = []
    for nats in dict.fromkeys(job.row.nats for job in jobs):
        of_network = [job for job in jobs if job.row.nats == nats]
        hosts = []
        try:
            while len(hosts) < lanes:
                hosts.append(of_network[0].row.lane())
            run(of_network, hosts, done, len(jobs))
        finally:
            for lane in hosts:
                lane.remove()
    return done


def run(jobs, lanes, done, total):
    jobs = list(reversed(jobs))
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
            inputs |= {tun: (lane.carry, end) for end, tun in enumerate(lane.tuns)}
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
                     if each.asks_servers or not row.server else ""
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
            for each in implementations if each.asks_servers or not row.server]
    if not jobs:
        sys.exit("nothing has these names")
    for each in implementations:
        if not os.path.exists(each.command[0]):
            sys.exit(f"{each.name} is missing: {each.command[0]}")
    done = run_all(jobs, options.lanes)
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
