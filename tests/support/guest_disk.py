"""A disk beside the machine's own: programs of this machine for the guest's job "run"."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path


def disk_with(directory: Path, script: str, programs: Sequence[str] = (), files: Sequence[Path] = ()) -> Path:
    """A file system with the script as /run, the programs with their libraries in /lib, and the files."""
    tree = directory / "tools"
    (tree / "lib").mkdir(parents=True)
    for file in files:
        shutil.copy(file, tree)
    for program in programs:
        path = shutil.which(program)
        assert path is not None, f"{program} is not installed"
        shutil.copy(path, tree)
        for library in re.findall(r"(/\S+) \(0x", subprocess.run(["ldd", path], check=True, capture_output=True, text=True).stdout):
            shutil.copy(library, tree / "lib")
    (tree / "run").write_text(script)
    (tree / "run").chmod(0o755)
    image = directory / "tools.img"
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", tree, image, "160M"], check=True, capture_output=True)
    shutil.rmtree(tree)
    return image
