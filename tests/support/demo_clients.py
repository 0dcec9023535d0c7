"""What scripts/demo --clients N shows: one image, and every machine its own disk of it; a super client changes the image for all."""

from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from guest_disk import disk_with  # noqa: E402
from lab import Client, Lab  # noqa: E402
from scenario import DEMO_IMAGE, DISKLESSD, Declared, Scenario  # noqa: E402

BOOT_S = 300
POWER_OFF_S = 60
MIB = 1 << 20
IMAGE = "debian"
SAYS = r"^diskless-demo: (\S+) runs from its iSCSI disk \S+ at \S+ \(boot (\d+)\)$"

# Installs the package on the super client's disk, and on every disk tells whether it is there.
INSTALL = "#!/bin/bash\ndpkg -i /mnt/*.deb\n"
TRY = "#!/bin/bash\necho \"demo: the new program says: $(command -v hello >/dev/null && hello || echo 'nothing, it is not there')\"\n"


def hello_package(directory: Path) -> Path:
    """Debian's own package `hello`."""
    download = ["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", "hello"]
    if subprocess.run(download, cwd=directory, stderr=subprocess.DEVNULL).returncode != 0:
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        subprocess.run(download, cwd=directory, check=True)
    return next(directory.glob("hello_*.deb"))


class Demo:
    def __init__(self, lab: Lab, number: int) -> None:
        self.lab = lab
        self.scenario = Scenario(lab, extra=f'[[image]]\nname = "{IMAGE}"\n')
        modes = ["persistent", *["ephemeral"] * (number - 1)]
        self.desks = [
            self.scenario.add_with_disks(f"desk-{i:02}", i, f'{{ lun = 0, image = "{IMAGE}", mode = "{mode}" }}') for i, mode in enumerate(modes, 1)
        ]

    def diskless(self, *words: str | Path) -> str:
        """Types a command and shows it with what it answers."""
        print("\n$ diskless " + " ".join(Path(word).name if isinstance(word, Path) else word for word in words), flush=True)
        program = Path(DISKLESSD).with_name("diskless")
        said = self.lab.run([program, "--socket", self.scenario.data_dir / "api.sock", *words], timeout=600)
        print("  " + said.rstrip().replace("\n", "\n  "), flush=True)
        return said

    def boot(self, desks: list[Declared], job: str = "poweroff", drive: Path | None = None, wanted: str = "") -> list[str]:
        """Boots them at once; what each of them said at last, in the order of `desks`."""
        extra = () if drive is None else ("-drive", f"if=virtio,format=raw,readonly=on,file={drive}")
        with ExitStack() as stack, ThreadPoolExecutor(len(desks)) as pool:
            machines = [
                stack.enter_context(self.lab.boot(Client(firmware="bios", mac=desk.mac, uuid=desk.uuid, serial=job, extra=extra))) for desk in desks
            ]

            def line_of(machine) -> str:  # type: ignore[no-untyped-def]
                said = machine.wait_for(SAYS, BOOT_S)[0]
                if wanted:
                    said = machine.wait_for(wanted, BOOT_S)[0]
                machine.wait_for_power_off(POWER_OFF_S)
                return str(said)

            lines = list(pool.map(line_of, machines))
        for desk, line in zip(desks, lines):
            print(f"  {desk.name}: {line.removeprefix('diskless-demo: ').removeprefix('demo: ')}", flush=True)
        return lines

    def show_files(self) -> None:
        data = self.scenario.data_dir
        print("\nWhat is on the server's disk:")
        for file in sorted([*data.glob("images/**/*"), *data.glob("disks/**/*.qcow2")]):
            if file.is_file():
                print(f"  {file.stat().st_blocks * 512 / MIB:8.1f} MiB  {file.relative_to(data)}")

    def run(self) -> int:
        persistent, *ephemeral = self.desks
        editor = ephemeral[-1]
        self.lab.start_server(self.scenario.config())
        self.diskless("image", "import", IMAGE, DEMO_IMAGE / "disk.img", "--description", "as it was installed")

        print(f"\nSwitching on {len(self.desks)} machines without disks, at once:", flush=True)
        self.boot(self.desks)
        self.show_files()
        print(f"\nOnce more: {persistent.name} finds what it wrote, the others begin anew:", flush=True)
        counts = [re.search(r"boot (\d+)", line)[1] for line in self.boot(self.desks)]  # type: ignore[index]
        if counts != ["2", *["1"] * len(ephemeral)]:
            raise SystemExit(f"demo: boots {counts} were counted instead")

        print(f"\n{editor.name} becomes a super client and installs a package:", flush=True)
        self.diskless("disk", "edit", editor.name)
        package = hello_package(self.lab.directory)
        (self.lab.directory / "install").mkdir()
        self.boot([editor], "run", disk_with(self.lab.directory / "install", INSTALL, files=[package]), r"^Setting up hello .*$")
        self.diskless("disk", "publish", editor.name, "--description", "with hello")

        print("\nThe others boot again:", flush=True)
        (self.lab.directory / "try").mkdir()
        probe = disk_with(self.lab.directory / "try", TRY)
        said = self.boot(self.desks, "run", probe, r"^demo: the new program says: .*$")
        if "nothing" not in said[0] or any("Hello" not in line for line in said[1:]):
            raise SystemExit("demo: not the persistent disk alone is as it was")
        self.diskless("disk", "list")
        self.diskless("image", "rollback", IMAGE)
        print("\nBack again:", flush=True)
        if "nothing" not in self.boot(ephemeral[:1], "run", probe, r"^demo: the new program says: .*$")[0]:
            raise SystemExit("demo: the version before is not what it boots")
        return self.lab.stop_server()
