#!/usr/bin/env python3
"""End to end, images: files that qemu-img and the packers of the distribution made, through `diskless image` into the real daemon.

    DISKLESSD=build/dev/bin/disklessd tests/e2e/images.py [-v] [Import.test_every_format …]
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from peers import WithServer  # noqa: E402

DISK_BYTES = 24 << 20
PACKERS = {"": None, ".gz": ["gzip", "-1", "-k"], ".xz": ["xz", "-0", "-k"], ".zst": ["zstd", "-q", "-1"]}


def run(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


def make_disk(path: Path, size: int = DISK_BYTES) -> None:
    """Islands of data, some at odd places, between holes; the first and last sector are data."""
    seeded = random.Random(4)
    with path.open("wb") as out:
        for at in [0, size - 512, *(seeded.randrange(0, size - 300_000, 512) for _ in range(12))]:
            out.seek(at)
            out.write(seeded.randbytes(512 if at == size - 512 else seeded.randrange(512, 300_000)))
        out.truncate(size)


def pack(file: Path, suffix: str) -> Path:
    packer = PACKERS[suffix]
    if packer is None:
        return file
    run(*packer, file)
    return file.with_name(file.name + suffix)


def fixed_vhd(raw: Path, to: Path) -> None:
    run("qemu-img", "convert", "-f", "raw", "-O", "vpc", "-o", "subformat=fixed,force_size=on", raw, to)


class WithImages(WithServer):
    def prepare(self) -> None:
        self.files = self.lab.directory / "files"
        self.files.mkdir()
        self.raw = self.files / "disk.raw"
        make_disk(self.raw)

    def convert(self, name: str, output: str, *more: str) -> Path:
        run("qemu-img", "convert", "-f", "raw", "-O", output, *more, self.raw, self.files / name)
        return self.files / name

    def answer(self, *words: str | Path) -> dict:
        return json.loads(self.ok(self.diskless("image", *words, "--json")))

    def version_file(self, name: str, number: int) -> Path:
        return self.scenario.data_dir / "images" / name / f"{number}.raw"

    def left_in(self, name: str) -> list[str]:
        folder = self.scenario.data_dir / "images" / name
        return sorted(os.listdir(folder)) if folder.exists() else []

    def refused(self, why: str, *words: str | Path) -> None:
        done = self.diskless("image", *words)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        told = [line for line in done.stderr.splitlines() if line.startswith("diskless: ")]
        self.assertEqual(len(told), 1, done.stderr)
        self.assertIn(why, told[0])


class Import(WithImages):
    def test_every_format(self) -> None:
        made = {
            "disk.raw": self.raw,
            "disk.qcow2": self.convert("disk.qcow2", "qcow2"),
            "packed.qcow2": self.convert("packed.qcow2", "qcow2", "-c"),
            "disk.vmdk": self.convert("disk.vmdk", "vmdk"),
            "stream.vmdk": self.convert("stream.vmdk", "vmdk", "-o", "subformat=streamOptimized"),
            "disk.vhd": self.convert("disk.vhd", "vpc", "-o", "force_size=on"),
            "geometry.vpc": self.convert("geometry.vpc", "vpc"),
            "disk.vhdx": self.convert("disk.vhdx", "vhdx"),
            "disk.iso": self.files / "disk.iso",
        }
        fixed_vhd(self.raw, self.files / "fixed.vhd")
        made["fixed.vhd"] = self.files / "fixed.vhd"
        shutil.copy(self.raw, made["disk.iso"])
        with made["disk.iso"].open("r+b") as iso:
            iso.seek(32769)
            iso.write(b"CD001")
        digest = "sha256:" + hashlib.sha256(self.raw.read_bytes()).hexdigest()
        number = 0
        for name, file in made.items():
            for suffix in PACKERS:
                with self.subTest(name + suffix):
                    number += 1
                    job = self.answer("import", "golden", pack(file, suffix), "--description", name + suffix)
                    self.assertEqual((job["state"], job["version"], job["warning"]), ("done", number, None))
                    version = self.version_file("golden", number)
                    expected = made["disk.iso"] if name == "disk.iso" else self.raw
                    run("qemu-img", "compare", "-f", "raw", "-F", "raw", version, expected)
                    shown = self.answer("show", "golden")["versions"][-1]
                    if name not in ("disk.iso", "geometry.vpc"):
                        self.assertEqual(shown["digest"], digest)
                        self.assertEqual(shown["size_bytes"], DISK_BYTES)
                    self.assertEqual(shown["description"], name + suffix)
                    self.assertEqual(version.stat().st_mode & 0o7777, 0o440)
                    self.assertLess(version.stat().st_blocks * 512, DISK_BYTES / 4, "holes were filled")
        self.assertEqual(len(self.left_in("golden")), number)
        self.assertEqual(self.answer("list")["images"][0]["published"], number)

    def test_a_stated_format_is_taken(self) -> None:
        qcow2 = self.convert("disk.qcow2", "qcow2")
        self.ok(self.diskless("image", "import", "as-it-is", qcow2, "--format", "raw"))
        self.assertEqual(self.version_file("as-it-is", 1).read_bytes()[:4], b"QFI\xfb")
        fixed_vhd(self.raw, self.files / "fixed.img")
        self.ok(self.diskless("image", "import", "fixed", self.files / "fixed.img", "--format", "vhd"))
        run("qemu-img", "compare", "-s", "-f", "raw", "-F", "raw", self.version_file("fixed", 1), self.raw)

    def test_odd_sizes_are_padded_with_a_warning(self) -> None:
        (self.files / "odd.img").write_bytes(b"x" * 1000)
        done = self.diskless("image", "import", "odd", self.files / "odd.img")
        self.ok(done)
        self.assertIn("24 zero bytes were added", done.stderr)
        self.assertEqual(self.version_file("odd", 1).read_bytes(), b"x" * 1000 + bytes(24))

    def test_a_relative_path_is_the_callers(self) -> None:
        self.ok(subprocess.run(self.diskless_command("image", "import", "golden", "../files/disk.raw"), cwd=self.files, capture_output=True,
                               text=True, check=False, timeout=60))

    def test_progress_off_a_terminal_is_a_line_every_ten_percent(self) -> None:
        os.truncate(self.raw, 4 << 30)
        done = self.diskless("image", "import", "golden", self.raw)
        self.ok(done)
        self.assertRegex(done.stderr, r"golden: (copying|reading) \d+ %")
        self.assertLess(len(done.stderr.splitlines()), 15)
        self.assertIn("golden@1 is there and published", done.stdout)


class Malformed(WithImages):
    def setUp(self) -> None:
        super().setUp()
        self.secret = self.lab.directory / "secret"
        self.secret.write_bytes(b"not yours" * 1000)

    def tearDown(self) -> None:
        self.assertEqual(self.left_in("bad"), [])
        self.assertEqual(self.answer("list")["images"], [])
        super().tearDown()

    def test_packed_and_broken_off(self) -> None:
        for suffix in (".gz", ".xz", ".zst"):
            whole = pack(self.raw, suffix).read_bytes()
            for cut in (len(whole) - 1, len(whole) // 2, 100):
                with self.subTest(suffix=suffix, cut=cut):
                    (self.files / f"cut.img{suffix}").write_bytes(whole[:cut])
                    self.refused("is broken off", "import", "bad", self.files / f"cut.img{suffix}")

    def test_files_that_name_others(self) -> None:
        overlay = self.files / "overlay.qcow2"
        run("qemu-img", "create", "-f", "qcow2", "-F", "raw", "-b", "/etc/passwd", overlay, "1M")
        data = self.files / "data.qcow2"
        run("qemu-img", "create", "-f", "qcow2", "-o", f"data_file={self.files / 'data.img'},data_file_raw=on", data, "1M")
        flat = self.files / "flat.vmdk"
        run("qemu-img", "create", "-f", "vmdk", "-o", "subformat=monolithicFlat", flat, "1M")
        flat.write_text(flat.read_text().replace('"flat-flat.vmdk"', f'"{self.secret}"'))
        child = self.files / "child.vmdk"
        run("qemu-img", "create", "-f", "vmdk", self.files / "parent.vmdk", "1M")
        run("qemu-img", "create", "-f", "vmdk", "-F", "vmdk", "-b", self.files / "parent.vmdk", child)
        # A sparse extent that wraps a descriptor: qemu-img follows it where the capacity is 0.
        wrapped = self.files / "wrapped.vmdk"
        descriptor = f'# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType="monolithicFlat"\nRW 16 FLAT "{self.secret}" 0\n'
        wrapped.write_bytes(struct.pack("<4sIIQQQQIQQQ", b"KDMV", 1, 3, 0, 128, 1, 20, 512, 0, 0, 0).ljust(512, b"\0") + descriptor.encode().ljust(10240, b"\0"))
        for file, why in ((overlay, "names a backing file"), (data, "data in another file"), (flat, "in other files"), (wrapped, "in other files"),
                          (child, "names a backing file")):
            for suffix in ("", ".gz"):
                with self.subTest(file.name + suffix):
                    self.refused(why, "import", "bad", pack(file, suffix))

    def test_encrypted(self) -> None:
        file = self.convert("disk.qcow2", "qcow2")
        with file.open("r+b") as out:
            out.seek(32)
            out.write(struct.pack(">I", 2))  # LUKS
        self.refused("is encrypted", "import", "bad", file)

    def test_wrong_formats(self) -> None:
        text = self.files / "text.qcow2"
        text.write_text("no disk")
        self.refused("is named .qcow2 but", "import", "bad", text)
        self.refused("is no qcow2 image", "import", "bad", self.raw, "--format", "qcow2")
        self.refused('there is no format "floppy"', "import", "bad", self.raw, "--format", "floppy")
        self.refused("is not read as vhdx", "import", "bad", self.damaged(self.convert("x.vhdx", "vhdx"), 64 << 10, 300 << 10))
        self.refused("is not read as qcow2", "import", "bad", self.damaged(self.convert("x.qcow2", "qcow2"), 40, 48))
        self.refused("is empty", "import", "bad", self.damaged(self.raw, 0, 0))

    def damaged(self, file: Path, begin: int, end: int) -> Path:
        """Its bytes begin … end - 1 become 0xff; nothing but the beginning is left when both are the same."""
        if begin == end:
            os.truncate(file, begin)
            return file
        with file.open("r+b") as out:
            out.seek(begin)
            out.write(b"\xff" * (end - begin))
        return file

    def test_what_is_no_file(self) -> None:
        os.mkfifo(self.files / "pipe")
        for source, why in ((self.files / "pipe", "is neither a file"), (self.files, "is neither a file"), (self.files / "nothing", "there is no such file")):
            self.refused(why, "import", "bad", source)
        self.refused("is no name for an image", "import", "../bad", self.raw)
        self.refused("is no name for an image", "import", "a/b", self.raw)


class FullDisk(WithImages):
    """The images lie on a file system of 64 MiB."""

    def prepare(self) -> None:
        super().prepare()
        images = self.scenario.data_dir / "images"
        images.mkdir()
        run("mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", images)
        self.addCleanup(run, "umount", "-l", images)

    def test_what_is_too_large_is_refused_and_leaves_nothing(self) -> None:
        bomb = self.files / "bomb"
        bomb.touch()
        os.truncate(bomb, 1 << 30)
        noise = self.files / "noise.img"
        noise.write_bytes(os.urandom(80 << 20))
        run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", noise, self.files / "noise.qcow2")
        for file in (pack(bomb, ".gz"), pack(bomb, ".zst"), noise, pack(noise, ".zst"), self.files / "noise.qcow2"):
            with self.subTest(file.name):
                done = self.diskless("image", "import", "bad", file)
                self.assertEqual(done.returncode, 1)
                self.assertRegex(done.stderr, "it takes more than|there is no room")
                self.assertEqual(self.left_in("bad"), [])
        self.ok(self.diskless("image", "import", "golden", self.raw))  # and what fits still does


class Versions(WithImages):
    extra = '[[image]]\nname = "declared"\nfile = "declared.img"\n'

    def prepare(self) -> None:
        super().prepare()
        shutil.copy(self.raw, self.scenario.data_dir / "declared.img")

    def image(self, name: str) -> dict:
        return self.answer("show", name)

    def test_publish_roll_back_and_delete(self) -> None:
        for more in ((), (), ("--no-publish",)):
            self.ok(self.diskless("image", "import", "golden", self.raw, *more))
        self.assertEqual(self.image("golden")["published"], 2)
        self.assertIn("golden@3 is published", self.ok(self.diskless("image", "publish", "golden@3")))
        self.ok(self.diskless("image", "publish", "golden", "1"))
        self.assertIn("golden@3 is published again", self.ok(self.diskless("image", "rollback", "golden")))
        self.refused("there is no golden@9", "publish", "golden@9")
        self.refused("there is no image nothing", "rollback", "nothing")
        self.assertIn("golden@1 is deleted", self.ok(self.diskless("image", "delete", "golden@1")))
        self.assertIn("is published; it goes when", self.ok(self.diskless("image", "delete", "golden@3")))
        self.assertEqual(self.left_in("golden"), ["2.raw", "3.raw"])
        self.lab.restart_server()
        self.assertEqual([(v["version"], v["deleted"]) for v in self.image("golden")["versions"]], [(2, False), (3, True)])
        self.ok(self.diskless("image", "publish", "golden@2"))
        self.assertEqual(self.left_in("golden"), ["2.raw"])
        self.assertIn("golden", self.ok(self.diskless("image", "list")))
        self.assertRegex(self.ok(self.diskless("image", "show", "golden")), r"2 +published +raw +24.0 MiB")
        self.ok(self.diskless("image", "delete", "golden"))
        self.assertEqual(self.left_in("golden"), [])
        self.refused("there is no image golden", "show", "golden")

    def test_declared(self) -> None:
        self.assertEqual(self.image("declared")["versions"][0]["file"], "declared.img")
        self.refused("the configuration declares", "delete", "declared")
        self.ok(self.diskless("image", "import", "declared", self.raw))
        self.assertEqual(self.image("declared")["published"], 2)
        self.refused("the configuration declares", "delete", "declared@1")
        shutil.copy(self.raw, self.scenario.data_dir / "second.img")
        self.lab.config_file.write_text(self.lab.config_file.read_text().replace("declared.img", "second.img"))
        os.kill(self.lab.server_pid, signal.SIGHUP)
        self.lab.wait_for_log(r"config\.reloaded", 10)
        image = self.image("declared")
        self.assertEqual((image["published"], [v["version"] for v in image["versions"]]), (3, [2, 3]))
        self.assertTrue((self.scenario.data_dir / "declared.img").exists())

    def test_wrong_usage(self) -> None:
        for words in (["publish", "golden"], ["publish", "golden@x"], ["delete", "golden@"], ["eat"], ["import", "golden"], ["list", "--no-such"], ["show"]):
            with self.subTest(words):
                self.assertEqual(self.diskless("image", *words).returncode, 2)
        self.assertIn("diskless image import NAME FILE", self.ok(self.diskless("image", "--help")))

    def ask(self, method: str, path: str, body: str = "") -> tuple[int, dict]:
        class OverUnix(http.client.HTTPConnection):
            def connect(self) -> None:
                self.sock = socket.socket(socket.AF_UNIX)
                self.sock.settimeout(10)
                self.sock.connect(self.host)

        connection = OverUnix(str(self.scenario.data_dir / "api.sock"))
        connection.request(method, path, body, {"Host": "localhost"})
        with contextlib.closing(connection), connection.getresponse() as response:
            return response.status, json.loads(response.read())

    def test_the_api_tells_what_is_wrong(self) -> None:
        images = "/api/v1/images"
        for method, path, body, status, why in (
            ("POST", f"{images}/golden/import", "{", 400, "no JSON object"),
            ("POST", f"{images}/golden/import", "[]", 400, "no JSON object"),
            ("POST", f"{images}/golden/import", '{"source": 3}', 400, "source is no text"),
            ("POST", f"{images}/golden/import", '{"source": "/x", "publish": 1}', 400, "publish is neither"),
            ("POST", f"{images}/golden/import", '{"source": "/x", "sauce": 1}', 400, "sauce means nothing"),
            ("POST", f"{images}/golden/import", '{"source": "x"}', 400, "whole path"),
            ("POST", f"{images}/golden/import", "{}", 400, "whole path"),
            ("POST", f"{images}/..%2fgolden/import", '{"source": "/etc/passwd"}', 400, "is no name for an image"),
            ("POST", f"{images}/golden/publish", "{}", 400, "version is no number"),
            ("POST", f"{images}/golden/publish", '{"version": -1}', 400, "version is no number"),
            ("POST", f"{images}/golden/publish", '{"version": 1}', 404, "there is no image golden"),
            ("POST", f"{images}/golden/eat", "", 404, "nothing is here"),
            ("POST", images, "", 405, "only GET, HEAD is answered here"),
            ("GET", f"{images}/golden", "", 404, "there is no image golden"),
            ("DELETE", f"{images}/declared/x", "", 400, "by its number"),
            ("DELETE", f"{images}/declared/1/2", "", 404, "nothing is here"),
            ("DELETE", f"{images}/declared", "", 409, "the configuration declares"),
            ("GET", "/api/v1/imports/7", "", 404, "there is no such import"),
            ("DELETE", "/api/v1/imports/7", "", 404, "there is no import 7"),
            ("DELETE", "/api/v1/imports/x", "", 404, "there is no import"),
            ("GET", "/api/v1/nothing", "", 404, "the API begins with"),
        ):
            with self.subTest(path=path, body=body[:50]):
                got, answer = self.ask(method, path, body)
                self.assertEqual(got, status, answer)
                self.assertIn(why, answer["error"])


class Interrupted(WithImages):
    def large(self, size: int) -> Path:
        """Mostly a hole: reading it takes the time that digesting it takes."""
        os.truncate(self.raw, size)
        return self.raw

    def wait_until_over(self, number: int) -> dict:
        until = time.monotonic() + 120
        while (job := self.answer("imports")["imports"][number - 1])["state"] not in ("done", "failed", "cancelled"):
            self.assertLess(time.monotonic(), until, job)
            time.sleep(0.05)
        return job

    def test_killed_at_any_moment_there_is_a_whole_version_or_none(self) -> None:
        source = self.large(256 << 20)
        qcow2 = self.convert("large.qcow2", "qcow2")
        seeded = random.Random(9)
        for number in range(1, 9):
            with self.subTest(number):
                file = (source, pack(source, ".zst") if number == 2 else source.with_name(source.name + ".zst"), qcow2)[number % 3] if number > 1 else source
                self.ok(self.diskless("image", "import", "golden", file, "--no-wait"))
                time.sleep(seeded.random() * 0.6)
                self.lab.restart_server()
                self.assertEqual(self.wait_until_over(number)["state"], "done")
                self.assertEqual(len(self.answer("show", "golden")["versions"]), number)
                self.assertEqual(len(self.left_in("golden")), number)
                run("qemu-img", "compare", "-f", "raw", "-F", "raw", self.version_file("golden", number), source)
        digests = {version["digest"] for version in self.answer("show", "golden")["versions"]}
        self.assertEqual(len(digests), 1)

    def test_control_c_leaves_it_running_and_cancel_ends_it(self) -> None:
        source = self.large(1 << 40)
        with subprocess.Popen(self.diskless_command("image", "import", "golden", source), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as waiting:
            time.sleep(1)
            waiting.send_signal(signal.SIGINT)
            _, told = waiting.communicate(timeout=10)
        self.assertEqual(waiting.returncode, 1)
        self.assertIn("the import goes on in the server", told)
        self.ok(self.diskless("image", "import", "other", source, "--no-wait"))
        self.assertEqual([job["state"] for job in self.answer("imports")["imports"]], ["running", "waiting"])
        self.assertRegex(self.ok(self.diskless("image", "imports")), r"golden +- +running +\d+ %")
        self.lab.restart_server()
        self.assertEqual(self.answer("imports")["imports"][1]["state"], "waiting")
        self.ok(self.diskless("image", "cancel", "2"))
        self.ok(self.diskless("image", "cancel", "1"))
        self.assertEqual(self.wait_until_over(1)["state"], "cancelled")
        self.assertEqual((self.left_in("golden"), self.left_in("other")), ([], []))

    def test_stopping_does_not_wait_for_it(self) -> None:
        self.ok(self.diskless("image", "import", "golden", self.large(1 << 40), "--no-wait"))
        begin = time.monotonic()
        self.assertEqual(self.lab.stop_server(), 0)
        self.assertLess(time.monotonic() - begin, 5)
        self.lab.start_server()
        self.ok(self.diskless("image", "cancel", "1"))


class Unprivileged(WithImages):
    def test_a_file_that_the_servers_user_may_not_read(self) -> None:
        self.assertEqual(self.lab.stop_server(), 0)
        shutil.chown(self.scenario.data_dir, "nobody")
        for file in self.scenario.data_dir.rglob("*"):
            shutil.chown(file, "nobody")
        self.lab.directory.chmod(0o755)
        self.lab.start_server(self.scenario.config().replace("[server]", '[server]\nuser = "nobody"'))
        self.raw.chmod(0o600)
        self.refused("user 'nobody', as whom disklessd runs, may not read it", "import", "golden", self.raw)
        self.raw.chmod(0o644)
        self.ok(self.diskless("image", "import", "golden", self.raw))
        self.assertEqual(self.version_file("golden", 1).owner(), "nobody")


if __name__ == "__main__":
    unittest.main(verbosity=2)
