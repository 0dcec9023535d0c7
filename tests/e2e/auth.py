#!/usr/bin/env python3
"""End to end, who is let in: CHAP and TLS with initiators that others wrote, against the real daemon.

    DISKLESSD=build/dev/bin/disklessd tests/e2e/auth.py [-v] [Chap.test_one_way …]
"""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from host import Host  # noqa: E402
from lab import SERVER_ADDRESS, Client  # noqa: E402
from peers import WithServer  # noqa: E402
from scenario import DISKLESSD, PREFIX  # noqa: E402

ANNA = "the-secret-of-anna"
ZOE = "the-secret-of-zoe"
SERVER = "what-the-server-says"
DESK = "the-secret-of-desk-01"


class WithSecrets(WithServer):
    """Users anna and zoe, zoe's line also with what the server proves; targets `vault` (both), `open`, `far` (another network's)."""

    iscsi_keys = ""

    def setUp(self) -> None:
        self.iscsi = 'chap_secrets = "chap.secrets"\n' + self.iscsi_keys
        self.extra = self.tables()
        super().setUp()

    def tables(self) -> str:
        def target(name: str, keys: str) -> str:
            return f'[[target]]\nname = "{name}"\nluns = [ {{ lun = 0, file = "{name}.img", size = "64MiB" }} ]\ninitiators = ["*"]\n{keys}\n'

        return target("vault", 'chap = ["anna", "zoe"]') + target("open", "") + target("far", 'addresses = ["10.0.0.0/8", "192.168.77.50"]')

    def prepare(self) -> None:
        self.secrets = self.lab.directory / "chap.secrets"
        self.secrets.write_text(f"anna {ANNA}\nzoe {ZOE} server {SERVER}\ndesk {DESK} server {SERVER}\n")
        self.secrets.chmod(0o600)

    def desk(self) -> Host:
        host = self.host()
        host.set_address("192.168.77.11")
        return host

    def url(self, login: str = "", target: str = "vault", query: str = "", at: str = SERVER_ADDRESS) -> str:
        return f"iscsi://{login.replace(':', '%')}{'@' if login else ''}{at}/{PREFIX}:{target}/0{query}"

    def inquiry(self, host: Host, url: str, *more: str) -> subprocess.CompletedProcess[str]:
        return host.run(["iscsi-inq", *more, url])

    def refused(self, done: subprocess.CompletedProcess[str]) -> None:
        self.assertNotEqual(done.returncode, 0, done.stdout)

    def no_secret_leaks(self) -> None:
        """Neither the log nor the store knows a secret."""
        written = self.lab.server_report()
        for path in self.scenario.data_dir.glob("diskless.db*"):
            written += path.read_bytes().decode("latin-1")
        for secret in (ANNA, ZOE, SERVER, DESK):
            self.assertNotIn(secret, written)


class Chap(WithSecrets):
    iscsi_keys = 'discovery_auth = "zoe"'

    def test_one_way(self) -> None:
        host = self.desk()
        self.assertIn("DIRECT_ACCESS", self.ok(self.inquiry(host, self.url(f"anna:{ANNA}"))))
        self.ok(self.inquiry(host, self.url(f"zoe:{ZOE}")))
        self.ok(self.inquiry(host, self.url(target="open")))
        for wrong in ("", f"anna:{ZOE}", f"nobody:{ANNA}", f"desk:{DESK}", "anna:"):
            with self.subTest(wrong):
                self.refused(self.inquiry(host, self.url(wrong)))
        self.lab.wait_for_log(r"login\.auth_failed .*user=", 5)
        self.no_secret_leaks()

    def test_mutual(self) -> None:
        host = self.desk()
        self.ok(self.inquiry(host, self.url(f"zoe:{ZOE}", query=f"?target_user=server&target_password={SERVER}")))
        self.refused(self.inquiry(host, self.url(f"zoe:{ZOE}", query="?target_user=server&target_password=somebody-else-s")))
        self.refused(self.inquiry(host, self.url(f"anna:{ANNA}", query=f"?target_user=server&target_password={SERVER}")))

    def test_discovery(self) -> None:
        host = self.desk()
        self.refused(host.run(["iscsi-ls", f"iscsi://{SERVER_ADDRESS}"]))
        listed = self.ok(host.run(["iscsi-ls", f"iscsi://zoe%{ZOE}@{SERVER_ADDRESS}"]))
        self.assertIn(f"{PREFIX}:vault", listed)
        self.assertNotIn(f"{PREFIX}:far", listed, "a target that this address may not use")

    def test_conformance(self) -> None:
        """libiscsi's own tests, each of whose sessions has to prove itself; this version of it has none of CHAP alone."""
        done = self.desk().run(["iscsi-test-cu", "--dataloss", "-t", "iSCSI.iSCSIResiduals", self.url(f"anna:{ANNA}")], timeout=120)
        self.assertRegex(self.ok(done), r"tests +10 +10 +10 +0 ")

    def test_data(self) -> None:
        host = self.desk()
        source, back = self.lab.directory / "source.img", self.lab.directory / "back.img"
        source.write_bytes(os.urandom(64 << 20))
        convert = ["qemu-img", "convert", "-f", "raw", "-O", "raw"]
        url = self.url(f"anna:{ANNA}")
        self.ok(host.run([*convert, "-n", source, url], timeout=120))
        self.ok(host.run([*convert, url, back], timeout=120))
        self.assertEqual(source.read_bytes(), back.read_bytes())

    def test_guessing_is_slowed_down(self) -> None:
        host = self.desk()
        for _ in range(10):
            self.refused(self.inquiry(host, self.url("anna:wrong")))
        self.refused(self.inquiry(host, self.url(f"anna:{ANNA}")))
        self.lab.wait_for_log(r"login\.auth_blocked .*from=192\.168\.77\.11:", 5)
        other = self.host("52:54:00:99:99:99")
        other.set_address("192.168.77.50")
        self.ok(self.inquiry(other, self.url(f"anna:{ANNA}")))

    def test_addresses(self) -> None:
        self.refused(self.inquiry(self.desk(), self.url(target="far")))
        self.lab.wait_for_log(r"session\.refused .*reason=initiator_address", 5)
        other = self.host("52:54:00:99:99:99")
        other.set_address("192.168.77.50")
        self.ok(self.inquiry(other, self.url(target="far")))

    def test_new_secrets_by_reload(self) -> None:
        host = self.desk()
        self.ok(self.inquiry(host, self.url(f"anna:{ANNA}")))
        self.secrets.write_text(f"anna a-new-secret-of-hers\nzoe {ZOE}\n")
        os.kill(self.lab.server_pid, signal.SIGHUP)
        self.lab.wait_for_log(r"config\.reloaded", 10)
        self.refused(self.inquiry(host, self.url(f"anna:{ANNA}")))
        self.ok(self.inquiry(host, self.url("anna:a-new-secret-of-hers")))
        self.secrets.chmod(0o644)
        os.kill(self.lab.server_pid, signal.SIGHUP)
        self.lab.wait_for_log(r"config\.refused .*others may use it", 10)
        self.ok(self.inquiry(host, self.url("anna:a-new-secret-of-hers")))


class Redirect(WithSecrets):
    """A target that has moved to a second server: initiators follow."""

    def tables(self) -> str:
        return f'[[target]]\nname = "moved"\ninitiators = ["*"]\nredirect = "{SERVER_ADDRESS}:3270"\n'

    def test_initiators_follow(self) -> None:
        files = self.lab.directory
        second = files / "second.toml"
        second.write_text(f'[server]\naddress = "{SERVER_ADDRESS}"\ndata_dir = "{files}/second"\n[dhcp]\nmode = "off"\n[tftp]\nport = 0\n'
                          f'[http]\nport = 0\n[iscsi]\nport = 3270\ntarget_prefix = "{PREFIX}"\nchap_secrets = "chap.secrets"\n[[target]]\n'
                          'name = "moved"\nluns = [ { lun = 0, file = "moved.img", size = "1MiB" } ]\ninitiators = ["*"]\nchap = "anna"\n')
        log = files / "second.log"
        self.lab.spawn([DISKLESSD, "--config", second], log)
        deadline = time.monotonic() + 15
        while "server.ready" not in log.read_text() and time.monotonic() < deadline:
            time.sleep(0.05)
        host = self.desk()
        self.assertIn(f"{PREFIX}:moved", self.ok(host.run(["iscsi-ls", f"iscsi://{SERVER_ADDRESS}"])))
        self.ok(self.inquiry(host, self.url(f"anna:{ANNA}", target="moved")))
        self.refused(self.inquiry(host, self.url(target="moved")))
        self.assertRegex(log.read_text(), r"session\.opened .*:moved")
        self.lab.wait_for_log(r"session\.redirected .*to=192\.168\.77\.1:3270", 5)


class BootChap(WithSecrets):
    """A client whose own disk wants a secret, both ways."""

    def prepare(self) -> None:
        super().prepare()
        self.scenario.clients[0] = dataclasses.replace(self.scenario.clients[0], keys='chap = "desk"')
        # cli; xor ax,ax; mov ds,ax; mov si,text; next: lodsb; test al,al; jz here; mov dx,3f8h; out dx,al; jmp next
        code = bytes.fromhex("fa 31c0 8ed8 be137c ac 84c0 74fe baf803 ee ebf5") + b"\r\nfrom a disk with a secret\r\n\0"
        with self.disk.open("r+b") as disk:
            disk.write(code.ljust(510, b"\0") + b"\x55\xaa")

    def test_ipxe_boots_from_it(self) -> None:
        with self.lab.boot(Client(firmware="bios")) as machine:
            machine.wait_for(r"^from a disk with a secret", 240)
        self.lab.wait_for_log(r"session\.opened .*target=\S+:desk-01", 5)
        self.no_secret_leaks()

    def test_open_iscsi_boots_from_it(self) -> None:
        """The kernel's initiator, its secrets from the command line that only this machine's script has."""
        client = dataclasses.replace(self.scenario.clients[0], boot="kernel", disk=self.scenario.new_disk("demo"))
        self.scenario.clients[0] = client
        self.scenario.publish_kernel()
        self.lab.stop_server()
        self.lab.start_server(self.scenario.config())
        with self.lab.boot(Client(firmware="bios", serial="poweroff")) as machine:
            machine.wait_for(r"^diskless-demo: desk-01 runs from its iSCSI disk", 240)
            machine.wait_for_power_off(60)
        self.assertNotRegex(self.lab.server_report(), r"login\.auth_failed")
        self.no_secret_leaks()

    def test_script(self) -> None:
        url = f"http://{SERVER_ADDRESS}:8080/boot.ipxe?mac=52-54-00-12-34-01"
        script = self.ok(self.desk().run(["curl", "-sS", url]))
        self.assertIn(f"set username desk\nset password {DESK}\nset reverse-username server\nset reverse-password {SERVER}\n", script)
        other = self.host("52:54:00:99:99:99")
        other.set_address("192.168.77.50")
        self.assertNotIn(DESK, self.ok(other.run(["curl", "-sS", url])))
        self.no_secret_leaks()


class Tls(WithSecrets):
    def certificate(self, name: str, *signed_by: str) -> None:
        files = self.lab.directory
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                        f"/CN={name}", "-keyout", files / f"{name}.key", "-out", files / f"{name}.pem", *signed_by], check=True, capture_output=True)

    def prepare(self) -> None:
        super().prepare()
        files = self.lab.directory
        self.certificate("authority")
        by = ("-CA", str(files / "authority.pem"), "-CAkey", str(files / "authority.key"), "-addext", "basicConstraints=critical,CA:FALSE")
        self.certificate("server", *by)
        self.certificate("client", *by)
        self.certificate("stranger")

    iscsi_keys = 'tls_port = 3261\ntls_cert = "server.pem"\ntls_key = "server.key"\ntls_client_ca = "authority.pem"\nlogin_timeout = "2s"'

    def tunnel(self, host: Host, name: str) -> None:
        """stunnel on the host: what goes in at 127.0.0.1:3260 comes out at the server's TLS port."""
        files = self.lab.directory
        config = files / f"{name}.conf"
        shown = f"cert = {files}/{name}.pem\nkey = {files}/{name}.key\n" if name != "nobody" else ""
        config.write_text(f"foreground = yes\npid =\nclient = yes\n[iscsi]\naccept = 127.0.0.1:3260\nconnect = {SERVER_ADDRESS}:3261\n"
                          f"CAfile = {files}/authority.pem\nverifyChain = yes\n{shown}")
        host.start(["stunnel4", config])
        for _ in range(100):
            if host.run([sys.executable, "-c", "import socket;socket.create_connection(('127.0.0.1',3260),1)"]).returncode == 0:
                return
            time.sleep(0.1)
        self.fail("stunnel does not listen")

    def test_data_through_stunnel(self) -> None:
        host = self.desk()
        self.tunnel(host, "client")
        self.ok(self.inquiry(host, self.url(target="open", at="127.0.0.1")))
        source, back = self.lab.directory / "source.img", self.lab.directory / "back.img"
        source.write_bytes(os.urandom(64 << 20))
        convert = ["qemu-img", "convert", "-f", "raw", "-O", "raw"]
        url = self.url(f"zoe:{ZOE}", at="127.0.0.1", query="")
        self.ok(host.run([*convert, "-n", source, url], timeout=120))
        self.ok(host.run([*convert, url, back], timeout=120))
        self.assertEqual(source.read_bytes(), back.read_bytes())
        self.refused(self.inquiry(host, self.url("zoe:wrong", at="127.0.0.1")))

    def test_conformance_through_stunnel(self) -> None:
        host = self.desk()
        self.tunnel(host, "client")
        done = host.run(["iscsi-test-cu", "--dataloss", "-t", "SCSI.Read10,SCSI.Write10,iSCSI.iSCSIResiduals", self.url(target="open", at="127.0.0.1")], timeout=300)
        self.ok(done)

    def test_without_a_certificate_of_ours(self) -> None:
        for name in ("stranger", "nobody"):
            with self.subTest(name):
                host = self.desk() if name == "stranger" else self.host("52:54:00:99:99:99")
                host.set_address("192.168.77.11" if name == "stranger" else "192.168.77.50")
                self.tunnel(host, name)
                self.refused(host.run(["timeout", "10", "iscsi-inq", self.url(target="open", at="127.0.0.1")]))
        self.lab.wait_for_log(r"tls\.failed from=.* reason=", 5)

    def test_a_handshake_takes_no_longer_than_a_login(self) -> None:
        host = self.desk()
        probe = ("import socket,sys\n"
                 f"s=socket.create_connection(('{SERVER_ADDRESS}',3261),5)\n"
                 "s.settimeout(20)\n"
                 "s.sendall(bytes.fromhex(sys.argv[1]))\n"
                 "sys.exit(0 if s.recv(1)==b'' else 1)\n")
        for half in ("", "16030100"):
            with self.subTest(half):
                self.ok(host.run([sys.executable, "-c", probe, half]))


if __name__ == "__main__":
    unittest.main(verbosity=2)
