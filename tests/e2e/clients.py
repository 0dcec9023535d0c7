#!/usr/bin/env python3
"""End to end without machines: one of every kind of client that networks have, against the real daemon.

    DISKLESSD=build/dev/bin/disklessd tests/e2e/clients.py [-v] [DhcpClients.test_networkd …]
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from host import Host  # noqa: E402
from lab import SERVER_ADDRESS  # noqa: E402
from peers import STRANGER_MAC, WithServer  # noqa: E402

DESK_ADDRESS = "192.168.77.11"


class DhcpClients(WithServer):
    """Beside udhcpc and dhclient, which peers.py has."""

    extra = '[unknown_clients]\npolicy = "menu"\n'

    def aside(self, host: Host, script: str, timeout: float = 60) -> str:
        """Runs where /run and the programs' own state are nobody else's."""
        done = host.run(["unshare", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-euc",
                         f"for d in /run /var/lib/dhcpcd; do mkdir -p $d; mount -t tmpfs tmpfs $d; done\n{script}"], timeout=timeout)
        return self.ok(done) + done.stderr

    def test_dhcpcd(self) -> None:
        said = self.aside(self.host(), "dhcpcd -4 -1 -B --noarp -t 20 -c /bin/true eth0 2>&1 || exit 1")
        self.assertIn(f"offered {DESK_ADDRESS} from {SERVER_ADDRESS}", said)
        self.assertIn(f"leased {DESK_ADDRESS} for 3600 seconds", said)

    def test_networkd(self) -> None:
        said = self.aside(self.host(), "\n".join((
            "mkdir -p /run/systemd/network && install -d -o systemd-network -g systemd-network /run/systemd/netif /run/systemd/netif/links /run/systemd/netif/leases /run/systemd/netif/lldp",
            "mount -o remount,ro,bind /sys 2>/dev/null || mount -t sysfs -o ro sysfs /sys",
            r"printf '[Match]\nName=eth0\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n' >/run/systemd/network/eth0.network",
            "/lib/systemd/systemd-networkd >/run/log 2>&1 & daemon=$!",
            f"for i in $(seq 200); do ip -4 -o address show dev eth0 | grep -q {DESK_ADDRESS} && break; sleep 0.1; done",
            "kill $daemon; ip -4 -o address show dev eth0; ip route; cat /run/log")))
        self.assertRegex(said, rf"inet {re.escape(DESK_ADDRESS)}/24")
        self.assertIn(f"default via {SERVER_ADDRESS}", said)

    def test_nmap(self) -> None:
        host = self.host()
        host.set_address(DESK_ADDRESS)
        said = self.ok(host.run(["nmap", "--script", "broadcast-dhcp-discover", "-e", "eth0"]))
        self.assertRegex(said, rf"DHCP Message Type: DHCPOFFER\n.*Server Identifier: {SERVER_ADDRESS}".replace(".*", "[^~]*"))
        # This one asks by INFORM for the address that it has.
        said = self.ok(host.run(["nmap", "-sU", "-Pn", "-p", "67", "--script", "dhcp-discover", "--script-args", "dhcptype=DHCPINFORM", SERVER_ADDRESS]))
        self.assertRegex(said, rf"DHCP Message Type: DHCPACK[^~]*Server Identifier: {SERVER_ADDRESS}")

    def test_perfdhcp(self) -> None:
        """Kea's own load generator, which plays a relay: every exchange is completed, and no address is given twice."""
        host = self.host(STRANGER_MAC)
        host.set_address("192.168.77.50")
        done = host.run(["perfdhcp", "-4", "-l", "192.168.77.50", "-R", "90", "-r", "60", "-n", "90", "-b", "mac=0a:00:00:00:00:00", "-u", "-W", "1000000",
                         SERVER_ADDRESS])
        said = done.stdout + done.stderr
        self.assertEqual(re.findall(r"received packets: (\d+)", said), ["90", "90"], said)
        self.assertEqual(re.findall(r"^drops: (\d+)", said, re.MULTILINE), ["0", "0"], said)
        self.assertEqual(re.findall(r"non unique addresses: (\d+)", said), ["0", "0"] if "non unique" in said else [], said)


class BehindRelay(WithServer):
    """A network of its own, whose only way to the server is ISC's relay; it adds where the client is plugged (option 82)."""

    extra = """
[[dhcp.subnet]]
network = "192.168.88.0/24"
pool = ["192.168.88.100-192.168.88.199"]
router = "192.168.88.1"
[unknown_clients]
policy = "menu"
"""

    def test_client(self) -> None:
        relay = self.host("52:54:00:00:00:08")
        relay.set_address("192.168.77.8")
        client = self.enterContext(Host(self.lab, STRANGER_MAC))
        ip = lambda *words: subprocess.run(["ip", *words], check=True, capture_output=True, timeout=30)  # noqa: E731
        # The client's card is taken out of the server's network and plugged into the relay's other port.
        ip("-n", client.namespace, "link", "delete", "eth0")
        ip("-n", relay.namespace, "link", "add", "eth1", "type", "veth", "peer", "name", "eth0", "netns", client.namespace)
        ip("-n", client.namespace, "link", "set", "eth0", "address", STRANGER_MAC, "up")
        ip("-n", relay.namespace, "address", "add", "192.168.88.1/24", "dev", "eth1")
        ip("-n", relay.namespace, "link", "set", "eth1", "up")
        self.lab.run(["ip", "route", "add", "192.168.88.0/24", "via", "192.168.77.8"])
        relay.start(["dhcrelay", "-4", "-d", "--no-pid", "-a", "-id", "eth1", "-iu", "eth0", SERVER_ADDRESS])
        time.sleep(0.5)
        done = client.run(["udhcpc", "-i", "eth0", "-n", "-q", "-f", "-t", "5", "-T", "2", "-s", "/bin/true"])
        self.assertRegex(self.ok(done) + done.stderr, r"lease of 192\.168\.88\.1\d\d obtained")
        self.assertRegex(self.diskless("lease").stdout, rf"192\.168\.88\.1\d\d +{STRANGER_MAC} .* bound")


class FileClients(WithServer):
    extra = '[http]\nidle_timeout = "1s"\ntls_cert = "server.pem"\ntls_key = "server.key"\n'
    key = ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]

    def prepare(self) -> None:
        self.big = os.urandom(3_000_001)
        (self.scenario.data_dir / "boot" / "big.bin").write_bytes(self.big)
        subprocess.run(["openssl", "req", "-x509", "-newkey", *self.key, "-nodes", "-days", "1", "-subj", "/CN=server", "-addext",
                        f"subjectAltName=IP:{SERVER_ADDRESS}", "-keyout", self.lab.directory / "server.key", "-out", self.lab.directory / "server.pem"],
                       check=True, capture_output=True, timeout=60)

    def seated(self) -> Host:
        host = self.host()
        host.set_address(DESK_ADDRESS)
        return host

    def test_atftp(self) -> None:
        host, fetched = self.seated(), self.lab.directory / "fetched"
        for options in ([], ["--option", "blksize 1428"], ["--option", "blksize 1428", "--option", "windowsize 16"], ["--option", "tsize", "--option", "timeout 2"]):
            with self.subTest(options):
                fetched.unlink(missing_ok=True)
                self.ok(host.run(["atftp", *options, "--get", "--remote-file", "big.bin", "--local-file", fetched, SERVER_ADDRESS]))
                self.assertEqual(fetched.read_bytes(), self.big)

    def test_https(self) -> None:
        """Both versions of TLS; whole, in part, by head; the same paths as without."""
        host, fetched = self.seated(), self.lab.directory / "fetched"
        url = f"https://{SERVER_ADDRESS}:8443"

        def curl(*words: str) -> str:
            return self.ok(host.run(["curl", "-sS", "--cacert", str(self.lab.directory / "server.pem"), "--max-time", "20", *words]))

        for version in (["--tlsv1.2", "--tls-max", "1.2"], ["--tlsv1.3"]):
            curl(*version, "-o", str(fetched), f"{url}/boot/big.bin")
            self.assertEqual(fetched.read_bytes(), self.big)
        curl("-r", "1000-1999", "-o", str(fetched), f"{url}/big.bin")
        self.assertEqual(fetched.read_bytes(), self.big[1000:2000])
        self.assertRegex(curl("-I", f"{url}/big.bin"), r"(?i)content-length: 3000001")
        self.assertIn("#!ipxe", curl(f"{url}/boot.ipxe"))
        old = host.run(["curl", "-sS", "--insecure", "--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0", f"{url}/healthz"])
        self.assertNotEqual(old.returncode, 0)
        clear = host.run(["curl", "-sS", f"http://{SERVER_ADDRESS}:8443/healthz"])
        self.assertNotEqual(clear.returncode, 0)

    def test_generated_paths(self) -> None:
        """What GRUB and PXELINUX ask for over TFTP is there over HTTP as well."""
        host = self.seated()
        for path in ("grub/grub.cfg", "grub.cfg-01-52-54-00-12-34-01", "pxelinux.cfg/01-52-54-00-12-34-01"):
            with self.subTest(path):
                by_http = self.ok(host.run(["curl", "-fsS", f"http://{SERVER_ADDRESS}:8080/{path}"]))
                self.assertEqual(by_http, self.ok(host.run(["curl", "-sS", f"tftp://{SERVER_ADDRESS}/{path}"])))
                self.assertIn("desk-01", by_http)

    def test_slow_loris(self) -> None:
        """Heads that never end, from many connections: all are closed, and others are served meanwhile."""
        host = self.seated()
        script = "\n".join((
            "import socket, time",
            f"peers = [socket.create_connection(('{SERVER_ADDRESS}', 8080 if n % 2 else 8443)) for n in range(200)]",
            "for n in range(15):",
            "    for peer in peers:",
            "        try: peer.send(b'GET / HTTP/1.1\\r\\n' if n == 0 else b'X: y\\r\\n')",
            "        except OSError: pass",
            "    time.sleep(0.2)",
            "closed = 0",
            "for peer in peers:",
            "    peer.settimeout(5)",
            "    try:",
            "        while peer.recv(4096): pass",
            "        closed += 1",
            "    except ConnectionError: closed += 1",
            "print(closed)"))
        attack = subprocess.Popen(["ip", "netns", "exec", host.namespace, "python3", "-c", script], stdout=subprocess.PIPE, text=True)
        time.sleep(1)
        self.assertIn("#!ipxe", self.ok(host.run(["curl", "-sS", "--max-time", "5", f"http://{SERVER_ADDRESS}:8080/boot.ipxe"])))
        self.assertEqual(attack.communicate(timeout=60)[0].strip(), "200")


class Rsa(FileClients):
    key = ["rsa:2048"]


del WithServer

if __name__ == "__main__":
    unittest.main(verbosity=2)
