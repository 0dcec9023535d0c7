#!/usr/bin/env python3
"""End to end with real firmware: machines without disks boot from disklessd, under TCG where KVM does not work.

    DISKLESSD=build/dev/bin/disklessd tests/e2e/boot.py [-v] [Boot.test_bios …]
"""

from __future__ import annotations

import dataclasses
import os
import random
import re
import sys
import time
import unittest
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from lab import Client, Lab, Machine  # noqa: E402
from scenario import DISKLESSD, PREFIX, Declared, Scenario  # noqa: E402
from uefi_variables import iscsi_attempt, write_variables  # noqa: E402

# TCG on a busy machine with a sanitized server: the slowest boots take a minute, so a limit of four says "stuck" and not "slow".
BOOT_S = 240
POWER_OFF_S = 60


def machine_of(client: Declared, firmware: str = "bios", job: str = "poweroff", extra: Sequence[str] = ()) -> Client:
    return Client(firmware=firmware, mac=client.mac, uuid=client.uuid, serial=job, extra=extra)  # type: ignore[arg-type]


class Boot(unittest.TestCase):
    def setUp(self) -> None:
        self.lab = self.enterContext(Lab(DISKLESSD))
        self.scenario = Scenario(self.lab)

    def tearDown(self) -> None:
        if self.lab.server_died():
            self.fail(f"disklessd ended by itself\n{self.lab.server_report()}")
        if self.lab.server_running():
            self.assertEqual(self.lab.stop_server(), 0, self.lab.server_report())

    def start(self) -> None:
        self.lab.start_server(self.scenario.config())

    def runs_from_its_disk(self, machine: Machine, client: Declared) -> int:
        """Waits for the machine's own word that it runs from its disk; returns its count of boots."""
        found = machine.wait_for(r"^diskless-demo: (\S+) runs from its iSCSI disk (\S+) at (\S+) \(boot (\d+)\)$", BOOT_S)
        self.assertEqual(found[1], client.name)
        self.assertEqual(found[2], client.target)
        return int(found[4])

    def boots(self, client: Declared, firmware: str = "bios", job: str = "poweroff", says: str = "") -> int:
        """One whole boot, with a job that ends in a power-off; returns the count of boots."""
        with self.lab.boot(machine_of(client, firmware, job)) as machine:
            boots = self.runs_from_its_disk(machine, client)
            if says:
                machine.wait_for(rf"^diskless-demo: {says}$", BOOT_S)
            machine.wait_for_power_off(POWER_OFF_S)
        return boots

    def timeline(self, client: Declared) -> list[str]:
        """The steps of the client's last boot, as the server logged them."""
        self.lab.wait_for_log(rf"boot\.done client={client.name} ", 10)
        log = self.lab.server_log.read_text()
        last = log[: log.rindex(f"boot.done client={client.name} ")].rindex(f"boot.started client={client.name} ")
        return re.findall(rf"boot\.step client={client.name} .*?step=(\S+)", log[last:])

    def test_bios(self) -> None:
        """BIOS: the card's iPXE ROM, our script, sanboot, GRUB, Linux on its iSCSI root."""
        client = self.scenario.add("desk-01", 1)
        self.start()
        self.assertEqual(self.boots(client), 1)
        steps = self.timeline(client)
        self.assertEqual([step for step in steps if step not in ("dhcp",)],
                         ["script", "login", "first_read", "system_dhcp", "system_login", "first_write"])

    def test_uefi_pxe(self) -> None:
        """UEFI: OVMF's PXE, snponly by TFTP, our script, sanboot, GRUB, Linux."""
        client = self.scenario.add("desk-02", 2)
        self.start()
        self.assertEqual(self.boots(client, "uefi"), 1)
        steps = self.timeline(client)
        self.assertIn("loader", steps)
        self.assertLess(steps.index("loader"), steps.index("script"))
        self.assertIn("by TFTP", self.lab.server_log.read_text())

    def test_uefi_http(self) -> None:
        """UEFI HTTP boot: the loader too comes by HTTP, and nothing by TFTP."""
        client = self.scenario.add("desk-03", 3)
        self.start()
        self.assertEqual(self.boots(client, "uefi-http"), 1)
        log = self.lab.server_log.read_text()
        self.assertIn("loader", self.timeline(client))
        self.assertNotIn("by TFTP", log)

    def test_uefi_own_initiator(self) -> None:
        """UEFI's own initiator: a DISCOVER without class or architecture, the disk from option 17, and no loader of ours at all."""
        client = self.scenario.add("desk-13", 13)
        self.start()
        variables = self.lab.directory / "variables.fd"
        write_variables(variables, iscsi_attempt(f"{PREFIX}.initiator:{client.name}", client.mac))
        with self.lab.boot(dataclasses.replace(machine_of(client, "uefi"), variables=variables)) as machine:
            machine.wait_for(rf"^BdsDxe: starting .*iSCSI\({re.escape(client.target)},", BOOT_S)
            self.assertEqual(self.runs_from_its_disk(machine, client), 1)
            machine.wait_for_power_off(POWER_OFF_S)
        self.assertEqual(self.timeline(client), ["dhcp", "login", "first_read", "system_dhcp", "system_login", "first_write"])
        isid = "12" + client.mac.replace(":", "")[2:]  # the firmware's, made from the MAC
        self.assertRegex(self.lab.server_log.read_text(), rf"session\.opened initiator={PREFIX}\.initiator:{client.name} .*isid={isid} ")

    def test_kernel(self) -> None:
        """Kernel and initrd over HTTP, by BIOS; the root disk by the command line's arguments."""
        client = self.scenario.add("node-04", 4, boot="kernel")
        self.scenario.publish_kernel()
        self.start()
        self.assertEqual(self.boots(client), 1)
        self.assertIn("kernel", self.timeline(client))

    def test_kernel_uefi(self) -> None:
        """The same by UEFI, where the kernel finds its initrd only if the script names it."""
        client = self.scenario.add("node-05", 5, boot="kernel")
        self.scenario.publish_kernel()
        self.start()
        self.assertEqual(self.boots(client, "uefi"), 1)

    def test_second_boot_sees_the_first_ones_writes(self) -> None:
        client = self.scenario.add("desk-06", 6)
        self.start()
        self.assertEqual(self.boots(client, job="put-PERSISTENT", says="stored PERSISTENT"), 1)
        self.assertEqual(self.boots(client, job="get", says="found PERSISTENT"), 2)

    def test_two_clients_at_once(self) -> None:
        """Two machines, one server, two disks: each finds its own word, the other's nowhere."""
        first = self.scenario.add("desk-07", 7)
        second = self.scenario.add("desk-08", 8)
        self.start()
        for jobs, answers in ((("put-SEVEN", "put-EIGHT"), ("stored SEVEN", "stored EIGHT")), (("get", "get"), ("found SEVEN", "found EIGHT"))):
            with self.lab.boot(machine_of(first, job=jobs[0])) as one, self.lab.boot(machine_of(second, job=jobs[1])) as two:
                for machine, client, answer in ((one, first, answers[0]), (two, second, answers[1])):
                    self.runs_from_its_disk(machine, client)
                    machine.wait_for(rf"^diskless-demo: {answer}$", BOOT_S)
                for machine in (one, two):
                    machine.wait_for_power_off(POWER_OFF_S)

    def test_much_data(self) -> None:
        client = self.scenario.add("desk-09", 9)
        self.start()
        self.boots(client, job="stress", says=r"stress ok \w+")

    def test_server_killed_under_a_writing_client(self) -> None:
        """SIGKILL, some seconds of silence, a new server: the client carries on, and every write it was told of is there."""
        client = self.scenario.add("desk-10", 10)
        self.start()
        with self.lab.boot(machine_of(client, job="tick")) as machine:
            self.runs_from_its_disk(machine, client)
            machine.wait_for(r"^tick 5 uptime \d+\.\d+$", BOOT_S)
            self.lab.kill_server()
            before = machine.console()
            time.sleep(5)
            self.lab.start_server()
            acknowledged = max(map(int, re.findall(r"^tick (\d+) uptime", before, re.MULTILINE)))
            machine.wait_for(rf"^tick {acknowledged + 5} uptime \d+\.\d+$", 120)
            machine.write("\n")
            machine.wait_for(r"^diskless-demo: ticks \d+ ok$", 120)
            machine.wait_for_power_off(POWER_OFF_S)

    def test_a_hundred_power_cuts(self) -> None:
        """Switched off at any moment of its boot and on again, a machine is never refused, and what its past selves left behind goes."""
        client = self.scenario.add("desk-12", 12)
        self.scenario.iscsi = 'session_timeout = "10s"\n'
        self.start()
        random.seed(12)
        cuts = int(os.environ.get("POWER_CUTS", "100"))
        for _ in range(cuts):
            with self.lab.boot(machine_of(client)):
                time.sleep(random.uniform(1, 5))
        log = self.lab.server_log.read_text()
        logins = len(re.findall(r"session\.opened .*target=\S+:desk-12 ", log))
        self.assertGreater(logins, cuts // 10, "the cuts came before the machine had logged in")
        self.assertNotRegex(log, r"session\.refused|login\.failed|lease\.nak")
        until = time.monotonic() + 30
        while logins != len(re.findall(r"session\.closed .*target=\S+:desk-12 ", self.lab.server_log.read_text())):
            self.assertLess(time.monotonic(), until, "a session was left behind\n" + self.lab.server_report())
            time.sleep(0.2)
        self.assertEqual(self.boots(client), 1)

    def test_undeclared_machine_gets_nothing(self) -> None:
        """No offer, no lease, no loader: the firmware gives up, and the log says what to write into the configuration."""
        self.scenario.add("desk-11", 11)
        self.start()
        stranger = Client(mac="52:54:00:99:99:99", serial="poweroff")
        with self.lab.boot(stranger) as machine:
            machine.wait_for(r"No bootable device|No configuration methods succeeded|Connection timed out|http://ipxe.org/", BOOT_S)
        log = self.lab.server_log.read_text()
        self.assertIn("dhcp.ignored", log)
        self.assertIn("52:54:00:99:99:99", log)
        self.assertNotIn("lease.offered mac=52:54:00:99:99:99", log)


if __name__ == "__main__":
    unittest.main(verbosity=2)
