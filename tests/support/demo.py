"""What scripts/demo shows: one machine boots from disklessd, says so itself, and the server tells the timeline of that boot; or with
--clients N several machines with one image."""

from __future__ import annotations

import os
import re
import select
import sys
import termios
import tty
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from demo_clients import Demo  # noqa: E402
from lab import Client, Lab, LabError, Machine, kvm_works  # noqa: E402
from scenario import DISKLESSD, Scenario  # noqa: E402

LEAVE = b"\x1d"  # Ctrl-]
WAYS = {"--bios": "bios", "--uefi": "uefi", "--http": "uefi-http", "--kernel": "bios"}


def timeline(log: str, name: str) -> list[tuple[str, str, str]]:
    """(seconds, step, detail) of the client's last boot."""
    last = log[log.rindex(f"boot.started client={name} ") :]
    steps = re.findall(rf'boot\.step client={name} .*?step=(\S+) at=(\S+)s detail="(.*)"$', last, re.MULTILINE)
    done = re.search(rf"boot\.done client={name} .*?seconds=(\S+)", last)
    return steps + ([("done", done[1], "the system is up and writes to its disk")] if done else [])


def console_by_hand(machine: Machine) -> None:
    """The keyboard to the machine, the machine to the screen, until Ctrl-] or power-off."""
    print("-- the console is yours; Ctrl-] leaves and switches the machine off", flush=True)
    keyboard = sys.stdin.fileno()
    saved = termios.tcgetattr(keyboard)
    shown = machine.console_path.stat().st_size
    try:
        tty.setraw(keyboard)
        while machine.running:
            if select.select([keyboard], [], [], 0.05)[0]:
                typed = os.read(keyboard, 1024)
                if not typed or LEAVE in typed:
                    return
                machine.write(typed.decode(errors="replace"))
            with machine.console_path.open("rb") as console:
                console.seek(shown)
                new = console.read()
            shown += len(new)
            os.write(sys.stdout.fileno(), new)
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, saved)


def one_machine(arguments: list[str]) -> int:
    way = next((argument for argument in arguments if argument in WAYS), "--bios")
    login = "--login" in arguments
    with Lab(DISKLESSD) as lab:
        scenario = Scenario(lab)
        desk = scenario.add("desk-01", 1, boot="kernel" if way == "--kernel" else "sanboot")
        if way == "--kernel":
            scenario.publish_kernel()
        lab.start_server(scenario.config())
        print(f"disklessd runs; switching on {desk.name} ({way[2:]}, {'KVM' if kvm_works() else 'TCG: no usable KVM here, so this takes a while'})", flush=True)
        client = Client(firmware=WAYS[way], mac=desk.mac, uuid=desk.uuid, serial="" if login else "poweroff")  # type: ignore[arg-type]
        with lab.boot(client) as machine:
            said = machine.wait_for(r"^diskless-demo: .* runs from its iSCSI disk .*$", 300)
            lab.wait_for_log(rf"boot\.done client={desk.name} ", 30)
            steps = timeline(lab.server_log.read_text(), desk.name)
            print("\nThe timeline of this boot, as the server saw it:")
            for step, at, detail in steps:
                print(f"  {float(at):7.3f} s  {step:<13} {detail}")
            print(f"\nThe machine itself says:\n  {said[0]}", flush=True)
            if login:
                machine.wait_for(r"login:", 300)
                console_by_hand(machine)
            else:
                machine.wait_for_power_off(60)
        return lab.stop_server()


def main(arguments: list[str]) -> int:
    if "--clients" not in arguments:
        return one_machine(arguments)
    with Lab(DISKLESSD) as lab:
        return Demo(lab, int(arguments[arguments.index("--clients") + 1])).run()


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except LabError as error:
        sys.exit(f"demo: {error}")
