#!/usr/bin/env python3
"""The qcow2 engine beside qemu-img and qemu-io, on real files: theirs in our hands, ours in theirs, and processes that are killed.

    QCOW2_EXERCISE=build/dev/bin/qcow2_exercise tests/e2e/qcow2.py [-v] [Foreign.test_cluster_sizes …]

QCOW2_SEED=n repeats a run.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import tempfile
import time
import unittest
from collections.abc import Sequence
from pathlib import Path

EXERCISE = Path(os.environ.get("QCOW2_EXERCISE", "build/dev/bin/qcow2_exercise")).resolve()
SEED = int(os.environ.get("QCOW2_SEED", "0")) or random.randrange(1, 1 << 31)
KIB, MIB = 1 << 10, 1 << 20
LEAKS_ONLY = 3  # qemu-img check's exit status


class Qcow2(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory(prefix="qcow2-")))
        self.random = random.Random(SEED)
        self.image, self.model = self.folder / "disk.qcow2", self.folder / "model.raw"

    def ok(self, *command: str | Path | int) -> str:
        done = subprocess.run([str(word) for word in command], cwd=self.folder, capture_output=True, text=True, check=False, timeout=120)
        self.assertEqual(done.returncode, 0, f"seed {SEED}: {command}\n{done.stdout}{done.stderr}")
        return done.stdout

    def exercise(self, *words: str | Path | int) -> str:
        return self.ok(EXERCISE, *words)

    def make(self, size: int, *options: str, backing: tuple[str, str] | None = None, image: Path | None = None) -> None:
        base = () if backing is None else ("-b", backing[0], "-F", backing[1])
        self.ok("qemu-img", "create", "-q", "-f", "qcow2", *(("-o", ",".join(options)) if options else ()), *base, image or self.image, size)

    def work_by_qemu(self, size: int, operations: int = 24, compressed: bool = False, image: Path | None = None) -> None:
        """Writes, zeros, discards, and compressed clusters where nothing is yet."""
        words: list[str] = []
        if compressed:
            for at in range(0, size, max(size // 6 // (2 * MIB), 1) * 2 * MIB):
                words += ["-c", f"write -c -P {self.random.randrange(1, 255)} {at} {min(2 * MIB, size - at)}"]
        for _ in range(operations):
            length = self.random.choice((512, 4 * KIB, 20 * KIB, 64 * KIB, 200 * KIB, MIB))
            at = self.random.randrange(0, size - length, 512)
            verb = self.random.choice((f"write -P {self.random.randrange(1, 255)}", f"write -P {self.random.randrange(1, 255)}", "write -z", "write -z -u", "discard"))
            words += ["-c", f"{verb} {at} {length}"]
        self.ok("qemu-io", "-f", "qcow2", "-d", "unmap", *words, image or self.image)

    def work_by_us(self, operations: int = 200, *more: str | Path | int) -> None:
        self.exercise("run", self.image, self.model, "--seed", self.random.randrange(1 << 31), "--operations", operations, "--threads", 8, *more)

    def check(self, may_leak: bool = False) -> None:
        """qemu-img finds no fault, and what the model says."""
        done = subprocess.run(["qemu-img", "check", "-f", "qcow2", self.image], capture_output=True, text=True, check=False, timeout=120)
        self.assertIn(done.returncode, (0, LEAKS_ONLY) if may_leak else (0,), f"seed {SEED}: {done.stdout}{done.stderr}")
        self.ok("qemu-img", "compare", "-f", "qcow2", "-F", "raw", self.image, self.model)

    def in_both_hands(self, is_new: bool = True) -> None:
        """What qemu wrote we read, what we write qemu reads, twice. Into a new image qemu writes compressed clusters, too."""
        size = int(self.exercise("info", self.image).split("size=")[1].split()[0])
        for compressed in (is_new, False):
            self.work_by_qemu(size, compressed=compressed)
            self.ok("qemu-img", "convert", "-f", "qcow2", "-O", "raw", self.image, self.model)
            dumped = self.folder / "dumped.raw"
            self.exercise("dump", self.image, dumped)
            self.ok("cmp", dumped, self.model)
            self.work_by_us()
            self.check()


class Foreign(Qcow2):
    """Images that qemu-img made, with everything it can be asked for."""

    def each(self, size: int, variants: Sequence[Sequence[str]]) -> None:
        for options in variants:
            with self.subTest(",".join(options)):
                self.image.unlink(missing_ok=True)
                self.make(size, *options)
                self.in_both_hands(is_new="preallocation=metadata" not in options)

    def test_cluster_sizes(self) -> None:
        self.each(12 * MIB, [[f"cluster_size={size}"] for size in (512, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 512 * KIB, 2 * MIB)])

    def test_subclusters(self) -> None:
        self.each(24 * MIB, [["extended_l2=on", f"cluster_size={size}"] for size in (16 * KIB, 64 * KIB, 2 * MIB)])

    def test_widths_of_counts(self) -> None:
        # Narrower ones than 16 bits have no room for what qemu-io's compressed clusters share.
        self.each(12 * MIB, [[f"refcount_bits={bits}"] for bits in (16, 32, 64)])
        for bits in (1, 2, 4, 8):
            with self.subTest(bits=bits):
                self.image.unlink()
                self.make(12 * MIB, f"refcount_bits={bits}")
                self.work_by_qemu(12 * MIB)
                self.ok("qemu-img", "convert", "-f", "qcow2", "-O", "raw", self.image, self.model)
                self.work_by_us()
                self.check()

    def test_compression_and_laziness(self) -> None:
        self.each(16 * MIB, [["compression_type=zlib"], ["compression_type=zstd"], ["compression_type=zstd", "extended_l2=on"], ["lazy_refcounts=on"],
                             ["preallocation=metadata"]])

    def test_version_2_is_read(self) -> None:
        self.make(16 * MIB, "compat=0.10")
        self.work_by_qemu(16 * MIB, compressed=True)
        self.ok("qemu-img", "convert", "-f", "qcow2", "-O", "raw", self.image, self.model)
        self.exercise("verify", self.image, self.model, "--read-only")

    def test_internal_snapshots(self) -> None:
        """They are kept, and the disk itself is served: what they share is not written."""
        self.make(16 * MIB, "extended_l2=on")
        self.work_by_qemu(16 * MIB)
        before = self.folder / "before.raw"
        self.ok("qemu-img", "convert", "-f", "qcow2", "-O", "raw", self.image, before)
        self.ok("qemu-img", "snapshot", "-c", "one", self.image)
        self.in_both_hands(is_new=False)
        self.ok("qemu-img", "snapshot", "-a", "one", self.image)
        self.ok("qemu-img", "compare", "-f", "qcow2", "-F", "raw", self.image, before)

    def test_chains(self) -> None:
        """Five images high, each with other clusters and another length, on a raw file."""
        base = self.folder / "base.raw"
        base.write_bytes(self.random.randbytes(5 * MIB + 512))
        below = ("base.raw", "raw")
        options = (["cluster_size=4096"], ["extended_l2=on"], ["cluster_size=512"], ["compression_type=zstd"])
        for height, wanted in enumerate(options, 1):
            image = self.folder / f"{height}.qcow2"
            size = (4 + 2 * height) * MIB
            self.make(size, *wanted, backing=below, image=image)
            self.work_by_qemu(size, 8, compressed=height == 4, image=image)
            below = (image.name, "qcow2")
        self.make(16 * MIB, "extended_l2=on", backing=below)
        kept = {path: path.read_bytes() for path in (base, *self.folder.glob("?.qcow2"))}
        self.in_both_hands()
        for path, contents in kept.items():
            self.assertEqual(path.read_bytes(), contents, f"{path.name} was written")


class Ours(Qcow2):
    def test_alternating(self) -> None:
        """What we made, worked on by turns; larger at last."""
        for options in ((), ("--plain-l2",), ("--cluster-bits", 9, "--plain-l2"), ("--cluster-bits", 21), ("--deflate",)):
            with self.subTest(options):
                self.exercise("create", self.image, "--size", 20 * MIB, *options)
                self.in_both_hands()
                self.exercise("grow", self.image, "--size", 33 * MIB)
                with self.model.open("r+b") as model:
                    model.truncate(33 * MIB)
                self.check()

    def test_on_a_base(self) -> None:
        """The base never shines through what was zeroed or given back."""
        (self.folder / "base.raw").write_bytes(self.random.randbytes(20 * MIB))
        self.exercise("create", self.image, "--size", 20 * MIB, "--backing", "base.raw", "--backing-format", "raw")
        for verb in ("zero", "discard"):
            for at, size in ((0, 64 * KIB), (MIB + 512, 100 * KIB), (2 * MIB, 4 * KIB), (3 * MIB, MIB)):
                self.exercise(verb, self.image, "--at", at, "--size", size)
                said = self.ok("qemu-io", "-f", "qcow2", "-c", f"read -P 0 {at} {size}", self.image)
                self.assertNotIn("verification failed", said, verb)
        self.in_both_hands(is_new=False)


class Kills(Qcow2):
    """A process that is killed at any moment has lost nothing that it acknowledged, by the journal beside the image."""

    def test_many(self) -> None:
        journal = self.folder / "disk.journal"
        (self.folder / "base.raw").write_bytes(self.random.randbytes(8 * MIB))
        self.exercise("create", self.image, "--size", 32 * MIB, "--backing", "base.raw", "--backing-format", "raw")
        for kill in range(20):
            with subprocess.Popen(
                [EXERCISE, "run", self.image, self.model, "--journal", journal, "--seed", str(self.random.randrange(1 << 31)), "--operations", "1000000",
                 "--threads", "16", "--backend", self.random.choice(("threads", "uring"))], cwd=self.folder, stderr=subprocess.PIPE, text=True) as running:
                time.sleep(self.random.uniform(0.15, 0.6))
                self.assertIsNone(running.poll(), f"seed {SEED}, kill {kill}: {running.stderr.read() if running.returncode else ''}")
                running.send_signal(signal.SIGKILL)
            self.exercise("verify", self.image, self.model, "--journal", journal)
            self.check()


if __name__ == "__main__":
    print(f"seed {SEED}")
    unittest.main(verbosity=2)
