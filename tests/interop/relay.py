#!/usr/bin/env python3
"""Cross-wires two ICE peer processes with coturn between them: on loopback, and behind NATs.

The cases are rows of the table below; all else is in `run.py`, the networks in `networks.py`.
"""

import sys
import time
from functools import partial

import run
from networks import NO_UDP, PASSWORD, PORT_RESTRICTED, SYMMETRIC, USER, Nats, OneHost
from run import LOOPBACK, ROLES, Case, Failure, Session, Side

# ---------------------------------------------------------------- the table

TURN_PORTS = {"udp": 3478, "tcp": 3478, "tls": 5349}


def turn(ip, transport="udp"):
    flags = ("--turn", f"{USER}:{PASSWORD}@{ip}:{TURN_PORTS[transport]}")
    return flags if transport == "udp" else (*flags, "--turn-transport", transport)


STUN = ("--stun", "192.0.2.1:3478")
TURN = turn("192.0.2.1")
SHORT = ("--stale-nonce=30", "--max-allocate-lifetime=60")
"""What makes a server forget everything within a minute."""


def relayed(peer, role, transport="udp"):
    """A side that has nothing but a relayed candidate."""
    flags = (*LOOPBACK, *turn("127.0.0.1", transport), "--relay-only")
    return Side(peer, role, flags, path=f"relay-{transport}", kind="relay")


def on_loopback(a, b, then=(), **options):
    return Case(a, b, then, place=options.pop("place", OneHost), **options)


def behind(a, b, flags, other_flags, expected, peer="frazil", then=(), **options):
    """Both sides behind NATs, in both roles. What is expected of the kind of pair are the words of
    side a, and of side b."""
    (path, kind), (other_path, other_kind) = expected
    place = partial(Nats, a, b, **options.pop("server", {}))
    return [
        Case(Side("frazil", role, flags, path, kind),
             Side(peer, other, other_flags, other_path, other_kind), then, place=place, **options)
        for role, other in ROLES.items()
    ]


DIRECT = ("udp", "srflx")
"""Each at the address at which the STUN server saw it."""
CASES = [
    # Alongside: they wait.
    *behind(SYMMETRIC, SYMMETRIC, TURN, STUN, (("relay-udp", "relay"), ("udp", "prflx")),
            then=("both talk for three minutes",), server={"server_flags": SHORT},
            note="a server that forgets within a minute", alongside=True)[:1],
    *behind(SYMMETRIC, SYMMETRIC, TURN, STUN, (("relay-udp", "relay"), ("udp", "prflx")),
            then=("the server restarts",), note="a server that starts anew", alongside=True)[:1],
    *behind(PORT_RESTRICTED, PORT_RESTRICTED, STUN, STUN, (DIRECT, DIRECT),
            note="two port-restricted NATs"),
    *behind(SYMMETRIC, PORT_RESTRICTED, TURN, STUN, (("relay-udp", "relay"), DIRECT),
            note="a symmetric and a port-restricted NAT"),
    *behind(SYMMETRIC, SYMMETRIC, TURN, TURN, (("relay-udp", "relay"), ("", "")),
            note="two symmetric NATs"),
    *(
        case for transport in ("tcp", "tls") for case in
        behind(NO_UDP, PORT_RESTRICTED, turn("192.0.2.1", transport), STUN,
               ((f"relay-{transport}", "relay"), DIRECT), note="a firewall that carries TCP only")
    ),
]


# ------------------------------------------------------------- what is checked

PAUSE = 1.0
"""Seconds between two exchanges of a long case."""
RECOVERY = 60.0
"""Seconds within which data must flow again after the server has lost everything."""


def talk(session, seconds):
    """Data flows all the time, while what the server knows expires many times."""
    server = session.hosts.server
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        session.use()
        time.sleep(PAUSE)
    for what in ("error 438", "refreshed", "CHANNEL_BIND processed, success"):
        if not server.count(what):
            raise Failure(f"the server has not logged: {what}")


def restart_server(session):
    """The server forgets all allocations, and tells nobody."""
    session.hosts.server.restart()
    for peer in session.peers:
        peer.may_complain = True
    end = time.monotonic() + RECOVERY
    number = 0
    while True:
        number += 1
        text = f"again {number}"
        for peer in session.peers:
            peer.write(f"send {text}")
        time.sleep(PAUSE)
        with session.news:
            if all(peer.received[text] for peer in session.peers):
                break
        if time.monotonic() > end:
            raise Failure(f"no data within {RECOVERY:g} s of the restart of the server")
    for peer in session.peers:
        peer.may_complain = False


run.STEPS |= {
    "talk for three minutes": lambda session, _: talk(session, 180),
    "server restarts": lambda session, _: restart_server(session),
}

if __name__ == "__main__":
    sys.exit(run.main(CASES))
