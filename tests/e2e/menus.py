#!/usr/bin/env python3
"""End to end, menus: what somebody at the machine's keyboard chooses, and what is chosen for one boot.

    DISKLESSD=build/dev/bin/disklessd tests/e2e/menus.py [-v] [Menus.test_enrolled_from_the_menu …]
"""

from __future__ import annotations

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from boot import BOOT_S, POWER_OFF_S, machine_of  # noqa: E402
from disks import WithImage  # noqa: E402
from scenario import PREFIX, Declared  # noqa: E402

DOWN, ENTER = "\x1b[B", "\r"


class Menus(WithImage):
    def tool(self) -> str:
        """A tool that says so on the console and restarts, which ends a machine of the lab."""
        root = self.scenario.data_dir / "boot"
        root.mkdir(parents=True, exist_ok=True)
        (root / "tool.ipxe").write_text("#!ipxe\necho the tool was here\nsleep 1\nreboot\n")
        return '[[tool]]\nname = "memtest"\ntitle = "Look at the memory"\nscript = "tool.ipxe"\n'

    def test_enrolled_from_the_menu(self) -> None:
        """A machine nobody declared: somebody chooses its group at its keyboard, and at the next start it boots that group's image."""
        self.scenario.extra += ('[[group]]\nname = "desks"\ndisks = [ { lun = 0, image = "debian" } ]\n'
                                '[unknown_clients]\npolicy = "menu"\ngroup = "desks"\nname = "{group}-{nn}"\n')
        self.start()
        stranger = Declared("desks-01", 7, None)
        with self.lab.boot(machine_of(stranger)) as machine:
            machine.wait_for(r"Become a machine of desks", BOOT_S)
            machine.write(DOWN + ENTER)
            machine.wait_for(r"this machine is desks-01 now, of group desks", BOOT_S)
            self.lab.wait_for_log(rf"client\.enrolled client=desks-01 mac={stranger.mac} group=desks", 5)
            machine.kill()  # the lab's machines end where others restart
        with self.lab.boot(machine_of(stranger)) as machine:
            found = machine.wait_for(r"^diskless-demo: (\S+) runs from its iSCSI disk (\S+) at ", BOOT_S)
            self.assertEqual(found[2], f"{PREFIX}:desks-01")
            machine.wait_for_power_off(POWER_OFF_S)

    def test_once(self) -> None:
        """A tool for the next boot: that boot has it, even if the server is killed in between, and the one after does not."""
        client = self.client(1, "persistent")
        self.scenario.extra += self.tool()
        self.start()
        self.assertIn("once", self.diskless("boot", "next", client.name, "memtest"))
        self.lab.kill_server()
        self.start()
        self.assertRegex(self.diskless("boot", "show", client.name), r"once +memtest")
        with self.lab.boot(machine_of(client)) as machine:
            machine.wait_for(r"the tool was here", BOOT_S)
            machine.wait_for_power_off(POWER_OFF_S)
        self.lab.wait_for_log(rf"client\.next_boot_used client={client.name} choice=memtest", 5)
        self.assertRegex(self.diskless("boot", "show", client.name), r"once +-")
        self.assertEqual(self.boots(client), 1)

    def test_chosen(self) -> None:
        """A tool out of a client's own menu; the disk is what it starts with when nobody is there."""
        client = self.scenario.add_with_disks("desk-03", 3, '{ lun = 0, image = "debian" }', "menu")
        self.scenario.clients[-1] = client = Declared(client.name, client.number, None, "menu",
                                                      client.keys + '\ntools = [ "memtest" ]\nmenu_timeout = "20s"\nmenu_default = "disk"\n')
        self.scenario.extra += self.tool()
        self.start()
        with self.lab.boot(machine_of(client)) as machine:
            machine.wait_for(r"Look at the memory", BOOT_S)
            machine.write(DOWN + DOWN + ENTER)
            machine.wait_for(r"the tool was here", BOOT_S)
            machine.wait_for_power_off(POWER_OFF_S)
        self.assertEqual(self.boots(client), 1)


del WithImage

if __name__ == "__main__":
    unittest.main(verbosity=2)
