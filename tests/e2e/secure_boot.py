#!/usr/bin/env python3
"""End to end with Secure Boot: shim and GRUB as their makers signed them, kernel and initrd by TFTP, the root on the iSCSI disk.

    DISKLESSD=build/dev/bin/disklessd tests/e2e/secure_boot.py [-v] [SecureBoot.test_boots …]
"""

from __future__ import annotations

import dataclasses
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import boot  # noqa: E402


class SecureBoot(boot.Boot):
    def test_boots(self) -> None:
        client = dataclasses.replace(self.scenario.add("desk-01", 1, "kernel"), keys='loader = "shimx64.efi"')
        self.scenario.clients = [client]
        self.scenario.publish_kernel()
        self.start()
        with self.lab.boot(boot.machine_of(client, "uefi-secure")) as machine:
            machine.wait_for(r"secureboot: Secure boot enabled", boot.BOOT_S)
            self.assertEqual(self.runs_from_its_disk(machine, client), 1)
            machine.wait_for_power_off(boot.POWER_OFF_S)
        log = self.lab.server_log.read_text()
        for file in ("shimx64.efi", "grubx64.efi", "grub/grub.cfg", "vmlinuz", "initrd.img"):
            self.assertRegex(log, rf'boot\.step .*detail="{file} by TFTP')

    def test_unsigned_loader_is_refused(self) -> None:
        """The firmware fetches iPXE to its last byte, and then says nothing at all; the server does."""
        client = self.scenario.add("desk-01", 1)
        self.start()
        with self.lab.boot(boot.machine_of(client, "uefi-secure")) as machine:
            self.lab.wait_for_log(r"boot\.loader_refused client=desk-01 .*Secure Boot", boot.BOOT_S)
            machine.kill()


if __name__ == "__main__":
    unittest.main(verbosity=2)
