#!/usr/bin/env python3
"""Names of multicast DNS between the example `mdns` and Avahi, on two hosts of their own.

One network namespace has avahi-daemon with a D-Bus of its own, the other the example. A wire joins
them; nothing reaches this machine's network. Needs root, or user namespaces for everybody, and the
Debian packages avahi-daemon, avahi-utils and dbus.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hosts import Failure, Hosts

UUIDS = ("1f4712db-ea17-4bcf-a596-105139dfd8bf.local", "9b36eaac-bb2e-49bb-bb78-21c41c499900.local")
NOBODY = "00000000-0000-4000-8000-000000000000.local"

BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={folder}/bus</listen>
  <policy context="default">
    <allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/>
  </policy>
</busconfig>
"""

AVAHI = """[server]
host-name=avahi
use-ipv4=yes
use-ipv6=yes
allow-interfaces=wire
[publish]
publish-hinfo=no
publish-workstation=no
"""


class Avahi:
    """avahi-daemon on a host, and the programs that talk to it."""

    def __init__(self, host):
        self.host = host
        self.folder = Path(tempfile.mkdtemp(prefix="mdns-"))
        self.folder.chmod(0o755)
        self.env = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={self.folder}/bus"}
        (self.folder / "bus.conf").write_text(BUS.format(folder=self.folder))
        (self.folder / "avahi.conf").write_text(AVAHI)
        self.processes = []
        self.start("dbus-daemon", f"--config-file={self.folder}/bus.conf", "--nofork")
        wait_for(lambda: (self.folder / "bus").exists(), "D-Bus")
        # Its lock file lies in a /run of its own.
        daemon = "mount -t tmpfs none /run && exec avahi-daemon --no-drop-root --no-chroot --no-rlimits -f"
        self.start("unshare", "--mount", "sh", "-c", f"{daemon} {self.folder}/avahi.conf")
        wait_for(lambda: self.run("avahi-resolve", "-4", "-n", "avahi.local").returncode == 0, "avahi-daemon")

    def start(self, *command):
        process = subprocess.Popen(
            [*self.host.enter, *command], env=self.env,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        self.processes.append(process)
        return process

    def run(self, *command):
        return subprocess.run(
            [*self.host.enter, *command], env=self.env, capture_output=True, text=True, timeout=30,
        )

    def publish(self, name, address):
        process = self.start("avahi-publish", "-a", "-R", name, address)
        line = process.stdout.readline()
        expect("Established" in line, f"avahi-publish: {line}")
        return process

    def remove(self):
        for process in reversed(self.processes):
            process.terminate()
            process.communicate()
        shutil.rmtree(self.folder)


class Frazil:
    """The example on the other host."""

    def __init__(self, host, program):
        self.command = [*host.enter, program]

    def resolve(self, *names):
        result = subprocess.run(
            [*self.command, "resolve", *names], capture_output=True, text=True, timeout=30,
        )
        return sorted(result.stdout.splitlines())

    def publish(self, *flags):
        return subprocess.Popen(
            [*self.command, "publish", *flags],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )


def names_of_avahi_are_resolved(avahi, frazil):
    avahi.publish(UUIDS[0], "192.0.2.1")
    avahi.publish(UUIDS[1], "2001:db8::1")
    expected = sorted([f"resolved {UUIDS[0]} 192.0.2.1", f"resolved {UUIDS[1]} 2001:db8::1"])
    lines = frazil.resolve(*UUIDS)
    expect(lines == expected, lines)
    lines = frazil.resolve("avahi.local")
    expect(lines in (["resolved avahi.local 192.0.2.1"], ["resolved avahi.local 2001:db8::1"]), lines)


def avahi_resolves_names(avahi, frazil):
    published = frazil.publish("--bind", "192.0.2.2", "--bind", "2001:db8::2")
    found = [re.fullmatch(r"published (\S+) (\S+)\n", published.stdout.readline()).groups() for _ in "46"]
    expect(len({name for name, _ in found}) == 2, found)
    for name, address in found:
        family, other = ("-6", "-4") if ":" in address else ("-4", "-6")
        result = avahi.run("avahi-resolve", family, "-n", name)
        expect(result.stdout.split() == [name, address], result)
        result = avahi.run("avahi-resolve", other, "-n", name)
        expect("Timeout" in result.stderr, result)
    # A goodbye ends what is in Avahi's cache.
    published.communicate("")
    expect(published.returncode == 0, published.returncode)
    time.sleep(1.5)
    for name, address in found:
        result = avahi.run("avahi-resolve", "-6" if ":" in address else "-4", "-n", name)
        expect("Timeout" in result.stderr, result)


def what_nobody_has_times_out(avahi, frazil):
    lines = frazil.resolve(NOBODY)
    expect(lines == [f"failed {NOBODY} TimedOut"], lines)


CASES = (names_of_avahi_are_resolved, avahi_resolves_names, what_nobody_has_times_out)


def expect(condition, what):
    if not condition:
        raise Failure(str(what))


def wait_for(condition, what):
    end = time.monotonic() + 10
    while not condition():
        expect(time.monotonic() < end, f"{what} does not start")
        time.sleep(0.05)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frazil", required=True, help="the example `mdns`")
    program = str(Path(parser.parse_args().frazil).resolve())
    failed = 0
    hosts = Hosts()
    try:
        for case in CASES:
            avahi = Avahi(hosts.all[0])
            started = time.monotonic()
            try:
                case(avahi, Frazil(hosts.all[1], program))
                print(f"ok    {case.__name__} ({time.monotonic() - started:.1f} s)")
            except (Failure, OSError, subprocess.SubprocessError) as error:
                failed += 1
                print(f"FAIL  {case.__name__}: {error}")
            finally:
                avahi.remove()
    finally:
        hosts.remove()
    print(f"{len(CASES) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
