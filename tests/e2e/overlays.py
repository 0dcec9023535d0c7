#!/usr/bin/env python3
"""End to end, disks without machines: libiscsi (in qemu-io) works on blank disks and overlays, the command line orders.

    DISKLESSD=build/dev/bin/disklessd tests/e2e/overlays.py [-v] [Space.test_full_and_back …]
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import unittest
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from lab import SERVER_ADDRESS  # noqa: E402
from peers import WithServer  # noqa: E402
from scenario import PREFIX  # noqa: E402

MIB = 1 << 20
TRIMMED_S = 30  # punching waits for the checkpoint after the next


def target(name: str, *luns: str) -> str:
    return f'[[target]]\nname = "{name}"\nluns = [ {", ".join(luns)} ]\ninitiators = ["*"]\n'


class WithDisks(WithServer):
    def prepare(self) -> None:
        self.initiator = self.host()

    def setUp(self) -> None:
        super().setUp()
        self.initiator.set_address("192.168.77.11")

    def io(self, owner: str, *commands: str, lun: int = 0) -> subprocess.CompletedProcess[str]:
        """qemu-io's commands on a disk, one after the other."""
        words = [word for command in commands for word in ("-c", command)]
        return self.initiator.run(["qemu-io", "-t", "none", "-d", "unmap", "-f", "raw", *words, f"iscsi://{SERVER_ADDRESS}/{PREFIX}:{owner}/{lun}"])

    def holds(self, owner: str, *ranges: str) -> None:
        """Each "BYTE AT SIZE" is read and compared."""
        said = self.ok(self.io(owner, *(f"read -P {one}" for one in ranges)))
        self.assertNotIn("Pattern verification failed", said)

    def overlay(self, owner: str) -> Path:
        return self.scenario.data_dir / "disks" / owner / "lun0.qcow2"

    def shown(self, owner: str) -> Any:
        return json.loads(self.ok(self.diskless("disk", "show", owner, "--json")))

    def check(self) -> None:
        """Closed, every file is sound."""
        self.assertEqual(self.lab.stop_server(), 0, self.lab.server_report())
        for file in self.scenario.data_dir.glob("disks/*/*.qcow2"):
            done = subprocess.run(["qemu-img", "check", "-f", "qcow2", file], capture_output=True, text=True, check=False, timeout=120)
            self.assertIn("No errors were found", done.stdout, done.stderr)


class Space(WithDisks):
    """The disks lie on a file system of 64 MiB."""

    extra = target("thin", '{ lun = 0, size = "256MiB" }') + target("late", '{ lun = 0, size = "256MiB" }')

    def prepare(self) -> None:
        super().prepare()
        self.folder = self.scenario.data_dir / "disks"
        self.folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", self.folder], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", self.folder], check=True)

    def test_full_and_back(self) -> None:
        """Full: what needs space fails, what is there stays, new disks are refused. Space again: everything goes on."""
        ballast = self.folder / "ballast"
        ballast.write_bytes(bytes(24 * MIB))
        self.ok(self.io("thin", "write -P 1 0 8M", "flush"))
        full = self.io("thin", "write -P 2 8M 120M")
        self.assertIn("No space left on device", full.stdout + full.stderr)
        self.lab.wait_for_log(r"space\.changed .*no new disks|space\.changed .*fail", 10)
        self.holds("thin", "1 0 8M")
        self.ok(self.io("thin", "write -P 3 1M 1M", "flush"))  # what has its place may change
        self.assertNotEqual(self.io("late", "read 0 512").returncode, 0)
        self.lab.wait_for_log(r"disk\.unavailable .*too little space", 10)
        ballast.unlink()
        self.lab.wait_for_log(r"space\.changed .*none; everything goes on|space\.changed .*warned", 10)
        self.ok(self.io("thin", "write -P 4 16M 16M", "flush"))
        self.holds("thin", "1 0 1M", "3 1M 1M", "1 2M 6M", "4 16M 16M")
        self.ok(self.io("late", "write -P 5 0 64k"))
        self.check()

    def test_trim_gives_space_back(self) -> None:
        self.ok(self.io("thin", "write -P 1 0 40M", "flush"))
        before = self.overlay("thin").stat().st_blocks
        self.ok(self.io("thin", "discard 0 40M", "flush"))
        until = time.monotonic() + TRIMMED_S
        while (left := self.overlay("thin").stat().st_blocks) > before * 0.05 and time.monotonic() < until:
            time.sleep(0.5)
        self.assertLessEqual(left, before * 0.05)
        self.holds("thin", "0 0 256M")
        self.check()


class Orders(WithDisks):
    """What the command line does to disks, and what it refuses."""

    extra = target("blank", '{ lun = 0, size = "64MiB" }', '{ lun = 1, file = "beside.img", size = "1MiB" }')

    def test_snapshots(self) -> None:
        self.ok(self.io("blank", "write -P 1 0 4M"))
        self.ok(self.diskless("disk", "snapshot", "blank", "one"))
        self.ok(self.io("blank", "write -P 2 1M 1M", "discard 2M 1M"))
        self.ok(self.diskless("disk", "snapshot", "blank", "two"))
        self.ok(self.io("blank", "write -P 3 0 1M"))
        exported = self.lab.directory / "one.raw"
        self.ok(self.diskless("disk", "export", "blank", exported, "--snapshot", "one"))
        self.assertEqual(exported.read_bytes()[: 4 * MIB], bytes([1]) * 4 * MIB)
        self.ok(self.diskless("disk", "delete-snapshot", "blank", "one"))
        self.holds("blank", "3 0 1M", "2 1M 1M", "0 2M 1M", "1 3M 1M")
        self.ok(self.diskless("disk", "revert", "blank", "two"))
        self.holds("blank", "1 0 1M", "2 1M 1M", "0 2M 1M", "1 3M 1M")
        self.assertEqual([one["name"] for one in self.shown("blank")["snapshots"]], ["two"])
        self.assertIn("two", self.ok(self.diskless("disk", "show", "blank")))
        self.check()

    def test_resize_and_reset(self) -> None:
        self.ok(self.io("blank", "write -P 1 0 1M"))
        self.ok(self.diskless("disk", "resize", "blank", "128MiB"))
        self.ok(self.io("blank", "write -P 2 127M 1M"))
        self.holds("blank", "1 0 1M", "0 64M 63M", "2 127M 1M")
        self.ok(self.diskless("disk", "reset", "blank"))
        self.holds("blank", "0 0 64M")
        self.check()

    def test_refusals(self) -> None:
        """Each in one line, with exit status 1 for what the server refuses and 2 for what cannot be meant."""
        self.ok(self.diskless("disk", "create", "blank"))
        refused = {
            ("show", "nobody"): "nobody has no disk at LUN 0; diskless disk list",
            ("show", "blank", "--lun", "7"): "blank has no disk at LUN 7",
            ("create", "blank"): "has a disk already; diskless disk reset",
            ("reset", "blank", "--lun", "1"): "is a file of its own",
            ("revert", "blank", "none"): "has no snapshot none; diskless disk show blank",
            ("snapshot", "blank", "../up"): "is no name for a snapshot",
            ("resize", "blank", "1MiB"): "it can only become larger",
            ("edit", "blank"): "is no disk of an image",
            ("publish", "blank"): "is no disk of an image",
            ("export", "blank", "/proc/no/such/folder/file"): "/proc/no/such/folder",
            ("reset", "a/b"): "nothing is here; a disk is at",
        }
        for words, answer in refused.items():
            with self.subTest(" ".join(words)):
                done = self.diskless("disk", *words)
                self.assertEqual((done.returncode, done.stdout), (1, ""))
                self.assertIn(answer, done.stderr)
                self.assertEqual(done.stderr.count("\n"), 1)
        for words in (("eat",), ("resize", "blank", "much"), ("snapshot", "blank"), ("list", "blank")):
            self.assertEqual(self.diskless("disk", *words).returncode, 2)
        with self.initiator.popen(["qemu-io", "-f", "raw", "-c", "read 0 64k", "-c", "sleep 20000", f"iscsi://{SERVER_ADDRESS}/{PREFIX}:blank/0"]) as user:
            self.lab.wait_for_log(rf"session\.opened .*{PREFIX}:blank ", 10)
            done = self.diskless("disk", "reset", "blank")
            self.assertIn("uses lun 0; switch the machine off first", done.stderr)
            self.ok(self.diskless("disk", "snapshot", "blank", "meanwhile"))
            user.kill()
        self.ok(self.diskless("disk", "reset", "blank"))
        self.check()


if __name__ == "__main__":
    unittest.main(verbosity=2)
