#!/usr/bin/env python3
"""End to end over IPv6: OVMF's PXE and HTTP boot, DHCPv6 clients, and a target whose address has colons.

    DISKLESSD=build/dev/bin/disklessd tests/e2e/ipv6.py [-v] [Ipv6Boot.test_pxe …]
"""

from __future__ import annotations

import ipaddress
import re
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from boot import BOOT_S, POWER_OFF_S, Boot, machine_of  # noqa: E402
from host import Host  # noqa: E402
from lab import BRIDGE  # noqa: E402
from peers import DESK_MAC, STRANGER_MAC, WithServer  # noqa: E402

SERVER = "fd77::1"
SUBNET = '[[dhcp.subnet6]]\nnetwork = "fd77::/64"\ndns = ["fd77::1"]\ndomain = "lab.lan"\nlease_time = "1h"\n'


def address_of(mac: str) -> str:
    """What the server makes of a MAC: the prefix and the modified EUI-64."""
    octets = bytes.fromhex(mac.replace(":", ""))
    identifier = bytes((octets[0] ^ 2, *octets[1:3], 0xFF, 0xFE, *octets[3:]))
    return str(ipaddress.IPv6Address(ipaddress.IPv6Address("fd77::").packed[:8] + identifier))


class Ipv6Boot(Boot):
    only_ipv6 = False

    def start(self) -> None:
        self.lab.run(["ip", "address", "add", f"{SERVER}/64", "dev", BRIDGE, "nodad"])
        self.scenario.extra += SUBNET
        if self.only_ipv6:
            self.scenario.dhcp = '[dhcp]\nmode = "off"\n'
        super().start()

    def reads_its_disk(self, client, *switches: str) -> str:  # type: ignore[no-untyped-def]
        """Boots as far as a boot loader that reads its disk over IPv6; the log."""
        self.only_ipv6 = True
        self.start()
        extra = [word for switch in switches for word in ("-fw_cfg", f"name=opt/org.tianocore/{switch},string=no")]
        with self.lab.boot(machine_of(client, "uefi", extra=extra)):
            self.lab.wait_for_log(rf"boot\.step client={client.name} .*step=first_read", BOOT_S)
        log = self.lab.server_log.read_text()
        here = re.escape(address_of(client.mac))
        self.assertRegex(log, rf"lease\.acked mac={client.mac} ip={here} client={client.name} ")
        self.assertRegex(log, rf"session\.opened .*ip=\[{here}\]:\d+.* target={re.escape(client.target)} |session\.opened .*target={re.escape(client.target)} .*\[{here}\]")
        return log

    def test_pxe(self) -> None:
        """Nothing but IPv6: PXE, the loader by TFTP, script by HTTP, disk by iSCSI."""
        log = self.reads_its_disk(self.scenario.add("desk-02", 2), "IPv4PXESupport")
        self.assertRegex(log, r"snponly\.efi by TFTP")

    def test_http(self) -> None:
        """Nothing but IPv6, and the loader by HTTP too. OVMF asks for IPv4 first, in vain."""
        log = self.reads_its_disk(self.scenario.add("desk-03", 3), "IPv4PXESupport", "IPv6PXESupport")
        self.assertRegex(log, r"snponly\.efi by HTTP")
        self.assertNotIn("by TFTP", log)

    def test_both(self) -> None:
        """The firmware by IPv6; Debian's initramfs, which knows IPv4 alone, by IPv4: a whole boot."""
        client = self.scenario.add("desk-04", 4)
        self.start()
        extra = ["-fw_cfg", "name=opt/org.tianocore/IPv4PXESupport,string=no"]
        with self.lab.boot(machine_of(client, "uefi", "poweroff", extra)) as machine:
            self.assertEqual(self.runs_from_its_disk(machine, client), 1)
            machine.wait_for_power_off(POWER_OFF_S)
        self.assertRegex(self.lab.server_log.read_text(), rf"lease\.acked mac={client.mac} ip={re.escape(address_of(client.mac))} ")


class Ipv6Clients(WithServer):
    extra = SUBNET

    def prepare(self) -> None:
        self.lab.run(["ip", "address", "add", f"{SERVER}/64", "dev", BRIDGE, "nodad"])

    def seated(self, mac: str = DESK_MAC) -> Host:
        host = self.host(mac)
        # Its link-local address is not its own before it has been tried for duplicates.
        self.ok(host.run(["sh", "-c", "for i in $(seq 100); do ip -6 -o address show dev eth0 scope link | grep -v tentative | grep -q inet6 && exit; sleep 0.1; done; exit 1"]))
        return host

    def test_dhclient(self) -> None:
        """Asks, is given the address of its MAC, keeps it, releases it."""
        host, here = self.seated(), self.lab.directory
        common = ["-6", "-v", "-sf", "/bin/true", "-lf", here / "leases6", "-pf", here / "pid6"]
        done = host.run(["dhclient", "-1", *common, "eth0"])
        said = self.ok(done) + done.stderr
        self.assertRegex(said, rf"(?i)IAADDR {re.escape(address_of(DESK_MAC))}")
        self.assertIn("dhcp6.domain-search \"lab.lan.\"", (here / "leases6").read_text())
        done = host.run(["dhclient", "-r", *common, "eth0"])
        self.ok(done)

    def test_stranger(self) -> None:
        """Nobody declared it: it gets nothing, and the log says what to write."""
        host = self.seated(STRANGER_MAC)
        done = host.run(["timeout", "8", "dhclient", "-6", "-1", "-v", "-sf", "/bin/true", "-lf", self.lab.directory / "l", "-pf", self.lab.directory / "p", "eth0"])
        self.assertNotIn("IAADDR", done.stdout + done.stderr)
        self.lab.wait_for_log(rf"dhcpv6\.ignored mac={STRANGER_MAC} ", 5)

    def test_files(self) -> None:
        """TFTP and HTTP as over IPv4; the script names the server by its IPv6 address, and the disk's target answers there."""
        host = self.seated()
        self.ok(host.run(["ip", "address", "add", f"{address_of(DESK_MAC)}/64", "dev", "eth0", "nodad"]))
        script = self.ok(host.run(["curl", "-fsS", f"http://[{SERVER}]:8080/boot.ipxe"]))
        self.assertIn(f"sanboot iscsi:[{SERVER}]::3260:0:", script)
        self.assertNotIn("192.168.77.1", script)
        target = re.search(r"iscsi:\S+:0:(\S+)", script)[1]  # type: ignore[index]
        initiator = re.search(r"set initiator-iqn (\S+)", script)[1]  # type: ignore[index]
        fetched = self.lab.directory / "fetched"
        self.ok(host.run(["atftp", "--option", "blksize 1228", "--option", "windowsize 4", "--get", "--remote-file", "boot.ipxe", "--local-file", fetched, SERVER]))
        self.assertEqual(fetched.read_text(), script)
        self.assertIn(target, self.ok(host.run(["iscsi-ls", "-i", initiator, f"iscsi://[{SERVER}]:3260"])))
        self.ok(host.run(["iscsi-inq", "-i", initiator, f"iscsi://[{SERVER}]:3260/{target}/0"]))
        self.assertNotEqual(host.run(["iscsi-inq", "-i", "iqn.2000-01.lan:other", f"iscsi://[{SERVER}]:3260/{target}/0"]).returncode, 0)


del Boot, WithServer

if __name__ == "__main__":
    unittest.main(verbosity=2)
