#!/usr/bin/env python3
"""End to end, disks: one image, and every machine its own copy-on-write disk of it.

    DISKLESSD=build/dev/bin/disklessd tests/e2e/disks.py [-v] [Disks.test_one_image_for_all …]
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import unittest
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from boot import BOOT_S, POWER_OFF_S, Boot, machine_of  # noqa: E402
from scenario import DEMO_IMAGE, DISKLESSD, Declared  # noqa: E402

IMAGE_OF_ALL = f'[[image]]\nname = "debian"\nfile = "{DEMO_IMAGE / "disk.img"}"\n'


class WithImage(Boot):
    """Clients of one declared image. What Boot tests is tested there."""

    def setUp(self) -> None:
        super().setUp()
        self.scenario.extra = IMAGE_OF_ALL

    def client(self, number: int, mode: str, boot: str = "sanboot") -> Declared:
        return self.scenario.add_with_disks(f"desk-0{number}", number, f'{{ lun = 0, image = "debian", mode = "{mode}" }}', boot)

    def diskless(self, *words: str) -> Any:
        program = Path(DISKLESSD).with_name("diskless")
        return self.lab.run([program, "--socket", self.scenario.data_dir / "api.sock", *words], timeout=120)

    def disk(self, client: Declared) -> Any:
        return json.loads(self.diskless("disk", "show", client.name, "--json"))

    def overlay(self, client: Declared) -> Path:
        return self.scenario.data_dir / "disks" / client.name / "lun0.qcow2"

    def check_files(self) -> None:
        """What the server has closed is sound: qemu-img says so."""
        for file in self.scenario.data_dir.glob("disks/*/*.qcow2"):
            done = subprocess.run(["qemu-img", "check", "-f", "qcow2", file], capture_output=True, text=True, timeout=120, check=False)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertIn("No errors were found", done.stdout)

    def qemu_info(self, file: Path, form: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["qemu-img", "info", "-f", form, file], capture_output=True, text=True, timeout=120, check=False)

    def stop(self) -> None:
        self.assertEqual(self.lab.stop_server(), 0, self.lab.server_report())
        self.check_files()


class Disks(WithImage):
    def test_one_image_for_all(self) -> None:
        """A persistent disk keeps what was written, an ephemeral one begins anew at every boot; the image stays as it is."""
        image = DEMO_IMAGE / "disk.img"
        before = (image.stat().st_mtime_ns, image.stat().st_size)
        lasting, passing = self.client(1, "persistent"), self.client(2, "ephemeral")
        self.start()
        for boot in (1, 2):
            self.assertEqual(self.boots(lasting), boot)
            self.assertEqual(self.boots(passing), 1)
        self.assertEqual((image.stat().st_mtime_ns, image.stat().st_size), before)
        for client in (lasting, passing):
            self.assertLess(self.overlay(client).stat().st_blocks * 512, 8 << 20)
        self.stop()

    def test_kernel(self) -> None:
        """Without firmware that logs in, an ephemeral disk begins anew when the machine fetches its script."""
        client = self.client(1, "ephemeral", "kernel")
        self.scenario.publish_kernel()
        self.start()
        self.assertEqual([self.boots(client), self.boots(client)], [1, 1])
        self.stop()

    def test_relogins_keep_it(self) -> None:
        """An ephemeral disk under a running machine outlives a restart of the server, and ends with a power cut."""
        client = self.client(1, "ephemeral")
        self.start()
        with self.lab.boot(machine_of(client, job="tick")) as machine:
            machine.wait_for(r"^tick 5 ", BOOT_S)
            self.lab.restart_server()
            machine.wait_for(r"^tick 15 ", BOOT_S)
            machine.write("\n")
            machine.wait_for(r"^diskless-demo: ticks \d+ ok$", BOOT_S)
            machine.wait_for_power_off(POWER_OFF_S)
        with self.lab.boot(machine_of(client, job="tick")) as machine:
            self.assertEqual(self.runs_from_its_disk(machine, client), 1)
            machine.wait_for(r"^tick 5 ", BOOT_S)
            machine.kill()
        self.assertEqual(self.boots(client), 1)
        self.stop()

    def test_super_client(self) -> None:
        """One machine changes the image, all others get that at their next boot, and one command takes it back."""
        editor, other = self.client(1, "ephemeral"), self.client(2, "ephemeral")
        self.start()
        self.boots(other, job="get", says="found nothing")
        self.diskless("disk", "edit", editor.name)
        self.boots(editor, job="put-HELLO", says="stored HELLO")
        self.boots(editor, job="get", says="found HELLO")  # it keeps what it writes until it is published
        self.boots(other, job="get", says="found nothing")
        self.assertIn("debian@2", self.diskless("disk", "publish", editor.name))
        self.boots(other, job="get", says="found HELLO")
        self.boots(editor, job="get", says="found HELLO")
        self.diskless("image", "rollback", "debian")
        self.boots(other, job="get", says="found nothing")
        self.stop()

    def test_snapshots(self) -> None:
        """A snapshot of a running machine, and back to it; merged, it leaves no trace but its contents."""
        client = self.client(1, "persistent")
        self.start()
        self.boots(client, job="put-FIRST", says="stored FIRST")
        with self.lab.boot(machine_of(client, job="tick")) as machine:
            machine.wait_for(r"^tick 5 ", BOOT_S)
            self.diskless("disk", "snapshot", client.name, "running")
            # What is only read may be read by others as well; what is written is nobody else's.
            self.assertEqual(self.qemu_info(DEMO_IMAGE / "disk.img", "raw").returncode, 0)
            self.assertIn('Failed to get shared "write" lock', self.qemu_info(self.overlay(client), "qcow2").stderr)
            machine.wait_for(r"^tick 15 ", BOOT_S)
            machine.write("\n")
            machine.wait_for(r"^diskless-demo: ticks \d+ ok$", BOOT_S)
            machine.wait_for_power_off(POWER_OFF_S)
        self.boots(client, job="put-SECOND", says="stored SECOND")
        self.diskless("disk", "snapshot", client.name, "later")
        self.diskless("disk", "revert", client.name, "running")
        self.boots(client, job="get", says="found FIRST")
        self.assertEqual([snapshot["name"] for snapshot in self.disk(client)["snapshots"]], ["running"])
        self.diskless("disk", "delete-snapshot", client.name, "running")
        self.boots(client, job="get", says="found FIRST")
        self.assertEqual(len(list(self.overlay(client).parent.glob("*.qcow2"))), 1)
        exported = self.lab.directory / "exported.qcow2"
        self.diskless("disk", "export", client.name, str(exported), "--format", "qcow2")
        self.stop()
        compared = subprocess.run(["qemu-img", "compare", "-f", "qcow2", "-F", "qcow2", exported, self.overlay(client)], capture_output=True, text=True)
        self.assertEqual(compared.returncode, 0, compared.stdout + compared.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
