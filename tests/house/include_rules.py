#!/usr/bin/env python3
"""Who may include whom: reads every #include "…" of the house and compares it with the rules below.

Run from anywhere; exits 1 and names file, line and rule for every breach. The rules are the design, not a description:
change them only together with ARCHITECTURE.md.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

# folder (longest match wins) -> folders and headers it may include besides its own
RULES: dict[str, list[str]] = {
    "common": [],
    "boot": ["common"],
    "config": ["boot", "common"],
    "storage": ["common"],
    "db": ["boot", "common"],
    "services/dhcp/wire": ["common"],
    "services/dhcp": ["boot", "db", "config/config.hpp", "common"],
    "services/tftp/wire": ["common"],
    "services/tftp": ["boot", "storage", "config/config.hpp", "common"],
    "services/http": ["boot", "storage", "db", "config/config.hpp", "common"],
    "services/iscsi/wire": ["common"],
    "services/iscsi/scsi": ["storage/block_device.hpp", "common"],
    "services/iscsi": ["boot", "storage", "db", "config/config.hpp", "common"],
    "disklessd": ["boot", "config", "storage", "db", "services", "common"],
    "cli": ["common"],
}

# What a pure core must never see: I/O frameworks, the logger, the database, clocks and randomness.
IMPURE = re.compile(
    r'#include\s*[<"](boost/(asio|beast)|spdlog|sqlite3|common/(asio|log|runtime|task_group|timeout|systemd)\.hpp|random|ctime|time\.h|'
    r"sys/socket|netinet|unistd|thread)"
)
CLOCK = re.compile(r"(system_clock|steady_clock)::now\(|\bstd::random_device\b|\btime\(nullptr\)|\brand\(\)")
PURE = [
    "boot",
    "services/dhcp/wire",
    "services/tftp/wire",
    "services/iscsi/wire",
    "services/iscsi/scsi",
    "services/dhcp/responder",
    "services/dhcp/v6_responder",
    "services/dhcp/lease_table",
    "services/dhcp/delivery",
    "services/tftp/transfer",
    "services/iscsi/auth_limit",
    "services/iscsi/chap",
    "services/iscsi/security",
    "services/iscsi/login",
    "services/iscsi/negotiation",
    "services/iscsi/command_window",
    "services/iscsi/data_transfer",
    "services/dhcp/proxy",
    "services/dhcp/reply",
    "services/dhcp/decision",
    "cli/importers",
]
# boot/address_book.hpp and boot/catalog.hpp guard a value with a mutex; that is no I/O.

INCLUDE = re.compile(r'^\s*#include\s+"([^"]+)"')


def room_of(path: str) -> str | None:
    rooms = [room for room in RULES if path == room or path.startswith(room + "/")]
    return max(rooms, key=len) if rooms else None


def may_include(room: str, included: str) -> bool:
    if included.startswith(room + "/"):
        return True
    # An outer room uses its own inner rooms (iscsi its wire and scsi), never the other way round.
    return any(included == rule or included.startswith(rule + "/") for rule in RULES[room])


def breaches(path: pathlib.Path) -> list[str]:
    name = path.relative_to(ROOT).as_posix()
    room = room_of(name)
    if room is None:
        return []
    stem = name.rsplit(".", 1)[0]
    pure = any(stem == p or name.startswith(p + "/") for p in PURE)
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if match := INCLUDE.match(line):
            included = match.group(1)
            if not (ROOT / included).exists() and not (ROOT / f"{included}.in").exists():
                found.append(f'{name}:{number}: "{included}" is not a path from the top of the house')
            elif not may_include(room, included):
                found.append(f'{name}:{number}: {room} may not include "{included}"')
        if pure and IMPURE.search(line):
            found.append(f"{name}:{number}: a pure core includes {line.strip()}")
        if pure and CLOCK.search(line):
            found.append(f"{name}:{number}: a pure core reads a clock or makes randomness: {line.strip()}")
    return found


def main() -> int:
    files = [path for room in RULES for pattern in ("*.hpp", "*.cpp") for path in (ROOT / room).rglob(pattern)]
    unique = sorted(set(files))
    found = [breach for path in unique for breach in breaches(path)]
    print("\n".join(found) if found else f"include rules: {len(unique)} files keep them")
    return 1 if found or not unique else 0


if __name__ == "__main__":
    sys.exit(main())
