"""What end-to-end tests share: where the program and the demo image are, configurations, and disks made from the image.

From the environment (tests/CMakeLists.txt and scripts/demo set them):
    DISKLESSD            the program to test
    DISKLESS_DEMO_IMAGE  the folder that scripts/demo-image filled
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from lab import BRIDGE, SERVER_ADDRESS, Lab

PREFIX = "iqn.2026-11.lan.lab"
DISKLESSD = Path(os.environ.get("DISKLESSD", "build/release/bin/disklessd")).resolve()
DEMO_IMAGE = Path(os.environ.get("DISKLESS_DEMO_IMAGE", "build/demo-image")).resolve()


@dataclass(frozen=True)
class Declared:
    """A client in the configuration."""

    name: str
    number: int  # the last byte of its MAC, its UUID and its address
    disk: Path | None  # none: its disks are in `keys`
    boot: str = "sanboot"
    keys: str = ""  # further lines of its table

    @property
    def mac(self) -> str:
        return f"52:54:00:12:34:{self.number:02x}"

    @property
    def uuid(self) -> str:
        return f"00000000-0000-4000-8000-5254001234{self.number:02x}"

    @property
    def address(self) -> str:
        return f"192.168.77.{10 + self.number}"

    @property
    def target(self) -> str:
        return f"{PREFIX}:{self.name}"

    def toml(self) -> str:
        lines = [
            "[[client]]",
            f'name = "{self.name}"',
            f'mac = "{self.mac}"',
            f'address = "{self.address}"',
            f'boot = "{self.boot}"',
        ]
        if self.disk is not None:
            lines.append(f'disks = [ {{ lun = 0, file = "{self.disk}" }} ]')
        if self.boot == "kernel":
            lines.append('cmdline = "root=LABEL=root ro ip=dhcp {iscsi} console=ttyS0,115200 net.ifnames=0 virtio_net.napi_tx=0 panic=10 '
                         'init=/sbin/diskless-demo"')
        return "\n".join([*lines, self.keys]) + "\n"


@dataclass
class Scenario:
    """A configuration for the lab's network."""

    lab: Lab
    clients: list[Declared] = field(default_factory=list)
    extra: str = ""  # further tables
    iscsi: str = ""  # further keys of [iscsi]
    dhcp: str = f"""
[[dhcp.subnet]]
network = "192.168.77.0/24"
pool = ["192.168.77.100-192.168.77.199"]
router = "{SERVER_ADDRESS}"
lease_time = "1h"
"""

    def new_disk(self, name: str) -> Path:
        """A copy of the demo image for one client; holes stay holes."""
        disk = self.lab.directory / f"{name}.img"
        subprocess.run(["cp", "--sparse=always", "--reflink=auto", DEMO_IMAGE / "disk.img", disk], check=True, timeout=120)
        return disk

    def add(self, name: str, number: int, boot: str = "sanboot", disk: Path | None = None) -> Declared:
        client = Declared(name, number, disk or self.new_disk(name), boot)
        self.clients.append(client)
        return client

    def add_with_disks(self, name: str, number: int, disks: str, boot: str = "sanboot") -> Declared:
        """A client with these disks, as the configuration writes them."""
        client = Declared(name, number, None, boot, keys=f"disks = [ {disks} ]")
        self.clients.append(client)
        return client

    def publish_kernel(self) -> None:
        """Kernel and initrd of the demo image into the boot folder."""
        boot = self.data_dir / "boot"
        boot.mkdir(parents=True, exist_ok=True)
        for name in ("vmlinuz", "initrd.img"):
            (boot / name).write_bytes((DEMO_IMAGE / name).read_bytes())

    @property
    def data_dir(self) -> Path:
        return self.lab.directory / "data"

    def config(self) -> str:
        head = f"""
[server]
interface = "{BRIDGE}"
data_dir = "{self.data_dir}"
{self.dhcp}
[iscsi]
target_prefix = "{PREFIX}"
{self.iscsi}
"""
        return head + self.extra + "\n" + "\n".join(client.toml() for client in self.clients)
