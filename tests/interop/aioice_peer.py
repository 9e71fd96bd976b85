#!/usr/bin/env python3
"""One aioice connection on real sockets, driven over standard input and output
in the line protocol of `examples/peer.rs`, so that the harness can cross-wire it
with any other peer that speaks the protocol.

It knows nothing of the other side: every line it prints is meant to be piped
there, every line it takes comes from there or from the harness.
"""

import argparse
import asyncio
import ipaddress
import os
import socket
import threading

import aioice
import aioice.ice

INPUT_GRACE = 0.5
"""Seconds the connection outlives the end of its input."""

WATCH_INTERVAL = 0.02
"""Seconds between two looks at what aioice has no event for."""

MAX_LINE = 1 << 20
"""Bytes of the longest line of input."""


def main():
    options = parse_flags()
    if options.bind:
        # aioice has no option for the addresses to gather on, and leaves out loopback.
        aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: options.bind
    asyncio.run(Peer(options).run())


def parse_flags():
    """Exits with 2 on a flag that is unknown or cannot work."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--role", choices=["controlling", "controlled"], required=True)
    parser.add_argument("--stun", metavar="HOST:PORT", type=server)
    parser.add_argument("--turn", metavar="USER:PASS@HOST:PORT", type=turn_server)
    parser.add_argument("--turn-transport", choices=["udp", "tcp", "tls"], default="udp")
    parser.add_argument("--relay-only", action="store_true")
    parser.add_argument(
        "--bind", metavar="IP", type=address, action="append", default=[],
        help="IP to gather on (repeatable; loopback is allowed when named)",
    )
    parser.add_argument(
        "--hold", action="store_true", help="gather when the line `gather` comes, not at the start")
    parser.add_argument("--echo", action="store_true", help="send every datagram back")
    options = parser.parse_args()
    if options.relay_only and not options.turn:
        parser.error("--relay-only needs --turn")
    return options


def address(text):
    """An address to gather on; aioice itself passes over what it cannot bind."""
    ip = ipaddress.ip_address(text)
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(ip), 0))
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text}: {error}") from None
    return str(ip)


def server(text):
    host, colon, port = text.rpartition(":")
    if not (host and colon):
        raise ValueError(text)
    return host.strip("[]"), int(port)


def turn_server(text):
    account, _, where = text.rpartition("@")
    user, colon, password = account.partition(":")
    if not colon:
        raise ValueError(text)
    return user, password, server(where)


class Peer:
    def __init__(self, options):
        self.options = options
        self.tasks = set()
        self.remote = None
        self.gathered = asyncio.Event()
        self.closing = False
        self.connection = aioice.Connection(
            ice_controlling=options.role == "controlling",
            stun_server=options.stun,
            transport_policy=(
                aioice.TransportPolicy.RELAY if options.relay_only
                else aioice.TransportPolicy.ALL
            ),
            **self.turn_options(),
        )

    def turn_options(self):
        if not self.options.turn:
            return {}
        user, password, where = self.options.turn
        return {
            "turn_server": where,
            "turn_username": user,
            "turn_password": password,
            "turn_transport": "udp" if self.options.turn_transport == "udp" else "tcp",
            "turn_ssl": self.options.turn_transport == "tls",
        }

    async def run(self):
        say(f"role {self.options.role}")
        say(f"credentials {self.connection.local_username} {self.connection.local_password}")
        if not self.options.hold:
            self.spawn(self.gather())
        self.spawn(self.watch())
        lines = standard_input()
        while True:
            try:
                line = await lines.readline()
            except ValueError as error:
                say(f"error {error}")
                continue
            if not line:
                await asyncio.sleep(INPUT_GRACE)
                break
            command, _, argument = line.decode(errors="replace").rstrip("\r\n").partition(" ")
            if command == "close":
                break
            try:
                await self.obey(command, argument)
            except (ValueError, ConnectionError) as error:
                say(f"error {command}: {error}")
        self.closing = True
        await self.connection.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        say("state closed")

    async def obey(self, command, argument):
        if command == "parameters":
            self.connection.remote_is_lite = "lite" in argument.split()
        elif command == "credentials":
            self.take_credentials(argument)
        elif command == "candidate":
            candidate = aioice.Candidate.from_sdp(argument)
            # Tasks start in the order of their making, so end-of-candidates stays
            # last although the name of a candidate may take a while to resolve.
            self.spawn(self.take_candidate(candidate))
        elif command == "end-of-candidates":
            self.spawn(self.take_candidate(None))
        elif command == "send":
            await self.connection.send(argument.encode())
        elif command == "gather":
            self.spawn(self.gather())
        elif command == "restart":
            raise ValueError("aioice cannot restart")
        elif command:
            raise ValueError("unknown command")

    def take_credentials(self, argument):
        ufrag, password = argument.split()
        if self.remote is None:
            self.remote = argument
            self.connection.remote_username = ufrag
            self.connection.remote_password = password
            self.spawn(self.connect())
        elif self.remote != argument:
            raise ValueError("aioice cannot follow a restart")

    async def take_candidate(self, candidate):
        await self.connection.add_remote_candidate(candidate)

    async def gather(self):
        await self.connection.gather_candidates()
        for candidate in self.connection.local_candidates:
            say(f"candidate {candidate.to_sdp()}")
        say("end-of-candidates")
        self.gathered.set()

    async def connect(self):
        await self.gathered.wait()
        say("state checking")
        try:
            await self.connection.connect()
        except ConnectionError as error:
            if not self.closing:
                say(f"why {error}")
                say("state failed")
            return
        say("state connected")
        await self.receive()

    async def receive(self):
        while True:
            try:
                data = await self.connection.recv()
            except ConnectionError:
                if not self.closing:
                    # Consent expired, and aioice has closed the connection.
                    say("state failed")
                return
            say(f"recv {data.decode(errors='replace')}")
            if self.options.echo:
                await self.connection.send(data)

    async def watch(self):
        """Prints the role and the selected pair when they change."""
        role, selected = self.options.role, None
        while True:
            await asyncio.sleep(WATCH_INTERVAL)
            current = "controlling" if self.connection.ice_controlling else "controlled"
            if role != current:
                role = current
                say(f"role {role}")
            # The pair in use is not public in aioice.
            pair = self.connection._nominated.get(1)
            if pair is not None and selected != self.describe(pair):
                selected = self.describe(pair)
                say(f"selected {selected}")

    def describe(self, pair):
        local, remote = pair.local_candidate, pair.remote_candidate
        transport = f"relay-{self.options.turn_transport}" if local.type == "relay" else "udp"
        return (
            f"{endpoint(pair.local_addr)} {endpoint(pair.remote_addr)} "
            f"{local.type} {remote.type} {transport}"
        )

    def spawn(self, coroutine):
        task = asyncio.create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.reap)

    def reap(self, task):
        self.tasks.discard(task)
        if not task.cancelled() and task.exception() and not self.closing:
            say(f"error {task.exception()}")


def standard_input():
    """Standard input of any kind; asyncio's own pipes refuse files and devices."""
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader(limit=MAX_LINE)

    def feed():
        try:
            while chunk := os.read(0, MAX_LINE):
                loop.call_soon_threadsafe(lines.feed_data, chunk)
            loop.call_soon_threadsafe(lines.feed_eof)
        except RuntimeError:
            # The loop has ended, and with it all interest in the rest.
            pass

    threading.Thread(target=feed, daemon=True).start()
    return lines


def endpoint(host_and_port):
    host, port = host_and_port
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def say(line):
    """Prints one line of the protocol."""
    try:
        print(line.replace("\r", " ").replace("\n", " "), flush=True)
    except BrokenPipeError:
        os._exit(1)


if __name__ == "__main__":
    main()
