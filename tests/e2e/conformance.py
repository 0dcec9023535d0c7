#!/usr/bin/env python3
"""libiscsi's conformance suite against the real daemon: no test fails, and every test that is skipped is in conformance_skips.txt, with its reason.

    DISKLESSD=build/dev/bin/disklessd tests/e2e/conformance.py [-v] [Conformance.test_thin …]
"""

from __future__ import annotations

import re
import socket
import subprocess
import tempfile
import time
import unittest
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from scenario import DISKLESSD  # noqa: E402

PREFIX = "iqn.2026-11.lan.conformance"
SKIPS = Path(__file__).with_name("conformance_skips.txt")
LUN_BYTES = 100 << 20
# One LUN for each profile.
LUNS = {
    "thin-512": "physical_block_size = 512",  # LBPPBE 0
    "thin-4096": "physical_block_size = 4096",  # LBPPBE 3
    "removable": "removable = true",
    "read-only": "read_only = true",
    "sanitize": "sanitize = true",
    "blocks-4096": "block_size = 4096",
}


def allowed_skips() -> dict[str, set[str]]:
    """Profile -> names of the tests it may skip."""
    allowed: dict[str, set[str]] = {}
    for line in SKIPS.read_text().splitlines():
        if line and not line.startswith("#"):
            profile, name, _reason = line.split(maxsplit=2)
            allowed.setdefault(profile, set()).add(name)
    return allowed


def suites() -> list[str]:
    """FAMILY.SUITE of every suite there is."""
    listed = subprocess.run(["iscsi-test-cu", "-l"], capture_output=True, text=True, check=False).stdout.split()
    return [name for name in listed if re.fullmatch(r"(SCSI|iSCSI)\.\w+", name)]


class Conformance(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory(prefix="diskless-conformance-")))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        luns = []
        for number, (profile, keys) in enumerate(LUNS.items()):
            disk = self.folder / f"{profile}.img"
            with disk.open("wb") as file:
                file.truncate(LUN_BYTES)
            luns.append(f'{{ lun = {number}, file = "{disk}", {keys} }}')
        configuration = self.folder / "diskless.toml"
        configuration.write_text(f"""
[server]
address = "127.0.0.1"
data_dir = "{self.folder}/data"
[dhcp]
mode = "off"
[tftp]
port = 0
[http]
port = 0
[iscsi]
port = {self.port}
target_prefix = "{PREFIX}"
[[target]]
name = "disk"
luns = [ {", ".join(luns)} ]
initiators = ["*"]
""")
        self.log = self.folder / "log"
        self.server = subprocess.Popen([DISKLESSD, "--config", configuration], stderr=self.log.open("wb"))
        self.addCleanup(self.stop)
        until = time.monotonic() + 30
        while "server.ready" not in self.log.read_text():
            self.assertLess(time.monotonic(), until, self.log.read_text())
            time.sleep(0.05)

    def stop(self) -> None:
        self.server.terminate()
        self.assertEqual(self.server.wait(30), 0, self.log.read_text()[-4000:])

    def run_suite(self, profile: str, tests: str, *, second_path: bool = False) -> None:
        url = f"iscsi://127.0.0.1:{self.port}/{PREFIX}:disk/{list(LUNS).index(profile)}"
        done = subprocess.run(["iscsi-test-cu", "--dataloss", "--allow-sanitize", "-V", "-t", tests, url, *([url] if second_path else [])],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=400, check=False)
        self.assertIsNone(self.server.poll(), self.log.read_text()[-4000:])
        summary = re.search(r"^\s+tests\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)", done.stdout, re.MULTILINE)
        self.assertIsNotNone(summary, f"{profile} {tests}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        suite, failed, skipped = "", [], set()
        for block in re.split(r"\n(?=Suite: |  Test: )", done.stdout):
            if block.startswith("Suite: "):
                suite = block.split()[1]
            elif block.startswith("  Test: "):
                name = f"{suite}.{block.split()[1]}"
                if re.search(r"^\s+\d+\. test_", block, re.MULTILINE):
                    failed.append(f"{name}\n{block[-1500:]}")
                if "[SKIPPED]" in block:
                    skipped.add(name)
        self.assertEqual(summary[4], "0", f"{profile} {tests}: " + "\n".join(failed))  # type: ignore[index]
        self.assertLessEqual(skipped, allowed_skips().get(profile, set()), f"{profile}: skipped without being in {SKIPS.name}")

    def test_everything_in_one_process(self) -> None:
        self.run_suite("thin-512", "ALL", second_path=True)

    def test_suite_by_suite(self) -> None:
        """In a process each: one of Debian's tests spoils those that follow it on disks with several blocks per physical block."""
        for suite in suites():
            with self.subTest(suite):
                self.run_suite("thin-4096", suite, second_path=suite == "SCSI.MultipathIO")

    def test_blocks_of_4096_bytes(self) -> None:
        for suite in ("SCSI.Read10", "SCSI.Write16", "SCSI.WriteSame16", "SCSI.Unmap", "SCSI.CompareAndWrite", "SCSI.ExtendedCopy", "SCSI.GetLBAStatus",
                      "SCSI.ReadCapacity16", "iSCSI.iSCSIResiduals"):
            with self.subTest(suite):
                self.run_suite("blocks-4096", suite)

    def test_removable(self) -> None:
        for suite in ("SCSI.PreventAllow", "SCSI.NoMedia", "SCSI.StartStopUnit", "SCSI.TestUnitReady", "SCSI.Inquiry"):
            with self.subTest(suite):
                self.run_suite("removable", suite)

    def test_read_only(self) -> None:
        self.run_suite("read-only", "SCSI.ReadOnly")

    def test_sanitize(self) -> None:
        self.run_suite("sanitize", "SCSI.Sanitize")


if __name__ == "__main__":
    unittest.main(verbosity=2)
