"""
Machines as network namespaces, and cables between them that can be pulled: a cut side hears nothing, and is not told.

Each machine has one cable to a switch; who is on another switch cannot be reached. Whoever runs the test is on the
first one. A second cable, which is never pulled, leads to the machines'
monitoring pages.

Expects to run in namespaces of its own (`apart`), which take all of this with them.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Sequence

SWITCHES = 3
_MANAGEMENT = "manage"


class Network:
    """
    Machines on one switch, 10.0.0.1 and so on.

    Args:
        machines: their names, of up to 8 letters.
    """

    def __init__(self, machines: Sequence[str]) -> None:
        self.addresses = {name: f"10.0.0.{number}" for number, name in enumerate(machines, 1)}
        self.management = {name: f"10.0.1.{number}" for number, name in enumerate(machines, 1)}
        _ip("link", "set", "lo", "up")
        for switch in [f"switch{number}" for number in range(SWITCHES)] + [_MANAGEMENT]:
            _ip("link", "add", switch, "type", "bridge")
            _ip("link", "set", switch, "up")
        _ip("address", "add", "10.0.0.254/24", "dev", "switch0")
        _ip("address", "add", "10.0.1.254/24", "dev", _MANAGEMENT)
        for name in machines:
            _ip("netns", "add", name)
            _ip("-n", name, "link", "set", "lo", "up")
            self._lay(name, f"d-{name}", "switch0", self.addresses[name])
            self._lay(name, f"m-{name}", _MANAGEMENT, self.management[name])

    def on(self, machine: str) -> list[str]:
        """Return what stands before a command that runs on *machine*."""
        return ["ip", "netns", "exec", machine]

    def split(self, *sides: Iterable[str]) -> None:
        """Put each of up to three *sides* on a switch of its own; whoever is not named stays where it is."""
        assert len(sides) <= SWITCHES, "there are so many switches"
        for number, side in enumerate(sides):
            for machine in side:
                _ip("link", "set", f"d-{machine}", "master", f"switch{number}")

    def heal(self) -> None:
        """Put all on one switch."""
        self.split(self.addresses)

    def _lay(self, machine: str, cable: str, switch: str, address: str) -> None:
        inside = f"{cable[0]}0"
        _ip("link", "add", cable, "type", "veth", "peer", "name", inside, "netns", machine)
        _ip("link", "set", cable, "master", switch, "up")
        _ip("-n", machine, "address", "add", f"{address}/24", "dev", inside)
        _ip("-n", machine, "link", "set", inside, "up")


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")
