"""A host on a lab's network that is no machine but a namespace: where DHCP clients and other peers run as on a second computer."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from lab import BRIDGE, Lab

_numbers = itertools.count()


class Host:
    """with Host(lab, mac="52:54:00:12:34:21") as host: host.run(["udhcpc", "-i", host.interface, …])"""

    interface = "eth0"

    def __init__(self, lab: Lab, mac: str) -> None:
        number = next(_numbers)
        self._lab = lab
        self._mac = mac
        self._port = f"host{number}"
        self.namespace = f"{lab.namespace}-host{number}"
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Host:
        self._ip("netns", "add", self.namespace)
        try:
            self._ip("-n", self._lab.namespace, "link", "add", self._port, "type", "veth", "peer", "name", self.interface, "netns", self.namespace)
            self._ip("-n", self._lab.namespace, "link", "set", self._port, "master", BRIDGE, "up")
            self._ip("-n", self.namespace, "link", "set", "lo", "up")
            self._ip("-n", self.namespace, "link", "set", self.interface, "address", self._mac, "up")
        except BaseException:
            self._ip("netns", "delete", self.namespace)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        self._ip("netns", "delete", self.namespace)

    def set_address(self, address: str) -> None:
        self._ip("-n", self.namespace, "address", "flush", "dev", self.interface)
        self._ip("-n", self.namespace, "address", "add", f"{address}/24", "brd", "+", "dev", self.interface)

    def run(self, command: Sequence[str | Path], timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Runs a command on this host and returns whatever it did: status and output are the test's to judge."""
        full = ["ip", "netns", "exec", self.namespace, "setpriv", "--pdeathsig", "KILL", *map(str, command)]
        return subprocess.run(full, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False,
                              env={**os.environ, "LC_ALL": "C"})

    def start(self, command: Sequence[str | Path]) -> None:
        """Starts a program that runs until the host is gone."""
        full = ["ip", "netns", "exec", self.namespace, "setpriv", "--pdeathsig", "KILL", *map(str, command)]
        self._processes.append(subprocess.Popen(full, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def popen(self, command: Sequence[str | Path]) -> subprocess.Popen[str]:
        """Runs beside the test, which waits for it or kills it."""
        return subprocess.Popen(["ip", "netns", "exec", self.namespace, "setpriv", "--pdeathsig", "KILL", *command], stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)

    def _ip(self, *arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=30)
