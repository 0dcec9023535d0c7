#!/usr/bin/env python3
"""End to end without machines: real DHCP, TFTP, HTTP and iSCSI clients of the distribution against the real daemon.

    DISKLESSD=build/dev/bin/disklessd tests/e2e/peers.py [-v] [Iscsi.test_tools …]
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import unittest
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from host import Host  # noqa: E402
from lab import BRIDGE, SERVER_ADDRESS, Lab  # noqa: E402
from scenario import DISKLESSD, PREFIX, Scenario  # noqa: E402

DESK_MAC = "52:54:00:12:34:01"
STRANGER_MAC = "52:54:00:99:99:99"


class WithServer(unittest.TestCase):
    """A lab and its server; `extra` goes into the configuration."""

    extra = ""
    iscsi = ""  # further keys of its [iscsi]

    def setUp(self) -> None:
        self.lab = self.enterContext(Lab(DISKLESSD))
        self.scenario = Scenario(self.lab, extra=self.extra, iscsi=self.iscsi)
        self.disk = self.lab.directory / "desk-01.img"
        self.disk.touch()
        os.truncate(self.disk, 64 << 20)
        self.scenario.add("desk-01", 1, disk=self.disk)
        (self.scenario.data_dir / "boot").mkdir(parents=True)
        self.prepare()
        self.lab.start_server(self.scenario.config())

    def prepare(self) -> None:
        """What a test wants to be there before the server starts."""

    def tearDown(self) -> None:
        self.assertFalse(self.lab.server_died(), self.lab.server_report())
        if self.lab.server_running():
            self.assertEqual(self.lab.stop_server(), 0, self.lab.server_report())

    def host(self, mac: str = DESK_MAC) -> Host:
        return self.enterContext(Host(self.lab, mac))

    def ok(self, done: subprocess.CompletedProcess[str]) -> str:
        self.assertEqual(done.returncode, 0, f"{done.args}\n{done.stdout}{done.stderr}{self.lab.server_report()}")
        return done.stdout

    def diskless_command(self, *words: str | Path) -> list[str | Path]:
        return [Path(DISKLESSD).with_name("diskless"), "--socket", self.scenario.data_dir / "api.sock", *words]

    def diskless(self, *words: str | Path, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.diskless_command(*words), capture_output=True, text=True, check=False, timeout=timeout)


class Dhcp(WithServer):
    def udhcpc(self, host: Host, *more: str) -> subprocess.CompletedProcess[str]:
        return host.run(["udhcpc", "-i", host.interface, "-n", "-q", "-f", "-t", "3", "-T", "2", "-s", "/bin/true", *more])

    def test_udhcpc_gets_the_reservation(self) -> None:
        done = self.udhcpc(self.host())
        self.ok(done)
        self.assertIn("lease of 192.168.77.11 obtained from 192.168.77.1", done.stdout + done.stderr)

    def test_a_pxe_rom_gets_its_loader(self) -> None:
        host = self.host()
        script = self.lab.directory / "show"
        script.write_text("#!/bin/sh\n[ \"$1\" = bound ] && env >" + str(self.lab.directory / "bound") + "\nexit 0\n")
        script.chmod(0o755)
        self.ok(host.run(["udhcpc", "-i", host.interface, "-n", "-q", "-f", "-t", "3", "-T", "2", "-s", script,
                          "-V", "PXEClient:Arch:00000:UNDI:002001", "-x", "0x5d:0000", "-x", "0x5e:010201", "-O", "bootfile", "-O", "66", "-O", "67"]))
        bound = (self.lab.directory / "bound").read_text()
        self.assertIn("boot_file=undionly.kpxe", bound)
        self.assertIn(f"siaddr={SERVER_ADDRESS}", bound)

    def kill_by_pid_file(self, pid: Path) -> None:
        """Its parent may leave before the daemon has written the file."""
        until = time.monotonic() + 10
        while time.monotonic() < until and not (pid.exists() and pid.read_text().strip()):
            time.sleep(0.02)
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid.read_text()), signal.SIGKILL)

    def test_dhclient_binds_renews_and_releases(self) -> None:
        host = self.host()
        leases, pid = self.lab.directory / "leases", self.lab.directory / "pid"
        base = ["dhclient", "-4", "-v", "-sf", "/bin/true", "-lf", leases, "-pf", pid]
        done = host.run([*base, "-1", host.interface])
        self.ok(done)
        self.assertIn("bound to 192.168.77.11", done.stderr)
        self.kill_by_pid_file(pid)
        # A second start is INIT-REBOOT: the same address by REQUEST alone.
        done = host.run([*base, "-1", host.interface])
        self.ok(done)
        self.assertIn("bound to 192.168.77.11", done.stderr)
        host.set_address("192.168.77.11")
        self.ok(host.run([*base, "-r", host.interface]))
        self.lab.wait_for_log(r"lease\.released", 10)

    def test_strangers_get_nothing(self) -> None:
        done = self.udhcpc(self.host(STRANGER_MAC))
        self.assertNotEqual(done.returncode, 0, done.stdout)
        self.lab.wait_for_log(rf"dhcp\.ignored .*{STRANGER_MAC}", 5)


class Control(WithServer):
    """Leases and boots, on the command line."""

    def json(self, *words: str) -> Any:
        return json.loads(self.ok(self.diskless(*words, "--json")))

    def test_leases(self) -> None:
        self.assertEqual(self.json("lease")["leases"], [])
        host = self.host(STRANGER_MAC)
        self.ok(self.host().run(["udhcpc", "-i", host.interface, "-n", "-q", "-f", "-s", "/bin/true", "-x", "hostname:desk"]))
        lease = self.json("lease", "list")["leases"][0]
        self.assertEqual((lease["address"], lease["mac"], lease["client"], lease["state"]), ("192.168.77.11", DESK_MAC, "desk-01", "bound"))
        self.assertEqual(lease["expires"] - lease["starts"], 3600 + 3600 // 8)
        self.assertRegex(self.ok(self.diskless("lease")), r"192\.168\.77\.11 +52:54:00:12:34:01 +desk-01 +desk.* bound")
        self.assertRegex(self.ok(self.diskless("lease", "export")), r'"ADDRESS","MAC".*\r?\n"192\.168\.77\.11","52:54:00:12:34:01","desk-01"')
        self.ok(self.diskless("lease", "release", "192.168.77.11"))
        self.assertEqual(self.json("lease")["leases"][0]["state"], "released")
        for wrong, says in (("192.168.77.11", "nobody has a lease of 192.168.77.11"), ("everything", "a lease is named by its address")):
            done = self.diskless("lease", "release", wrong)
            self.assertEqual(done.returncode, 1)
            self.assertIn(says, done.stderr)
        self.assertEqual(self.diskless("lease", "steal").returncode, 2)

    def test_boot(self) -> None:
        shown = self.ok(self.diskless("boot", "show", "desk-01"))
        self.assertRegex(shown, r"BIOS +undionly\.kpxe")
        self.assertRegex(shown, r"UEFI x64 over HTTP +http://192\.168\.77\.1:8080/boot/snponly\.efi")
        script = self.json("boot", "show", "desk-01")["script"]
        fetched = self.ok(self.host(STRANGER_MAC).run(["sh", "-c", "ip address add 192.168.77.90/24 dev eth0 && "
                                                      f"curl -sf 'http://{SERVER_ADDRESS}:8080/boot.ipxe?mac={DESK_MAC}'"]))
        self.assertEqual(fetched, script)  # what is shown is what the machine gets
        done = self.diskless("boot", "show", "nobody")
        self.assertEqual((done.returncode, done.stderr), (1, "diskless: there is no client 'nobody'; declare it, or see [unknown_clients]\n"))
        self.assertEqual(self.diskless("boot", "show").returncode, 2)

    def test_wake(self) -> None:
        """What a sleeping card waits for: its own address sixteen times, in a broadcast."""
        host = self.host()
        heard = host.popen([sys.executable, "-c", "import socket, sys; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', 9)); s.settimeout(20); "
                            f"sys.exit(s.recv(999) != b'\\xff' * 6 + bytes.fromhex('{DESK_MAC.replace(':', '')}') * 16)"])
        listens = ["sh", "-c", "for i in $(seq 100); do ss -Hlun sport = :9 | grep -q . && exit 0; sleep 0.1; done; exit 1"]
        self.ok(host.run(listens))
        host.set_address("192.168.77.91")
        self.assertIn("1 of desk-01's cards", self.ok(self.diskless("boot", "wake", "desk-01")))
        self.assertEqual(heard.wait(20), 0)


class DhcpOptions(WithServer):
    def prepare(self) -> None:
        self.scenario.dhcp = self.scenario.dhcp.replace("lease_time", 'options = ["ntp-servers 192.168.77.5", "224 text hello"]\nlease_time')
        self.scenario.clients = [dataclasses.replace(self.scenario.clients[0], keys='dhcp_options = ["ntp-servers 192.168.77.6"]')]

    def test_by_name_and_number(self) -> None:
        """A real client gets what it asks for, its own before its subnet's."""
        host = self.host()
        bound = self.lab.directory / "bound"
        script = self.lab.directory / "show"
        script.write_text(f"#!/bin/sh\n[ \"$1\" = bound ] && env >{bound}\nexit 0\n")
        script.chmod(0o755)
        self.ok(host.run(["udhcpc", "-i", host.interface, "-n", "-q", "-f", "-t", "3", "-T", "2", "-s", script, "-O", "ntpsrv", "-O", "0xe0"]))
        self.assertIn("ntpsrv=192.168.77.6\n", bound.read_text())
        self.assertIn("opt224=68656c6c6f\n", bound.read_text())


class DhcpMenuPolicy(Dhcp):
    extra = '[unknown_clients]\npolicy = "menu"\n'

    def test_strangers_get_nothing(self) -> None:
        """Under this policy they get an address of the pool, and the same one after the server was killed."""
        host = self.host(STRANGER_MAC)
        first = self.udhcpc(host)
        self.ok(first)
        address = re.search(r"lease of (192\.168\.77\.1\d\d) obtained", first.stdout + first.stderr)
        self.assertIsNotNone(address, first.stdout + first.stderr)
        self.lab.restart_server()
        second = self.udhcpc(host)
        self.ok(second)
        self.assertIn(f"lease of {address[1]} obtained", second.stdout + second.stderr)  # type: ignore[index]


class Files(WithServer):
    def prepare(self) -> None:
        self.big = os.urandom(3_000_001)
        boot = self.scenario.data_dir / "boot"
        (boot / "big.bin").write_bytes(self.big)
        (boot / "empty").write_bytes(b"")
        (self.scenario.data_dir / "secret").write_text("not yours")
        (boot / "out").symlink_to("../secret")

    def fetch_tftp(self, host: Host, name: str) -> tuple[subprocess.CompletedProcess[str], bytes]:
        local = self.lab.directory / "fetched"
        local.unlink(missing_ok=True)
        done = host.run(["tftp", "-m", "binary", SERVER_ADDRESS, "-c", "get", name, local])
        return done, local.read_bytes() if local.exists() else b""

    def test_tftp(self) -> None:
        host = self.host()
        host.set_address("192.168.77.11")
        self.assertEqual(self.fetch_tftp(host, "big.bin")[1], self.big)
        self.assertEqual(self.fetch_tftp(host, "undionly.kpxe")[1], Path("/usr/lib/ipxe/undionly.kpxe").read_bytes())
        for blksize in ("512", "1428", "8192"):
            done = host.run(["curl", "-sS", "--tftp-blksize", blksize, "-o", self.lab.directory / "curl", f"tftp://{SERVER_ADDRESS}/big.bin"])
            self.ok(done)
            self.assertEqual((self.lab.directory / "curl").read_bytes(), self.big)
        for name in ("../secret", "out", "/etc/passwd", "no-such-file"):
            with self.subTest(name):
                done, data = self.fetch_tftp(host, name)
                self.assertEqual(data, b"")
                self.assertIn("Error code", done.stdout + done.stderr)

    def test_http(self) -> None:
        host = self.host()
        host.set_address("192.168.77.11")
        url = f"http://{SERVER_ADDRESS}:8080"

        def curl(*arguments: str) -> str:
            return self.ok(host.run(["curl", "-sS", "--path-as-is", "--max-time", "20", *arguments]))

        fetched = self.lab.directory / "fetched"
        curl("-o", str(fetched), f"{url}/boot/big.bin")
        self.assertEqual(fetched.read_bytes(), self.big)
        curl("-o", str(fetched), "-r", "1000-1999", f"{url}/boot/big.bin")
        self.assertEqual(fetched.read_bytes(), self.big[1000:2000])
        curl("-o", str(fetched), "-r", "-10", f"{url}/boot/big.bin")
        self.assertEqual(fetched.read_bytes(), self.big[-10:])
        self.assertRegex(curl("-I", f"{url}/boot/big.bin"), r"(?i)content-length: 3000001")
        for path, status in (("/boot/../secret", "404"), ("/boot/out", "404"), ("/boot/%2e%2e/secret", "404"), ("/boot/no-such-file", "404"),
                             ("/healthz", "200"), ("/boot/empty", "200"), ("/boot.ipxe", "200"), ("/boot.ipxe?mac=52-54-00-12-34-01", "200"),
                             ("/boot/undionly.kpxe", "200"), ("/boot//big.bin", "200")):
            with self.subTest(path):
                self.assertEqual(curl("-o", "/dev/null", "-w", "%{http_code}", url + path), status)
        # iPXE of the cards sends this; it means nothing and must not cost the file.
        self.assertEqual(curl("-o", "/dev/null", "-w", "%{http_code}", "-H", "Range: bytes=u-u", f"{url}/boot/big.bin"), "200")
        self.assertIn(f"sanboot iscsi:{SERVER_ADDRESS}::3260:0:{PREFIX}:desk-01", curl(f"{url}/boot.ipxe?mac=52-54-00-12-34-01"))


class Iscsi(WithServer):
    extra = f"""
[[target]]
name = "scratch"
luns = [ {{ lun = 0, file = "scratch.img", size = "1GiB", description = "scratch space" }}, {{ lun = 3, file = "scratch.img.ro", size = "1MiB", read_only = true }} ]
initiators = ["*"]
"""

    def prepare(self) -> None:
        (self.scenario.data_dir / "scratch.img.ro").write_bytes(bytes(1 << 20))

    def url(self, lun: int = 0, target: str = "scratch") -> str:
        return f"iscsi://{SERVER_ADDRESS}/{PREFIX}:{target}/{lun}"

    def test_tools(self) -> None:
        host = self.host()
        host.set_address("192.168.77.11")
        listed = self.ok(host.run(["iscsi-ls", "-s", f"iscsi://{SERVER_ADDRESS}"]))
        self.assertIn(f"Target:{PREFIX}:scratch", listed)
        self.assertNotIn(":desk-01", listed, "a stranger's discovery must not show a client's target")
        self.assertRegex(listed, r"Lun:0 .*Size:1023M")
        self.assertIn("Peripheral Device Type:DIRECT_ACCESS", self.ok(host.run(["iscsi-inq", self.url()])))
        for page in ("0x00", "0x80", "0x83", "0xb0", "0xb1", "0xb2"):
            self.ok(host.run(["iscsi-inq", "-e", "1", "-c", page, self.url()]))
        capacity = self.ok(host.run(["iscsi-readcapacity16", self.url()]))
        self.assertRegex(capacity, r"Total size:1073741824")

    def test_only_the_client_itself_may_log_in(self) -> None:
        own = f"{PREFIX}.initiator:desk-01"
        host = self.host()
        host.set_address("192.168.77.11")
        self.ok(host.run(["iscsi-inq", "-i", own, self.url(target="desk-01")]))
        self.assertIn(":desk-01", self.ok(host.run(["iscsi-ls", "-i", own, f"iscsi://{SERVER_ADDRESS}"])))
        self.assertNotEqual(host.run(["iscsi-inq", "-i", "iqn.2000-01.com.example:other", self.url(target="desk-01")]).returncode, 0)
        other = self.host(STRANGER_MAC)
        other.set_address("192.168.77.50")
        self.assertNotEqual(other.run(["iscsi-inq", "-i", own, self.url(target="desk-01")]).returncode, 0)
        self.lab.wait_for_log(r"session\.refused", 5)

    def test_the_command_line_lists_and_drops_sessions(self) -> None:
        host = self.host()
        host.set_address("192.168.77.11")
        self.assertNotIn(PREFIX, self.ok(self.diskless("sessions")))
        with host.popen(["qemu-io", "-f", "raw", "-c", "read 0 64k", "-c", "sleep 8000", self.url()]) as reader:
            until = time.monotonic() + 10
            while f"{PREFIX}:scratch" not in (listed := self.ok(self.diskless("sessions"))):
                self.assertLess(time.monotonic(), until, listed)
                time.sleep(0.05)
            (session,) = json.loads(self.ok(self.diskless("sessions", "--json")))["sessions"]
            self.assertEqual(session["address"].split(":")[0], "192.168.77.11")
            self.assertEqual(self.diskless("sessions", "drop", "65000").returncode, 1)
            self.ok(self.diskless("sessions", "drop", str(session["tsih"])))
            self.lab.wait_for_log(r"session\.closed .*reason=dropped_by_administrator", 5)
            reader.kill()
        self.assertEqual(self.diskless("sessions", "eat").returncode, 2)

    def test_a_gibibyte_in_and_out(self) -> None:
        host = self.host()
        host.set_address("192.168.77.11")
        source, back = self.lab.directory / "source.img", self.lab.directory / "back.img"
        with source.open("wb") as out:
            for _ in range(64):
                out.write(os.urandom(16 << 20))
        convert = ["qemu-img", "convert", "-f", "raw", "-O", "raw"]
        self.ok(host.run([*convert, "-n", source, self.url()], timeout=300))
        self.ok(host.run([*convert, self.url(), back], timeout=300))
        self.ok(subprocess.run(["cmp", source, back], capture_output=True, text=True, check=False))
        self.ok(subprocess.run(["cmp", source, self.scenario.data_dir / "scratch.img"], capture_output=True, text=True, check=False))

    def test_mixed_sizes_over_32_sessions_are_what_was_written(self) -> None:
        """Our own initiators write and read at random, transfers from 512 bytes to 1 MiB, and check every block that comes back."""
        host = self.host()
        host.set_address("192.168.77.11")
        load = Path(DISKLESSD).with_name("bench_iscsi_load")
        for more in ([], ["--digests"]):
            done = host.run([load, "--address", SERVER_ADDRESS, "--target", f"{PREFIX}:scratch", "--sessions", "32", "--depth", "8", "--write", "50",
                             "--size", "512,1024,4096,8192,20480,65536,262144,1048576", "--region", str(1 << 30), "--verify", "--seconds", "4", *more],
                            timeout=120)
            self.assertGreater(json.loads(self.ok(done))["commands"], 100)

    def test_read_only_is_read_only(self) -> None:
        host = self.host()
        host.set_address("192.168.77.11")
        source = self.lab.directory / "small.img"
        source.write_bytes(os.urandom(1 << 20))
        done = host.run(["qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", source, self.url(3)])
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual((self.scenario.data_dir / "scratch.img.ro").read_bytes(), bytes(1 << 20))


class ImpatientIscsi(WithServer):
    iscsi = 'login_timeout = "2s"'

    def test_silent_connections_are_closed(self) -> None:
        host = self.host()
        host.set_address("192.168.77.11")
        probe = ("import socket,sys\n"
                 f"s=socket.create_connection(('{SERVER_ADDRESS}',3260),5)\n"
                 "s.settimeout(20)\n"
                 "s.sendall(bytes.fromhex(sys.argv[1]))\n"
                 "sys.exit(0 if s.recv(1)==b'' else 1)\n")
        for half in ("", "43870000"):
            with self.subTest(half):
                self.ok(host.run([sys.executable, "-c", probe, half]))


class Reload(WithServer):
    def test_a_client_added_by_reload_is_served(self) -> None:
        host = self.host(STRANGER_MAC)
        udhcpc = ["udhcpc", "-i", host.interface, "-n", "-q", "-f", "-t", "2", "-T", "2", "-s", "/bin/true"]
        self.assertNotEqual(host.run(udhcpc).returncode, 0)
        config = self.lab.config_file.read_text()
        self.lab.config_file.write_text(config + '\n[[client]]\nname = "late"\nmac = "' + STRANGER_MAC + '"\naddress = "192.168.77.44"\nboot = "local"\n')
        os.kill(self.lab.server_pid, signal.SIGHUP)
        self.lab.wait_for_log(r"config\.reloaded", 10)
        done = host.run(udhcpc)
        self.ok(done)
        self.assertIn("lease of 192.168.77.44", done.stdout + done.stderr)

    def test_a_wrong_file_changes_nothing(self) -> None:
        self.lab.config_file.write_text(self.lab.config_file.read_text() + "\n[server]\nport = \n")
        os.kill(self.lab.server_pid, signal.SIGHUP)
        self.lab.wait_for_log(r"config\.refused", 10)
        host = self.host()
        self.ok(host.run(["udhcpc", "-i", host.interface, "-n", "-q", "-f", "-t", "2", "-T", "2", "-s", "/bin/true"]))


class Start(unittest.TestCase):
    """What is wrong at start: one clear line each, and the exit code that scripts rely on."""

    def setUp(self) -> None:
        self.lab = self.enterContext(Lab())
        self.config = self.lab.directory / "diskless.toml"

    def run_server(self, config: str, *arguments: str, wrap: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        self.config.write_text(config)
        command = self.lab.inside([*wrap, DISKLESSD, "--config", self.config, *arguments])
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    def head(self, address: str = "127.0.0.1", http: int = 18080, iscsi: int = 13260, tftp: int = 16969) -> str:
        return (f'[server]\naddress = "{address}"\ndata_dir = "{self.lab.directory}/data"\n[dhcp]\nmode = "off"\n'
                f"[tftp]\nport = {tftp}\n[http]\nport = {http}\n[iscsi]\nport = {iscsi}\n")

    def one_line(self, done: subprocess.CompletedProcess[str], status: int, pattern: str) -> None:
        lines = [line for line in done.stderr.splitlines() if " info " not in line]
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertEqual(len(lines), 1, done.stderr)
        self.assertRegex(lines[0], pattern)

    def test_port_in_use(self) -> None:
        listen = "import socket,time\ns=socket.socket()\ns.bind(('127.0.0.1',13260))\ns.listen()\nprint('ready',flush=True)\ntime.sleep(60)\n"
        self.lab.spawn([sys.executable, "-c", listen], self.lab.directory / "listener.log")
        deadline = time.monotonic() + 10
        while "ready" not in (self.lab.directory / "listener.log").read_text() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.one_line(self.run_server(self.head()), 1, r"13260.*in use")

    def test_missing_interface(self) -> None:
        self.one_line(self.run_server('[server]\ninterface = "nope0"\ndata_dir = "' + str(self.lab.directory) + '/data"\n'), 1, r"nope0.*boot0")

    def test_missing_capability(self) -> None:
        config = (f'[server]\ninterface = "{BRIDGE}"\ndata_dir = "{self.lab.directory}/data"\n[[dhcp.subnet]]\nnetwork = "192.168.77.0/24"\n')
        done = self.run_server(config, wrap=("setpriv", "--bounding-set=-net_raw,-net_bind_service", "--inh-caps=-all", "--"))
        self.one_line(done, 1, r"CAP_NET_RAW|CAP_NET_BIND_SERVICE")

    def test_unreadable_image(self) -> None:
        folder = self.lab.directory / "a-folder"
        folder.mkdir()
        config = self.head() + f'[[target]]\nname = "t"\nluns = [ {{ lun = 0, file = "{folder}" }} ]\ninitiators = ["*"]\n'
        done = self.run_server(config)
        self.assertIn(done.returncode, (1, 2), done.stderr)
        self.assertRegex(done.stderr, r"a-folder.*(directory|not a)")

    def test_check_config(self) -> None:
        self.assertEqual(self.run_server(self.head(), "--check-config").returncode, 0)
        done = self.run_server(self.head().replace("address", "adress"), "--check-config")
        self.one_line(done, 2, r"diskless\.toml:2:1: unknown key .*adress.*address")
        done = self.run_server("[server\n", "--check-config")
        self.one_line(done, 2, r"diskless\.toml:1:\d+: ")
        done = subprocess.run([DISKLESSD, "--config", self.lab.directory / "none.toml", "--check-config"], capture_output=True, text=True, check=False)
        self.one_line(done, 2, r"none\.toml")

    def test_command_line(self) -> None:
        self.assertEqual(subprocess.run([DISKLESSD, "--help"], capture_output=True, check=False).returncode, 0)
        self.assertEqual(subprocess.run([DISKLESSD, "--version"], capture_output=True, check=False).returncode, 0)
        done = subprocess.run([DISKLESSD, "--wrong"], capture_output=True, text=True, check=False)
        self.one_line(done, 2, r"--help")

    def test_two_servers_never_share_a_disk(self) -> None:
        """The second one is told that the disk is in use, instead of both writing to it."""
        disk = self.lab.directory / "one.img"
        disk.write_bytes(bytes(1 << 20))
        target = f'[[target]]\nname = "t"\nluns = [ {{ lun = 0, file = "{disk}" }} ]\ninitiators = ["*"]\n'
        first = self.lab.directory / "first.toml"
        first.write_text(self.head() + target)
        process = self.lab.spawn([DISKLESSD, "--config", first], self.lab.directory / "first.log")
        deadline = time.monotonic() + 15
        while "server.ready" not in (self.lab.directory / "first.log").read_text() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertIsNone(process.poll())
        second = self.run_server(self.head(http=18081, iscsi=13261, tftp=16970).replace("/data", "/data2") + target)
        self.one_line(second, 1, r"one\.img.*in use")
        # QEMU's tools and this server know each other's locks.
        other = subprocess.run(["qemu-io", "-f", "raw", "-c", "write 0 512", disk], capture_output=True, text=True, check=False, timeout=30)
        self.assertIn('Failed to get "write" lock', other.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
