#!/usr/bin/env python3
"""End to end, boot sets: what a machine reads while it boots is in the page cache before the next machine asks for it.

    DISKLESSD=build/dev/bin/disklessd tests/e2e/bootset.py [-v] [BootSet.test_learned_and_warmed]
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import unittest
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from boot import BOOT_S, POWER_OFF_S, Boot, machine_of  # noqa: E402
from scenario import Declared  # noqa: E402



def runs_of(file: Path) -> list[tuple[int, int]]:
    """The byte ranges of a boot set of one file, as storage/boot_set.hpp describes it."""
    data = file.read_bytes()
    magic, form, checksum, piece, files, size, runs = struct.unpack_from(">8sIIIIQI", data)
    assert (magic, form, files) == (b"DLBOOTST", 1, 1) and checksum == zlib.crc32(data[16:])
    pairs = struct.iter_unpack(">II", data[36:])
    found = [(first * piece, min((first + count) * piece, size)) for first, count in pairs]
    assert len(found) == runs
    return found


def resident_bytes(file: Path) -> int:
    done = subprocess.run(["fincore", "-n", "-b", "-o", "RES", file], check=True, capture_output=True, text=True, timeout=30)
    return int(done.stdout)


def forget(file: Path) -> None:
    """Out of the page cache."""
    descriptor = os.open(file, os.O_RDWR)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


class BootSet(Boot):
    def setUp(self) -> None:
        super().setUp()
        self.image = self.scenario.new_disk("image")
        self.scenario.extra = f'[[image]]\nname = "debian"\nfile = "{self.image}"\n'

    def client(self, number: int) -> Declared:
        return self.scenario.add_with_disks(f"desk-0{number}", number, '{ lun = 0, image = "debian", mode = "ephemeral" }')

    @property
    def set_file(self) -> Path:
        return self.scenario.data_dir / "images" / "debian" / "1.bootset"

    def descriptors(self) -> int:
        """How often the server has the image open."""
        return sum(os.path.realpath(link) == str(self.image) for link in Path(f"/proc/{self.lab.server_pid}/fd").iterdir())

    def test_learned_and_warmed(self) -> None:
        first, second = self.client(1), self.client(2)
        self.start()
        with self.lab.boot(machine_of(first)) as machine:
            self.runs_from_its_disk(machine, first)
            machine.wait_for_power_off(POWER_OFF_S)
        self.assertNotIn("image.warmed", self.lab.server_log.read_text())  # there was nothing to go by
        self.assertEqual(self.lab.stop_server(), 0, self.lab.server_report())
        self.lab.wait_for_log(r"image\.bootset version=debian@1 recorded_mib=\d", 5)
        runs = runs_of(self.set_file)
        wanted = sum(end - begin for begin, end in runs)
        self.assertGreater(wanted, 8 << 20)
        self.assertLess(wanted, 512 << 20)

        forget(self.image)
        self.assertLess(resident_bytes(self.image), 1 << 20)
        self.start()
        self.assertLess(resident_bytes(self.image), 1 << 20)
        with self.lab.boot(machine_of(first, job="tick")) as one:
            # The firmware has logged in; what the system will read is there long before it asks.
            self.lab.wait_for_log(r"image\.warmed version=debian@1 mib=\d", BOOT_S)
            self.assertNotIn("step=system_login", self.last_start_log())
            self.assertGreaterEqual(resident_bytes(self.image), wanted)
            with self.lab.boot(machine_of(second)) as two:
                self.runs_from_its_disk(two, second)
                one.wait_for(r"^tick 5 ", BOOT_S)
                self.assertEqual(self.descriptors(), 1)  # both machines read through the same one
                two.wait_for_power_off(POWER_OFF_S)
            one.kill()
        self.assertEqual(self.lab.server_log.read_text().count("image.warmed "), 1)

    def test_damaged(self) -> None:
        """A set that is damaged is thrown away, and the machine boots."""
        client = self.client(1)
        self.set_file.parent.mkdir(parents=True)
        self.set_file.write_bytes(b"DLBOOTST" + (1).to_bytes(4, "big") + bytes(100))
        self.start()
        self.assertEqual(self.boots(client), 1)
        self.lab.wait_for_log(r"image\.bootset_ignored version=debian@1 .*its checksum is wrong", 5)
        self.assertEqual(self.lab.stop_server(), 0, self.lab.server_report())
        self.assertGreater(len(runs_of(self.set_file)), 1)

    def last_start_log(self) -> str:
        log = self.lab.server_log.read_text()
        return log[log.rindex("server.ready") :]


if __name__ == "__main__":
    unittest.main(verbosity=2)
