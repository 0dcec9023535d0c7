#!/usr/bin/env python3
"""End to end with initiators that bring themselves: open-iscsi inside a guest, OVMF's own.

    DISKLESSD=build/dev/bin/disklessd FIO_SECONDS=30 tests/e2e/guests.py [-v] [OpenIscsi.test_fio …]
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import sys
import time
import unittest
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from boot import BOOT_S, POWER_OFF_S, machine_of  # noqa: E402
from guest_disk import disk_with  # noqa: E402
from lab import SERVER_ADDRESS, Lab  # noqa: E402
from scenario import DISKLESSD, PREFIX, Scenario  # noqa: E402
from setup_menu import BOOT_MENU, DOWN, ENTER, SPACE, SetupMenu  # noqa: E402

FIO_SECONDS = int(os.environ.get("FIO_SECONDS", "300"))
PATIENCE_S = 600  # of the guest's kernel: a machine whose disk stalls for a minute is slow, not wrong
USER, SECRET, SERVER_SECRET = "anna", "the-secret-of-anna", "what-the-server-says"


class WithGuest(unittest.TestCase):
    def setUp(self) -> None:
        self.lab = self.enterContext(Lab(DISKLESSD))
        self.scenario = Scenario(self.lab)

    def tearDown(self) -> None:
        self.assertFalse(self.lab.server_died(), self.lab.server_report())
        if self.lab.server_running():
            self.assertEqual(self.lab.stop_server(), 0, self.lab.server_report())


class OpenIscsi(WithGuest):
    """A guest whose kernel logs in to a second target: CHAP both ways, CRC32C over headers and data."""

    SCRIPT = f"""#!/bin/bash
set -e
mkdir -p /run/lock/iscsi
record="iscsiadm -m node -T {PREFIX}:scratch -p {SERVER_ADDRESS}:3260"
$record -o new
set_key() {{ $record -o update -n "$1" -v "$2"; }}
set_key node.session.auth.authmethod CHAP
set_key node.session.auth.username {USER}
set_key node.session.auth.password {SECRET}
set_key node.session.auth.username_in server
set_key node.session.auth.password_in {SERVER_SECRET}
set_key 'node.conn[0].iscsi.HeaderDigest' CRC32C
set_key 'node.conn[0].iscsi.DataDigest' CRC32C
set_key node.session.timeo.replacement_timeout {PATIENCE_S}
echo {PATIENCE_S} | tee /sys/class/iscsi_session/session*/recovery_tmo /sys/block/sd*/device/timeout > /dev/null
$record --login
disk=
until [ -b "$disk" ]; do
  sleep 0.2
  for device in /sys/class/iscsi_session/*/device/target*/*/block/*; do
    [ "$(cat "${{device%/device/*}}/targetname")" != {PREFIX}:scratch ] || disk=/dev/${{device##*/}}
  done
done
echo {PATIENCE_S} > "/sys/block/${{disk#/dev/}}/device/timeout"
echo "guest: logged in, $disk"
LD_LIBRARY_PATH=/mnt/lib /mnt/fio --name=check --filename="$disk" --size=192M --direct=1 --ioengine=libaio --iodepth=16 --rw=randrw \
  --bssplit=512/5:4k/40:20k/15:64k/25:256k/15 --bs_unaligned=0 --blockalign=512 --verify=crc32c --verify_fatal=1 --verify_backlog=512 \
  --time_based --runtime={FIO_SECONDS} --status-interval=5 --output-format=terse --terse-version=3 | cut -d ';' -f 1-7
[ "${{PIPESTATUS[0]}}" = 0 ] || {{ echo "guest: fio failed"; exit 1; }}
$record --logout
echo "guest: fio has verified everything"
"""

    def test_fio(self) -> None:
        """For some minutes reads, writes and checks of mixed sizes; half-way the server restarts."""
        secrets = self.lab.directory / "chap.secrets"
        secrets.write_text(f"{USER} {SECRET} server {SERVER_SECRET}\n")
        secrets.chmod(0o600)
        self.scenario.iscsi = 'chap_secrets = "chap.secrets"'
        self.scenario.extra = (f'[[target]]\nname = "scratch"\nluns = [ {{ lun = 0, file = "scratch.img", size = "256MiB" }} ]\n'
                               f'initiators = ["*"]\nchap = ["{USER}"]\n')
        client = self.scenario.add("desk-01", 1)
        self.lab.start_server(self.scenario.config())
        tools = disk_with(self.lab.directory, self.SCRIPT, ["fio"])
        drive = ("-drive", f"if=virtio,format=raw,readonly=on,file={tools}")
        with self.lab.boot(machine_of(client, job="run", extra=drive)) as machine:
            machine.wait_for(r"^guest: logged in, /dev/sd[a-z]+$", BOOT_S)
            time.sleep(FIO_SECONDS / 2)
            session = self.session()
            self.assertEqual(session["initiator"], f"{PREFIX}.initiator:desk-01")
            self.assertEqual([session["negotiated"][key] for key in ("HeaderDigest", "DataDigest")], ["CRC32C", "CRC32C"])
            self.assertEqual(self.lab.stop_server(), 0)
            self.lab.start_server()
            machine.wait_for(r"^guest: fio has verified everything$", FIO_SECONDS + BOOT_S)
            machine.wait_for_power_off(POWER_OFF_S)
        # At the end for certain; before the stop if the guest was quick enough to do as it was asked.
        self.assertIn(len(re.findall(rf"session\.closed .*target={PREFIX}:scratch .*reason=logout", self.lab.server_log.read_text())), (1, 2))

    def session(self) -> dict[str, Any]:
        program = Path(DISKLESSD).with_name("diskless")
        output = self.lab.run([program, "--socket", self.scenario.data_dir / "api.sock", "sessions", "--json"])
        (session,) = [one for one in json.loads(output)["sessions"] if one["target"] == f"{PREFIX}:scratch"]
        return session  # type: ignore[no-any-return]


class Ovmf(WithGuest):
    """UEFI's own initiator: a short DISCOVER without a class, the target from option 17, the disk a boot option of the firmware."""

    def test_boots_from_it(self) -> None:
        client = self.scenario.add("desk-01", 1)
        self.lab.start_server(self.scenario.config())
        machine = dataclasses.replace(machine_of(client, "uefi", extra=BOOT_MENU), variables=self.lab.directory / "variables.fd")
        with self.lab.boot(machine) as configured:
            self.configure(SetupMenu(configured))
        with self.lab.boot(machine) as booted:
            menu = SetupMenu(booted)
            menu.open()
            menu.choose("Boot Manager")
            menu.choose("VIRTUAL-DISK")
            booted.wait_for(r"^diskless-demo: desk-01 runs from its iSCSI disk", BOOT_S)
            booted.wait_for_power_off(POWER_OFF_S)
        log = self.lab.server_log.read_text()
        self.assertNotIn("step=script", log)
        self.assertRegex(log, r"session\.opened .*isid=125400123401 ")  # made from the MAC

    def configure(self, menu: SetupMenu) -> None:
        menu.open()
        menu.choose("Device Manager")
        menu.choose("iSCSI Configuration")
        menu.press(ENTER)  # the initiator name is highlighted
        menu.press(f"{PREFIX}.initiator:desk-01" + ENTER)
        menu.choose("Add an Attempt")
        menu.press(ENTER)  # the only network card
        menu.press(ENTER)  # the mode is highlighted: disabled, enabled, …
        menu.press(DOWN)
        menu.press(ENTER)
        for checkbox in ("Enable DHCP", "Get target info via DHCP"):
            menu.go_to(checkbox)
            menu.press(SPACE)
        menu.choose("Authentication Type")  # CHAP, none
        menu.press(DOWN)
        menu.press(ENTER)
        menu.choose("Save Changes")


if __name__ == "__main__":
    unittest.main(verbosity=2)
