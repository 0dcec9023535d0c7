"""OVMF's setup menus, driven over the serial line as a person would: arrows, Enter, and looking at what is highlighted now."""

from __future__ import annotations

import re
import time

from lab import LabError, Machine

DOWN, ENTER, ESCAPE, SPACE = "\x1b[B", "\r", "\x1b", " "
# Give this to the machine as `extra`, or there is no time to press Escape.
BOOT_MENU = ("-boot", "menu=on,splash-time=8000")


class SetupMenu:
    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._seen = 0

    def open(self, timeout: float = 120) -> None:
        """Stops the boot at the firmware's front page."""
        deadline = time.monotonic() + timeout
        while "Continue" not in self._machine.console():
            if time.monotonic() > deadline or not self._machine.running:
                raise LabError(f"the firmware's setup does not open\n{self._machine.report()}")
            self._machine.write(ESCAPE)
            time.sleep(0.5)
        self._settled()

    def press(self, keys: str) -> str:
        """Presses keys and returns what the screen got to show by them."""
        self._machine.write(keys)
        return self._settled()

    def go_to(self, entry: str) -> None:
        """Moves the highlight down to the entry of this name."""
        for _ in range(40):
            # The line that loses the highlight is drawn first, then the keys' legend, then the line that gets it and its help.
            if entry in re.split(r"Entry|Checkbox", self.press(DOWN))[-1]:
                return
        raise LabError(f"no entry {entry!r} in this form\n{self._machine.report()}")

    def choose(self, entry: str) -> None:
        self.go_to(entry)
        self.press(ENTER)

    def _settled(self) -> str:
        """Waits until the screen has changed and rests; returns what is new."""
        rests_s, at_most_s = 0.4, 10
        begin = last = time.monotonic()
        length = self._seen
        while True:
            time.sleep(0.05)
            now = time.monotonic()
            text = self._machine.console()
            if len(text) != length:
                length, last = len(text), now
            if (length > self._seen and now - last > rests_s) or now - begin > at_most_s:
                new = text[self._seen :]
                self._seen = length
                return new
