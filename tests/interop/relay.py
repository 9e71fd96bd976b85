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
LIFETIME = ("--turn-lifetime", "900")
"""Far more than that. coturn limits what it is asked for; to who asks for nothing it gives ten
minutes by a Refresh."""


def relayed(peer, role, transport="udp", extra=()):
    """A side that has nothing but a relayed candidate. Who cannot be told a transport has UDP."""
    flags = (*LOOPBACK, *turn("127.0.0.1", transport), "--relay-only", *extra)
    return Side(peer, role, flags, f"relay-{transport}", "relay")


def on_loopback(a, b, then=(), place=OneHost, **options):
    return Case(a, b, then, place=place, **options)


def relay_rows():
    """Relays of each transport, on one side and on both, in both roles; with each of the others."""
    rows = []
    for role, other in ROLES.items():
        rows += [
            on_loopback(relayed("frazil", role, transport), Side("frazil", other), record=True)
            for transport in TURN_PORTS
        ]
        for peer in ("frazil", "pion", "aioice"):
            rows += [
                on_loopback(relayed("frazil", role, transport), relayed(peer, other, transport))
                for transport in TURN_PORTS
            ]
        for peer in ("pion", "aioice"):
            rows += [
                on_loopback(relayed("frazil", role), Side(peer, other)),
                on_loopback(Side("frazil", role), relayed(peer, other)),
            ]
    return rows


def behind(a, b, side, other_side, then=(), peer="frazil", server_flags=(), **options):
    """Both sides behind NATs, in both roles. A side is its flags, and what its `selected` line must
    end with and have as its own type."""
    place = partial(Nats, a, b, server_flags=server_flags)
    return [
        Case(Side("frazil", role, *side), Side(peer, other, *other_side), then,
             place=place, **options)
        for role, other in ROLES.items()
    ]


def long_rows():
    """What takes its time: beside the others."""
    forgetful = {"place": partial(OneHost, server_flags=SHORT), "alongside": True,
                 "note": "a server that forgets within a minute"}
    restarted = {"then": ("the server starts anew",), "alongside": True}
    continual = ("--continual",)
    return [
        *(
            on_loopback(relayed("frazil", "controlling", transport, LIFETIME),
                        Side("frazil", "controlled"), ("both talk for three minutes",), **forgetful)
            for transport in TURN_PORTS
        ),
        *(
            on_loopback(relayed("frazil", role, transport), Side("frazil", other), **restarted)
            for transport in TURN_PORTS for role, other in ROLES.items()
        ),
        # A NAT lets in nothing from the new address of the relay until the peer has been told of it.
        *behind(SYMMETRIC, SYMMETRIC, ((*TURN, *continual), "relay-udp", "relay"),
                ((*STUN, *continual), "udp", "prflx"), note="two symmetric NATs", **restarted),
    ]


REFLEXIVE = (STUN, "udp", "srflx")
RELAYED = (TURN, "relay-udp", "relay")
CASES = [
    *long_rows(),
    *relay_rows(),
    *(
        on_loopback(relayed("frazil", role, transport, ("--no-udp",)), Side("frazil", other),
                    record=True)
        for transport, (role, other) in zip(("tcp", "tls"), ROLES.items())
    ),
    on_loopback(relayed("frazil", "controlling", "tls", ("--insecure",)),
                Side("frazil", "controlled"), place=partial(OneHost, trusted=False),
                note="an unknown certificate"),
    *behind(PORT_RESTRICTED, PORT_RESTRICTED, REFLEXIVE, REFLEXIVE,
            note="two port-restricted NATs"),
    *(
        case for peer in ("pion", "aioice") for case in
        behind(PORT_RESTRICTED, PORT_RESTRICTED, REFLEXIVE, (STUN, "udp", ""), peer=peer,
               note="two port-restricted NATs")
    ),
    *behind(SYMMETRIC, PORT_RESTRICTED, RELAYED, REFLEXIVE,
            note="a symmetric and a port-restricted NAT"),
    *behind(SYMMETRIC, SYMMETRIC, RELAYED, (STUN, "udp", "prflx"), note="two symmetric NATs"),
    *behind(SYMMETRIC, SYMMETRIC, (TURN,), (TURN,), ("one of both relays",),
            note="two symmetric NATs"),
    *(
        case for peer in ("pion", "aioice") for case in
        behind(SYMMETRIC, SYMMETRIC, RELAYED, (STUN, "udp", ""), peer=peer,
               note="two symmetric NATs")
    ),
    *(
        case for transport in ("tcp", "tls") for case in
        behind(NO_UDP, PORT_RESTRICTED,
               (turn("192.0.2.1", transport), f"relay-{transport}", "relay"), REFLEXIVE,
               note="a firewall that carries TCP only")
    ),
]

BY_HAND = [
    # Longer than a channel lives, twice as long as a permission.
    on_loopback(relayed("frazil", "controlling", transport), Side("frazil", "controlled"),
                ("both talk for twelve minutes",), alongside=True)
    for transport in TURN_PORTS
]

# ------------------------------------------------------------- what is checked

PAUSE = 1.0
"""Seconds between two exchanges of a long case."""
RECOVERY = 60.0
"""Seconds within which data must flow again after the server has lost everything."""


def talk(session, minutes, expected):
    """Data flows all the time, while what the server knows expires. What is expected is how often its
    log has which words at least."""
    server = session.hosts.server
    seconds = minutes * 60
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        session.use()
        time.sleep(PAUSE)
    for what, least in expected.items():
        if (found := server.count(what)) < least:
            raise Failure(f"the server has logged {what!r} {found} times, expected {least}")


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


def see_relay(session):
    """Symmetric NATs on both sides leave nothing but a relay, on whichever side."""
    if not any(peer.selected.path == "relay-udp" for peer in session.peers):
        raise Failure("neither side relays")


run.STEPS |= {
    "talk for three minutes": lambda session, _:
        talk(session, 3, {"error 438": 3, ": refreshed,": 5}),
    "talk for twelve minutes": lambda session, _:
        talk(session, 12, {"CHANNEL_BIND processed, success": 2, ": refreshed,": 1}),
    "server starts anew": lambda session, _: restart_server(session),
    "of both relays": lambda session, _: see_relay(session),
}

if __name__ == "__main__":
    sys.exit(run.main(CASES, BY_HAND))
