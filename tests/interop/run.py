#!/usr/bin/env python3
"""Cross-wires two ICE peer processes and checks that they connect and talk.

A peer is any program that speaks the line protocol of `examples/peer.rs` on its
standard input and output. Signalling lines of one side are piped to the other;
everything else is watched here. A case is a row of the table below.
"""

import argparse
import ipaddress
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from hosts import Failure, Hosts, WithoutUdp

HERE = Path(__file__).resolve().parent
BUILT = HERE.parent.parent / "target" / "interop"

# ---------------------------------------------------------------- the table

LOOPBACK = ("--bind", "127.0.0.1")
TWO_ADDRESSES = (*LOOPBACK, "--bind", "127.0.0.2")
AGGRESSIVE = ("--nomination", "aggressive")
RENOMINATION = ("--nomination", "renomination")
CONTINUAL = ("--continual",)
WIRE = ("--bind", "192.0.2.1")
"""The IPv4 address of the first of two hosts with a wire between them."""
OTHER_WIRE = ("--bind", "192.0.2.2")
"""That of the second one."""
TCP = ("--tcp",)
TCP_ALONE = ("--tcp", "--no-udp")
ACTIVE_ALONE = ("--tcp-active", "--no-udp")
NAMES = ("--mdns", "gather")

ROLES = {"controlling": "controlled", "controlled": "controlling"}

BROWSERS = {"chromium"}
"""Peers that have ICE only: DTLS is not there to carry data. A browser cannot be kept to
loopback either, so its cases have two hosts of their own, with a wire between them."""

SEAMLESS = {"frazil"}
"""Peers whose old path carries data during a restart, until the new one is selected."""


@dataclass(frozen=True)
class Side:
    """One peer of a case: which program, in which role, with which flags."""

    peer: str
    role: str
    flags: tuple = LOOPBACK
    path: str = ""
    """If set, the last word that the side's `selected` line must have."""
    kind: str = ""
    """If set, the type of its own candidate that the line must have."""
    untold: bool = False
    """Its candidates are kept from the other side, which can only be found by what it tells."""

    def __str__(self):
        # What nearly every row has would only make its name longer.
        if self.flags[:4] == TWO_ADDRESSES:
            extra = ("two addresses", *self.flags[4:])
        elif self.flags[:2] in (LOOPBACK, WIRE, OTHER_WIRE):
            extra = self.flags[2:]
        elif "--bind" in self.flags or self.peer in BROWSERS:
            extra = self.flags
        else:
            extra = ("any address", *self.flags)
        untold = ["untold"] if self.untold else []
        return " ".join([self.peer, self.role, *extra, *untold])


@dataclass(frozen=True)
class Case:
    """Two sides that must connect, exchange data both ways and close cleanly; with a browser,
    stay connected instead of exchanging data."""

    a: Side
    b: Side
    then: tuple = ()
    """What happens after the first exchange: a side and one of STEPS, such as "a restarts". After
    each of them all is checked again."""
    deadline: float = 20.0
    """Seconds within which both must be connected over one pair."""
    place: Callable | None = None
    """Makes the hosts that the sides run on, if not this one: with `all`, one a side; with `nat`, if
    they see each other at other addresses than their own; with `remove` for afterwards."""
    alongside: bool = False
    """It waits more than it works, so that others run meanwhile."""
    record: bool = False
    """Each frazil side is recorded, and what it has sent is reproduced from the log afterwards."""
    note: str = ""
    """Goes into the name, where sides and flags do not tell rows apart."""

    @property
    def name(self):
        recorded = ["recorded"] if self.record else []
        return ", ".join([f"{self.a} x {self.b}", *self.then, *recorded, *filter(None, [self.note])])

    @property
    def has_browser(self):
        return not BROWSERS.isdisjoint((self.a.peer, self.b.peer))


def both_roles(first, second):
    """The rows that every pair of peers has; one row if they are the same program."""
    if second in BROWSERS:
        return browser_rows(first, second)
    if first in BROWSERS:
        return browser_rows(second, first)
    rows = [
        Case(Side(first, role), Side(second, other)) for role, other in ROLES.items()
    ]
    return rows[:1] if first == second else rows


def browser_rows(peer, browser):
    """Both roles: over IPv4, with the browser's addresses told and hidden behind names, and with
    a choice of IPv4 and IPv6."""
    return [
        Case(Side(peer, role, flags), Side(browser, other, mdns))
        for flags, mdns in ((WIRE, ()), (WIRE, ("--mdns", "gather")), ((), ()))
        for role, other in ROLES.items()
    ]


def restart_rows(peer, flags=LOOPBACK, other_flags=LOOPBACK):
    """Both roles, and a restart of either side, then of the other one."""
    return [
        Case(Side("frazil", role, flags), Side(peer, other, other_flags), then)
        for role, other in ROLES.items()
        for then in (("a restarts", "b restarts"), ("b restarts", "a restarts"))
    ]


def roaming_rows():
    """Addresses that go and come on a live session. With renomination there are spare paths from
    the other address; without it what is left takes a restart."""
    spares = (*TWO_ADDRESSES, *RENOMINATION)
    kept = [
        Case(Side("frazil", role, flags), Side("frazil", other, flags), then)
        for role, other in ROLES.items()
        for flags, then in (
            (spares, ("a loses its path",)),
            (spares, ("a loses its path", "a regains its address")),
            (
                (*spares, *CONTINUAL),
                ("a loses its path", "a regains its address", "a loses its path"),
            ),
        )
    ]
    restarted = [
        Case(Side("frazil", role, TWO_ADDRESSES), Side("frazil", other, TWO_ADDRESSES),
             ("a loses its path and restarts",))
        for role, other in ROLES.items()
    ]
    return [*kept, *restarted]


def tcp_rows():
    """ICE-TCP in both roles: frazil opens the connection, accepts it, and with itself does both."""
    return [
        *(
            Case(Side("frazil", role, (*LOOPBACK, *TCP_ALONE), "tcp"),
                 Side("pion", other, (*LOOPBACK, *flags), "tcp"), ("a restarts", "b restarts"))
            for flags in (TCP_ALONE, ACTIVE_ALONE)
            for role, other in ROLES.items()
        ),
        Case(Side("frazil", "controlled", (*LOOPBACK, *TCP_ALONE, "--lite"), "tcp"),
             Side("pion", "controlling", (*LOOPBACK, *ACTIVE_ALONE), "tcp")),
        *(
            Case(Side("frazil", role, (*LOOPBACK, *TCP_ALONE), "tcp"),
                 Side("frazil", other, (*LOOPBACK, *TCP_ALONE), "tcp"),
                 ("a restarts", "b restarts"), record=True)
            for role, other in ROLES.items()
        ),
        Case(Side("frazil", "controlled", (*TWO_ADDRESSES, *TCP_ALONE), "tcp"),
             Side("frazil", "controlling", (*TWO_ADDRESSES, *TCP_ALONE), "tcp"),
             ("a loses its path and restarts",)),
        *(
            Case(Side("frazil", role, (*WIRE, *TCP), "tcp"),
                 Side("frazil", other, (*OTHER_WIRE, *TCP), "tcp"),
                 ("a restarts",), place=WithoutUdp, note="UDP is dropped")
            for role, other in ROLES.items()
        ),
        Case(Side("frazil", "controlling", TCP, "tcp"), Side("frazil", "controlled", TCP, "tcp"),
             ("b restarts",), place=WithoutUdp, note="UDP is dropped"),
        *(
            Case(Side("frazil", role, (*WIRE, *flags), "tcp"), Side("chromium", other, (), "tcp"),
                 then, place=place, note=note)
            for flags, then, place, note in (
                (TCP_ALONE, ("a restarts", "b restarts"), None, ""),
                (TCP, (), WithoutUdp, "UDP is dropped"),
            )
            for role, other in ROLES.items()
        ),
        Case(Side("frazil", "controlled", (*WIRE, *TCP_ALONE, "--lite"), "tcp"),
             Side("chromium", "controlling", (), "tcp")),
    ]


def name_rows():
    """Names of multicast DNS on both sides. Of two rows with the same peers, one keeps the names of
    the one side untold, so that it is the one that resolves, the other those of the other side."""
    return [
        *(
            Case(Side("frazil", role, (*WIRE, *NAMES), untold=untold == "frazil"),
                 Side(peer, other, (*((), OTHER_WIRE)[peer not in BROWSERS], *NAMES),
                      untold=untold == peer),
                 place=Hosts)
            for peer in ("pion", "chromium")
            for role, other in ROLES.items()
            for untold in ("frazil", peer)
        ),
        *(
            Case(Side("frazil", role, (*flags, *NAMES), untold=True),
                 Side("frazil", other, (*other_flags, *NAMES)),
                 then, place=Hosts)
            for flags, other_flags, then in (
                (WIRE, OTHER_WIRE, ()), ((), (), ("a restarts", "b restarts")),
            )
            for role, other in ROLES.items()
        ),
        Case(Side("frazil", "controlling", (*TCP_ALONE, *NAMES), "tcp"),
             Side("frazil", "controlled", (*TCP_ALONE, *NAMES), "tcp"), place=Hosts),
    ]


CASES = [
    *both_roles("frazil", "pion"),
    *both_roles("frazil", "aioice"),
    *both_roles("frazil", "frazil"),
    *both_roles("frazil", "chromium"),
    *(
        Case(Side("frazil", "controlled", (*LOOPBACK, "--lite")), Side(peer, "controlling"))
        for peer in ("pion", "aioice", "frazil")
    ),
    Case(Side("frazil", "controlling"), Side("pion", "controlled", (*LOOPBACK, "--lite"))),
    Case(Side("frazil", "controlled", ("--lite",)), Side("chromium", "controlling", ())),
    *restart_rows("pion"),
    *restart_rows("frazil")[:2],
    *restart_rows("chromium", WIRE, ()),
    *(
        Case(Side("frazil", "controlled", (*LOOPBACK, "--lite")), Side(peer, "controlling"),
             ("a restarts", "b restarts"))
        for peer in ("pion", "frazil")
    ),
    *(
        Case(Side("frazil", "controlling", (*LOOPBACK, *AGGRESSIVE)), Side(peer, "controlled"))
        for peer in ("pion", "aioice", "frazil")
    ),
    Case(Side("frazil", "controlling", (*WIRE, *AGGRESSIVE)), Side("chromium", "controlled", ())),
    Case(Side("frazil", "controlling", AGGRESSIVE), Side("chromium", "controlled", ())),
    *(
        Case(Side("frazil", role, (*WIRE, "--networks")), Side("chromium", other, ()))
        for role, other in ROLES.items()
    ),
    *(
        Case(Side("frazil", "controlling", (*LOOPBACK, *RENOMINATION)), Side(peer, "controlled"))
        for peer in ("pion", "aioice")
    ),
    Case(Side("frazil", "controlling", (*TWO_ADDRESSES, *RENOMINATION)),
         Side("frazil", "controlled", (*TWO_ADDRESSES, *RENOMINATION)),
         ("a restarts", "b restarts")),
    *roaming_rows(),
    *(
        Case(Side("frazil", role), Side("pion", other), ("a restarts",), record=True)
        for role, other in ROLES.items()
    ),
    *tcp_rows(),
    *name_rows(),
]

# ------------------------------------------------------------- what is checked

SIGNALLING = {"parameters", "credentials", "candidate", "end-of-candidates"}
CONNECTED = {"connected", "completed"}

START_DEADLINE = 60.0
"""Seconds until a process must have printed its credentials: a browser that has never run on a
machine takes more than ten to start."""
DATA_DEADLINE = 20.0
"""Seconds until every datagram of an exchange must have arrived."""
HOLD = 5.0
"""Seconds for which both must stay connected where there is no exchange. libwebrtc counts a path
on which nothing came for 2.5 s as disconnected."""
STATS_DEADLINE = 20.0
"""Seconds until statistics must show what was to happen."""
STATS_INTERVAL = 0.1
"""Seconds between two questions for statistics."""
REPLAY_DEADLINE = 60.0
"""Seconds that playing a recorded session may take."""
ALONGSIDE = 8
"""Cases that run at once beside the others, of those that may."""
EXIT_DEADLINE = 30.0
"""Seconds until a process must have ended after `close`."""

PAYLOADS = ["first", "second with spaces", "drittes: grüße, 氷", "x" * 1100, "last"]
"""What each side sends in an exchange; the longest stays below any usual MTU."""


def run_case(case, commands):
    """Returns the seconds that the case took to connect."""
    session = Session(case, commands)
    try:
        session.start()
        seconds = session.connect()
        session.use()
        for step in case.then:
            session.step(step)
            session.connect()
            session.use()
        session.close()
        session.replay()
        return seconds
    except Failure as failure:
        raise Failure(f"{failure}\n{session.transcript()}") from None
    finally:
        session.kill()


class Session:
    """Two running peers, wired to each other."""

    def __init__(self, case, commands):
        self.case = case
        # Guards and announces everything that the readers learn of either peer.
        self.news = threading.Condition()
        self.began = time.monotonic()
        self.hosts = None
        self.exchanges = 0
        self.commands = commands
        self.folder = tempfile.TemporaryDirectory() if case.record else None
        self.a = Peer("a", case.a, commands, self)
        self.b = Peer("b", case.b, commands, self)

    @property
    def peers(self):
        return (self.a, self.b)

    def other(self, peer):
        return self.b if peer is self.a else self.a

    def start(self):
        place = self.case.place or (Hosts if self.case.has_browser else None)
        if place:
            self.hosts = place()
            for peer, host in zip(self.peers, self.hosts.all):
                peer.command = [*host.enter, *peer.command]
        # Both must run before either is read: a line is piped as soon as it comes.
        for peer in self.peers:
            peer.spawn()
        for peer in self.peers:
            peer.read(self.other(peer))
        self.wait("credentials of both sides", START_DEADLINE,
                  lambda: self.a.generation and self.b.generation)

    def connect(self):
        """Waits until both sides are connected over the same pair."""
        begin = time.monotonic()
        self.wait("both sides connected over one pair", self.case.deadline, self.is_connected)
        for peer in self.peers:
            if peer.side.path and peer.selected.path != peer.side.path:
                raise Failure(
                    f"{peer.tag} selected {peer.selected.path}, expected {peer.side.path}"
                )
            if peer.side.kind and peer.selected.kind != peer.side.kind:
                raise Failure(
                    f"{peer.tag} selected {peer.selected.kind}, expected {peer.side.kind}"
                )
        return time.monotonic() - begin

    def is_connected(self):
        return (
            all(peer.state in CONNECTED and peer.selected for peer in self.peers)
            and self.a.selected.mirrors(self.b.selected, getattr(self.hosts, "nat", False))
        )

    def use(self):
        """Sees that the path works."""
        if self.case.has_browser:
            self.hold()
        else:
            self.exchange(*self.peers)

    def hold(self):
        """Sees both sides stay connected, and what a browser sends, its ClientHello, arrive."""
        deadline = time.monotonic() + HOLD
        with self.news:
            while (left := deadline - time.monotonic()) > 0:
                for peer in self.peers:
                    if peer.trouble:
                        raise Failure(f"staying connected: {peer.tag} {peer.trouble}")
                    if peer.state not in CONNECTED:
                        raise Failure(f"{peer.tag} did not stay connected: {peer.state}")
                self.news.wait(left)
        self.wait("both sides still on one pair", DATA_DEADLINE, self.is_connected)
        for peer in self.peers:
            if peer.side.peer not in BROWSERS and not peer.received:
                raise Failure(f"{peer.tag} received nothing from the browser")
            if peer.side.peer == "frazil" and self.other(peer).side.peer == "chromium":
                self.see(peer, "the networks of the browser", tells_networks)

    def exchange(self, *senders):
        """Sends every payload from each of these and waits for all of them, each exactly once."""
        self.exchanges += 1
        expected = {}
        with self.news:
            for peer in self.peers:
                peer.received.clear()
        for peer in senders:
            texts = [f"{self.exchanges}{peer.tag}{i} {text}" for i, text in enumerate(PAYLOADS)]
            expected[self.other(peer)] = Counter(texts)
            for text in texts:
                peer.write(f"send {text}")
        self.wait(
            "all data", DATA_DEADLINE,
            lambda: all(peer.received.total() >= texts.total() for peer, texts in expected.items()),
        )
        for peer, texts in expected.items():
            if peer.received != texts:
                raise Failure(f"{peer.tag} received other data than was sent")

    def step(self, step):
        tag, _, what = step.partition(" ")
        STEPS[what](self, self.a if tag == "a" else self.b)

    def restart(self, peer):
        self.renew(peer, "restart")

    def renew(self, peer, line, has_path=True):
        """Restarts the session by a line to this side, and waits until both have new credentials.
        Where there is a path, it carries data meanwhile if both sides keep it."""
        with self.news:
            before = {peer: peer.generation for peer in self.peers}
        peer.write(line)
        if has_path and all(peer.side.peer in SEAMLESS for peer in self.peers):
            self.exchange(*self.peers)
        self.wait(
            "new credentials of both sides", START_DEADLINE,
            lambda: all(peer.generation > before[peer] for peer in self.peers),
        )

    def lose_path(self, peer):
        """Takes the address of the selected pair away; data goes on at once."""
        ip = peer.selected.local[0]
        self.see(peer, "another path", lambda stats: valid_addresses(stats) - {ip})
        self.take_down(peer, ip)
        self.exchange(peer)

    def lose_path_and_restart(self, peer):
        """Takes the address of the only valid pair away; what is left takes a restart."""
        self.take_down(peer, peer.selected.local[0])
        self.renew(peer, "restart", has_path=False)

    def take_down(self, peer, ip):
        with self.news:
            peer.lost = ip
            for each in self.peers:
                each.selected = None
        peer.write(f"network {ip} down")

    def regain_address(self, peer):
        """Gives back the address that was lost: by a restart, or as one more candidate."""
        line = f"network {peer.lost} up"
        if "--continual" not in peer.side.flags:
            self.renew(peer, line)
            return
        peer.write(line)
        self.see(peer, f"a path from {peer.lost}", lambda stats: peer.lost in valid_addresses(stats))

    def see(self, peer, what, condition):
        """Asks a side for its statistics until they are as they should be."""
        deadline = time.monotonic() + STATS_DEADLINE
        while True:
            with self.news:
                peer.stats = None
            peer.write("stats")
            self.wait(f"the statistics of {peer.tag}", DATA_DEADLINE, lambda: peer.stats)
            if condition(peer.stats):
                return
            if time.monotonic() > deadline:
                raise Failure(f"{peer.tag} has not found {what} within {STATS_DEADLINE:g} s")
            time.sleep(STATS_INTERVAL)

    def close(self):
        with self.news:
            for peer in self.peers:
                peer.closing = True
        for peer in self.peers:
            peer.write("close")
        for peer in self.peers:
            peer.finish()
        for peer in self.peers:
            if peer.process.returncode != 0:
                raise Failure(f"{peer.tag} ended with exit code {peer.process.returncode}")
            if peer.trouble:
                raise Failure(f"{peer.tag} {peer.trouble}")

    def replay(self):
        """Plays what was recorded: every transmit has to come once more, byte for byte."""
        for peer in filter(lambda peer: peer.record, self.peers):
            command = [self.commands["replay"][0], peer.record]
            done = subprocess.run(command, capture_output=True, text=True, timeout=REPLAY_DEADLINE)
            if done.returncode != 0:
                raise Failure(f"the replay of {peer.tag}: {done.stderr.strip()}")
            transmits = re.search(r"(\d+) transmits", done.stdout)
            if not transmits or int(transmits[1]) == 0:
                raise Failure(f"the replay of {peer.tag} sent nothing")

    def wait(self, what, seconds, condition):
        """Waits for news to make `condition` true; a peer that gave up ends it early."""
        deadline = time.monotonic() + seconds
        with self.news:
            while not condition():
                for peer in self.peers:
                    if peer.trouble:
                        raise Failure(f"waiting for {what}: {peer.tag} {peer.trouble}")
                left = deadline - time.monotonic()
                if left <= 0:
                    raise Failure(f"waiting for {what}: not within {seconds:g} s")
                self.news.wait(left)

    def transcript(self):
        with self.news:
            told = [*self.peers, *filter(None, [getattr(self.hosts, "server", None)])]
            return "\n".join(each.transcript() for each in told)

    def kill(self):
        for peer in self.peers:
            peer.kill()
        if self.hosts:
            self.hosts.remove()
        if self.folder:
            self.folder.cleanup()


STEPS = {
    "restarts": Session.restart,
    "loses its path": Session.lose_path,
    "loses its path and restarts": Session.lose_path_and_restart,
    "regains its address": Session.regain_address,
}


class Peer:
    """One process and what it has said so far."""

    def __init__(self, tag, side, commands, session):
        self.tag = tag
        self.side = side
        self.session = session
        self.command = [*commands[side.peer], "--role", side.role, *side.flags]
        # The file that it is recorded to.
        self.record = None
        if session.folder and side.peer == "frazil":
            self.record = os.path.join(session.folder.name, tag)
            self.command += ["--record", self.record]
        self.process = None
        self.readers = []
        self.writing = threading.Lock()
        self.log = []
        self.closing = False
        # What the lines have told.
        self.generation = 0
        self.state = ""
        self.selected = None
        self.received = Counter()
        self.stats = None
        self.trouble = ""
        # Complaints are part of what is going on.
        self.may_complain = False
        # The address that was taken away.
        self.lost = None

    def spawn(self):
        try:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, text=True, encoding="utf-8", errors="replace",
            )
        except OSError as error:
            raise Failure(f"{self.tag} cannot be started: {error}") from None

    def read(self, other):
        for target, arguments in (
            (self.read_output, (other,)), (self.read_errors, ()),
        ):
            reader = threading.Thread(target=target, args=arguments, daemon=True)
            reader.start()
            self.readers.append(reader)

    def read_output(self, other):
        for line in self.process.stdout:
            line = line.rstrip("\n")
            with self.session.news:
                self.note("<", line)
                self.learn(line)
                self.session.news.notify_all()
            word = line.split(" ", 1)[0]
            if word in SIGNALLING and not (self.side.untold and word == "candidate"):
                other.write(line)
        code = self.process.wait()
        with self.session.news:
            self.note("=", f"exit code {code}")
            if not self.closing:
                self.trouble = f"ended early with exit code {code}"
            self.session.news.notify_all()

    def read_errors(self):
        for line in self.process.stderr:
            with self.session.news:
                self.note("!", line.rstrip("\n"))

    def learn(self, line):
        word, _, rest = line.partition(" ")
        if word == "credentials":
            self.generation += 1
            # What the last generation selected says nothing of this one.
            self.state, self.selected = "", None
        elif word == "state":
            self.state = rest
            if rest == "failed" or (rest == "closed" and not self.closing):
                self.trouble = f"went to state {rest}"
        elif word == "selected":
            try:
                self.selected = Selected.parse(rest)
            except ValueError as error:
                self.trouble = f"printed a selected line that is no such line: {error}"
        elif word == "recv":
            self.received[rest] += 1
        elif word == "stats":
            try:
                self.stats = json.loads(rest)
            except ValueError as error:
                self.trouble = f"printed statistics that are no JSON: {error}"
        elif word == "error" and not self.may_complain:
            self.trouble = self.trouble or f"complained: {rest}"

    def write(self, line):
        """A line that cannot be written is lost; the end of the process is reported elsewhere."""
        with self.session.news:
            self.note(">", line)
        try:
            with self.writing:
                self.process.stdin.write(line + "\n")
                self.process.stdin.flush()
        except (OSError, ValueError):
            pass

    def finish(self):
        try:
            self.process.wait(EXIT_DEADLINE)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.tag} still runs {EXIT_DEADLINE:g} s after close") from None
        for reader in self.readers:
            reader.join(EXIT_DEADLINE)

    def kill(self):
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for reader in self.readers:
            reader.join(EXIT_DEADLINE)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            try:
                stream.close()
            except OSError:
                # Unflushed input of a process that is gone.
                pass

    def note(self, mark, line):
        self.log.append(f"  {time.monotonic() - self.session.began:8.3f} {mark} {line}")

    def transcript(self):
        head = f"--- {self.tag}: {' '.join(self.command)}   (> taken, < printed, ! standard error)"
        return "\n".join([head, *self.log])


@dataclass(frozen=True)
class Selected:
    """The selected pair as one side sees it."""

    local: tuple
    remote: tuple
    kind: str
    path: str

    @classmethod
    def parse(cls, text):
        words = text.split()
        if len(words) != 5:
            raise ValueError(text)
        return cls(endpoint(words[0]), endpoint(words[1]), words[2], words[4])

    def mirrors(self, other, nat=False):
        return self.is_seen_by(other, nat) and other.is_seen_by(self, nat)

    def is_seen_by(self, other, nat):
        # Not every stack tells how a NAT shows its own address.
        return is_same(self.local, other.remote) or (nat and self.kind == "host")


def tells_networks(stats):
    """Whether candidates of the other side have said what their network costs. A browser in a network
    namespace has no number for it."""
    return any(remote.get("networkCost", 0) > 0 for remote in stats["remoteCandidates"])


def valid_addresses(stats):
    """The addresses of this side from which there is a valid pair."""
    addresses = {local["id"]: local["address"] for local in stats["localCandidates"]}
    return {
        ipaddress.ip_address(addresses[pair["localCandidateId"]])
        for pair in stats["candidatePairs"] if pair["valid"]
    }


def endpoint(text):
    """An `ip:port` or `[ip]:port` in comparable form. A browser may hide the address."""
    host, _, port = text.rpartition(":")
    if host == "hidden" or host.endswith(".local"):
        return None, int(port)
    return ipaddress.ip_address(host.strip("[]")), int(port)


def is_same(one, other):
    (ip, port), (other_ip, other_port) = one, other
    return port == other_port and (ip == other_ip or ip is None or other_ip is None)


# ---------------------------------------------------------------- command line


def main(table=CASES, by_hand=()):
    options = parse_flags()
    table = by_hand if options.by_hand else table
    commands = {
        "frazil": [options.frazil],
        "replay": [options.replay or beside(options.frazil, "replay")],
        "pion": [options.pion],
        "aioice": list(options.aioice),
        "chromium": list(options.chromium),
    }
    cases = [case for pair in options.pairs for case in both_roles(*pair)] or table
    cases = [case for case in cases if options.only in case.name]
    if not cases:
        print("no case has that name", file=sys.stderr)
    with ThreadPoolExecutor(max_workers=ALONGSIDE) as alongside:
        results = []
        for round_number in range(1, options.repeat + 1):
            names = [f"{case.name} #{round_number}" if options.repeat > 1 else case.name
                     for case in cases]
            named = list(zip(names, cases))
            results += [alongside.submit(report, name, case, commands)
                        for name, case in named if case.alongside]
            results += [report(name, case, commands)
                        for name, case in named if not case.alongside]
        results = [result if isinstance(result, bool) else result.result() for result in results]
    print(f"{results.count(True)} passed, {results.count(False)} failed")
    return 0 if cases and all(results) else 1


def report(name, case, commands):
    """Runs a case and tells how it went; whether it passed.

    What a browser does depends on how busy the machine is: a case with one that fails is shown, and
    has one more attempt."""
    for attempts_left in (1, 0) if case.has_browser else (0,):
        try:
            require(case, commands)
            seconds = run_case(case, commands)
        except Failure as failure:
            verdict = "once more after" if attempts_left else "FAIL"
            print(f"{verdict} {name}: {failure}", flush=True)
        else:
            print(f"ok   {name}: connected in {seconds:.3f} s", flush=True)
            return True
    return False


def require(case, commands):
    """A peer that is not there fails its cases; it never skips them."""
    recorded = ["replay"] if case.record else []
    for name in dict.fromkeys((case.a.peer, case.b.peer, *recorded)):
        for part in commands[name]:
            if part is None:
                raise Failure(f"no {name} peer was named")
            if not os.path.isfile(part):
                raise Failure(f"the {name} peer is missing: {part}")


def parse_flags():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--frazil", metavar="PATH", help="the frazil peer")
    parser.add_argument("--replay", metavar="PATH",
                        help="the example `replay` (default: the one beside the frazil peer)")
    parser.add_argument("--pion", metavar="PATH", default=str(BUILT / "pion-peer"),
                        help="the pion peer (default: what install.sh builds)")
    parser.add_argument("--aioice", nargs=2, metavar=("PYTHON", "SCRIPT"),
                        default=[str(BUILT / "venv/bin/python"), str(HERE / "aioice_peer.py")],
                        help="an interpreter that has aioice, and the aioice peer")
    parser.add_argument("--chromium", nargs=2, metavar=("NODE", "SCRIPT"),
                        default=[shutil.which("node") or "node",
                                 str(HERE / "browser/chromium_peer.mjs")],
                        help="Node.js, and the Chromium peer")
    parser.add_argument("--only", metavar="SUBSTRING", default="",
                        help="run the cases whose name contains this")
    parser.add_argument("--by-hand", action="store_true",
                        help="the cases that take too long for every day, where there are any")
    parser.add_argument("--repeat", metavar="N", type=count, default=1,
                        help="run everything N times")
    parser.add_argument("--pairs", metavar="A:B", type=pair, action="append", default=[],
                        help="instead of the table, run these two peers in both roles (repeatable)")
    return parser.parse_args()


def beside(path, name):
    """Another program in the same folder."""
    return path and str(Path(path).with_name(name))


def count(text):
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def pair(text):
    names = tuple(text.split(":"))
    if len(names) != 2 or not set(names) <= {"frazil", "pion", "aioice", "chromium"}:
        raise ValueError(text)
    return names


if __name__ == "__main__":
    sys.exit(main())
