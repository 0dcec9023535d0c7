#!/usr/bin/env python3
"""End to end beside another DHCP server: dnsmasq gives the addresses, disklessd says what to boot.

    DISKLESSD=build/dev/bin/disklessd tests/e2e/proxy.py [-v] [Proxy.test_bios …]
"""

from __future__ import annotations

import re
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from boot import BOOT_S, Boot  # noqa: E402
from host import Host  # noqa: E402
from lab import BRIDGE, Lab, Machine  # noqa: E402
from scenario import DISKLESSD, Declared, Scenario  # noqa: E402

ROUTER = "192.168.77.2"
POOL = re.compile(r"192\.168\.77\.1[5-9]\d")


class Proxy(Boot):
    """Machines whose addresses this server neither gives nor knows beforehand."""

    def setUp(self) -> None:
        super().setUp()
        self.scenario.dhcp = '[dhcp]\nmode = "proxy"\n'
        router = self.enterContext(Host(self.lab, "52:54:00:00:00:02"))
        router.set_address(ROUTER)
        self.router_log = self.lab.directory / "dnsmasq.log"
        router.start(["dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--port=0", f"--interface={router.interface}", "--bind-interfaces",
                      "--dhcp-range=192.168.77.150,192.168.77.199,1h", f"--dhcp-option=option:router,{ROUTER}", "--dhcp-authoritative",
                      f"--dhcp-leasefile={self.lab.directory / 'dnsmasq.leases'}", "--log-dhcp", f"--log-facility={self.router_log}", "--user=root"])

    def start(self) -> None:
        config = "\n".join(line for line in self.scenario.config().splitlines() if not line.startswith("address ="))
        self.lab.start_server(config)

    def runs_from_its_disk(self, machine: Machine, client: Declared) -> int:
        """What the machine is called is the other server's to say."""
        found = machine.wait_for(r"^diskless-demo: (\S+) runs from its iSCSI disk (\S+) at (\S+) \(boot (\d+)\)$", BOOT_S)
        self.assertEqual(found[2], client.target)
        return int(found[4])

    def check_addresses(self, client: Declared) -> None:
        """The other server's, and known here."""
        log = self.lab.server_log.read_text()
        self.assertRegex(self.router_log.read_text(), rf"DHCPACK\(\w+\) {POOL.pattern} {client.mac}")
        self.assertRegex(log, rf"session\.opened .*from={POOL.pattern}:")
        self.assertIn(f"dhcp.proxy_offered mac={client.mac} client={client.name} ", log)

    def test_bios(self) -> None:
        client = self.scenario.add("desk-01", 1)
        self.start()
        self.assertEqual(self.boots(client), 1)
        self.check_addresses(client)

    def test_uefi_pxe(self) -> None:
        client = self.scenario.add("desk-01", 1)
        self.start()
        self.assertEqual(self.boots(client, "uefi"), 1)
        self.check_addresses(client)

    def test_uefi_http(self) -> None:
        client = self.scenario.add("desk-01", 1)
        self.start()
        self.assertEqual(self.boots(client, "uefi-http"), 1)
        self.check_addresses(client)


class PortTaken(unittest.TestCase):
    def test_names_the_program(self) -> None:
        """Port 67 of this very machine belongs to somebody else: which program that is, and what to do."""
        with Lab(DISKLESSD) as lab:
            scenario = Scenario(lab, dhcp='[dhcp]\nmode = "proxy"\n')
            config = lab.directory / "diskless.toml"
            config.write_text(scenario.config())
            other = lab.spawn(["dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--port=0", f"--interface={BRIDGE}", "--bind-interfaces", "--user=root",
                               f"--dhcp-leasefile={lab.directory / 'leases'}", "--dhcp-range=192.168.77.150,192.168.77.199"], lab.directory / "dnsmasq.log")
            lab.run(["sh", "-c", f"for i in $(seq 100); do ss -Hlun sport = :67 | grep -q 67 && exit 0; sleep 0.1; done; exit 1"])
            done = subprocess.run(lab.inside([DISKLESSD, "--config", config]), capture_output=True, text=True, timeout=30, check=False)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertRegex(done.stderr, rf"DHCP: cannot bind port 67 \({BRIDGE}\): Address already in use; dnsmasq \(pid {other.pid}\) has it: stop that, or")


del Boot  # or its tests would run here as well

if __name__ == "__main__":
    unittest.main(verbosity=2)
