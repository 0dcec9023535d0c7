"""A lab for end-to-end tests: a private network with one server and as many booting machines as a test wants.

    with Lab(disklessd) as lab:
        lab.start_server(config_text)               # lab.directory is there for data_dir and the like
        with lab.boot(Client(firmware="uefi", serial="put-HELLO")) as machine:
            machine.wait_for(r"stored HELLO", timeout=120)
            machine.wait_for_power_off(timeout=20)

The network is a bridge inside a network namespace of its own, so nothing that a test sends reaches the machine's networks, and
several labs can run at once. Use it from the main thread. Whatever happens (an exception, SIGINT, SIGTERM), leaving the `with` ends
the processes the lab started, by their ids, and removes the namespace and the temporary directory; if this process is killed
outright, the kernel ends its children (PR_SET_PDEATHSIG).

Needs root, QEMU, OVMF, iproute2, util-linux, tcpdump: `missing_requirements()` says what is not there.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, Literal

SERVER_ADDRESS = "192.168.77.1"
PREFIX_LENGTH = 24
SERVER_LINK_LOCAL = "fe80::1"
BRIDGE = "boot0"  # name of the server's interface; the namespace makes it private

Firmware = Literal["bios", "uefi", "uefi-http", "uefi-secure"]  # the last: Secure Boot on, with the keys that PCs are sold with

_OVMF_CODE = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
_OVMF_VARS = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
_OVMF_SECURE_CODE = Path("/usr/share/OVMF/OVMF_CODE_4M.ms.fd")
_OVMF_SECURE_VARS = Path("/usr/share/OVMF/OVMF_VARS_4M.ms.fd")
_QEMU = "qemu-system-x86_64"
# One processor, and room for another: with room for one alone QEMU 7.2's translator leaves out memory barriers, and the guest's card
# stops sending once in a while (the guest misses that the queue wants to be told again).
_QEMU_COMMON = ["-no-user-config", "-nodefaults", "-no-reboot", "-display", "none", "-monitor", "none", "-smp", "1,maxcpus=2"]
_POLL_S = 0.05
_TAIL_LINES = 120
# The last alternative: a sequence of which only the beginning has been read yet.
_TERMINAL_CONTROL = re.compile(r"\x1b\[[0-9;?=]*[A-Za-z]|\x1b[()][A-Z0-9]|\x1bc|[\r\x00]|\x1b(?:\[[0-9;?=]*|[()])?\Z")


class LabError(Exception):
    """Something did not happen in time, or a process ended that should not have. The message shows the ends of the logs."""


def missing_requirements() -> list[str]:
    """What keeps a lab from running on this machine; empty when it can."""
    missing = [f"program {name}" for name in (_QEMU, "ip", "setpriv", "tcpdump") if shutil.which(name) is None]
    missing += [f"file {path}" for path in (_OVMF_CODE, _OVMF_VARS) if not path.exists()]
    if os.geteuid() != 0:
        missing.append("root")
    missing += [f"{path} from the kernel" for path in ("/dev/net/tun", "/proc/sys/net/ipv6") if not Path(path).exists()]
    return missing


@functools.cache
def kvm_works() -> bool:
    """Whether KVM really runs a guest. /dev/kvm alone proves nothing: some hosts offer it and stall, or stop at the first
    instruction they cannot emulate. OVMF reaching its boot manager has used real mode, protected mode and long mode, paging,
    interrupts and timers, in about 2 s."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    with tempfile.TemporaryDirectory(prefix="kvm-probe-") as directory:
        command = [_QEMU, *_accelerator(kvm=True), *_QEMU_COMMON, "-m", "128", *_uefi_flash(Path(directory, "variables.fd")), "-serial", "stdio"]
        console = Path(directory, "console")
        with console.open("wb") as output, _process([*_dies_with_us(), *command], stdout=output, stderr=subprocess.DEVNULL) as qemu:
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline and qemu.poll() is None:
                if b"BdsDxe" in console.read_bytes():
                    return True
                time.sleep(_POLL_S)
    return False


@dataclass(frozen=True)
class Client:
    """A machine that boots over the network. `serial` is its SMBIOS serial number: the job the demo image's first program does."""

    firmware: Firmware = "bios"
    mac: str = "52:54:00:12:34:01"
    uuid: str = "00000000-0000-4000-8000-525400123401"
    serial: str = ""
    memory_mib: int = 512
    extra: Sequence[str] = ()  # more QEMU arguments
    variables: Path | None = None  # UEFI's, kept there from boot to boot; none: fresh ones


class Machine:
    """A running client. Its console is a file, `console_path`, that can be read and written while the machine runs."""

    def __init__(self, lab: Lab, client: Client, directory: Path, command: Sequence[str]) -> None:
        self.client = client
        self.console_path = directory / "console.log"
        self._lab = lab
        self._stderr_path = directory / "qemu.log"
        self._seen = 0
        with self.console_path.open("wb") as console, self._stderr_path.open("wb") as stderr:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=console, stderr=stderr, start_new_session=True)
        self.started_at = time.monotonic()

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def console(self) -> str:
        """All the machine has said so far, without carriage returns and terminal control sequences."""
        return _TERMINAL_CONTROL.sub("", self.console_path.read_bytes().decode(errors="replace"))

    def wait_for(self, pattern: str, timeout: float) -> re.Match[str]:
        """Waits until `pattern` (multi-line mode) is on the console after the previous match. The console is read as it grows: end the
        pattern with `$` to match only when its line is complete. Raises LabError after `timeout` seconds, or at once when nothing can
        come any more."""
        expression = re.compile(pattern, re.MULTILINE)
        deadline = time.monotonic() + timeout
        while True:
            ended = not self.running  # asked before reading: what an ended machine said is all there
            text = self.console()
            match = expression.search(text, self._seen)
            if match and (ended or match.end() < len(text) or not pattern.endswith("$")):
                self._seen = match.end()
                return match
            reason = (
                "the machine ended" if ended else
                "disklessd ended" if self._lab.server_died() else
                f"not within {timeout:g} s" if time.monotonic() > deadline else None
            )
            if reason:
                raise LabError(f"waiting for {pattern!r}: {reason}\n{self.report()}")
            time.sleep(_POLL_S)

    def write(self, text: str) -> None:
        """Types on the console; end it with a newline where a person would press Enter."""
        assert self._process.stdin is not None
        self._process.stdin.write(text.encode())
        self._process.stdin.flush()

    def wait_for_power_off(self, timeout: float) -> None:
        """Waits until the machine has switched itself off (or asked for a reset: QEMU runs with -no-reboot)."""
        try:
            status = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise LabError(f"no power-off within {timeout:g} s\n{self.report()}") from None
        if status != 0:
            raise LabError(f"QEMU ended with status {status}\n{self.report()}")

    def kill(self) -> None:
        """Pulls the plug. Does nothing when the machine is off already."""
        _end(self._process, signal.SIGKILL, timeout=10)
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()

    def report(self) -> str:
        """The ends of the console, of QEMU's messages and of the server's log."""
        qemu = self._stderr_path.read_text(errors="replace")
        return f"{_tail('console', self.console())}{_tail('qemu', qemu)}{self._lab.server_report()}"


class Lab:
    """See the head of this file. `disklessd` is the program; None for a lab whose server the test brings itself (`spawn`)."""

    def __init__(self, disklessd: Path | None = None) -> None:
        self._disklessd = disklessd
        self._exit = contextlib.ExitStack()
        self._server: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count()
        self.namespace = ""
        self.directory = Path()
        self.config_file = Path()
        self.server_log = Path()

    # --- life ---------------------------------------------------------------------------------------------------------------------------

    def __enter__(self) -> Lab:
        missing = missing_requirements()
        if missing:
            raise LabError(f"the lab cannot run here, missing: {', '.join(missing)}")
        with contextlib.ExitStack() as stack:
            self._exit = stack
            stack.callback(signal.signal, signal.SIGTERM, signal.signal(signal.SIGTERM, _leave_on_sigterm))
            self.directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="diskless-lab-")))
            self.config_file = self.directory / "diskless.toml"
            self.server_log = self.directory / "disklessd.log"
            self.namespace = f"diskless-{os.getpid()}-{next(_lab_numbers)}"
            _run(["ip", "netns", "add", self.namespace])
            stack.callback(_run, ["ip", "netns", "delete", self.namespace])
            self._build_network()
            self._exit = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # A second Ctrl-C or SIGTERM must not leave half of it behind.
        previous = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            self._exit.close()
        finally:
            signal.signal(signal.SIGINT, previous[signal.SIGINT])

    def _build_network(self) -> None:
        # `hold0` keeps the bridge's carrier on while no client runs: sockets bound to it and its addresses then behave as on a
        # real, plugged port. Nothing may pass it in either direction: its other end, `hold1`, belongs to the same host, which would
        # hear every broadcast twice and answer ARP for the server's address with a second MAC. No spanning tree, no multicast
        # snooping: a client's first packets pass, and so do IPv6 router solicitations. No link-local addresses made by the kernel
        # (addrgenmode): the only IPv6 packets on the wire are the clients' and the server's.
        self._ip(
            "link set lo up",
            f"link add {BRIDGE} type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
            "link add hold0 type veth peer name hold1",
            "link set hold1 addrgenmode none arp off up",
            f"link set hold0 master {BRIDGE} addrgenmode none",
            "link set hold0 type bridge_slave flood off mcast_flood off bcast_flood off learning off",
            "link set hold0 up",
            f"link set {BRIDGE} addrgenmode none",
            f"link set {BRIDGE} up",
            f"address add {SERVER_ADDRESS}/{PREFIX_LENGTH} brd + dev {BRIDGE}",
            f"address add {SERVER_LINK_LOCAL}/64 dev {BRIDGE} nodad",
        )

    def _ip(self, *commands: str) -> None:
        _run(["ip", "-n", self.namespace, "-batch", "-"], text="\n".join(commands) + "\n")

    # --- processes in the lab's network -------------------------------------------------------------------------------------------------

    def inside(self, command: Sequence[str | Path]) -> list[str]:
        """The command line that runs `command` in the lab's network and ends it with this process. Its process id stays the same."""
        return ["ip", "netns", "exec", self.namespace, *_dies_with_us(), *map(str, command)]

    def run(self, command: Sequence[str | Path], timeout: float = 30) -> str:
        """Runs a command on the server's side of the network and returns what it printed."""
        return _run(self.inside(command), timeout=timeout)

    def spawn(self, command: Sequence[str | Path], log: Path) -> subprocess.Popen[bytes]:
        """Starts a process on the server's side of the network, in its own process group; the lab ends it at the latest when it closes."""
        with log.open("ab") as output:
            process = subprocess.Popen(
                self.inside(command), stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=self.directory, start_new_session=True
            )
        self._exit.callback(_end, process, signal.SIGTERM, 10)
        return process

    # --- the server ---------------------------------------------------------------------------------------------------------------------

    def start_server(self, config: str | None = None, timeout: float = 20) -> None:
        """Starts disklessd and waits until it says `server.ready`. Without `config` it uses the one it had before."""
        if self._disklessd is None:
            raise LabError("this lab was made without a disklessd")
        assert self._server is None, "the server is running already"
        if config is not None:
            self.config_file.write_text(config)
        before = self.server_log.stat().st_size if self.server_log.exists() else 0
        self._server = self.spawn([self._disklessd, "--config", self.config_file], self.server_log)
        ready = lambda: b"server.ready" in self.server_log.read_bytes()[before:]  # noqa: E731
        try:
            self._wait(ready, timeout, "disklessd to say server.ready", self.server_report)
        except LabError:
            self.kill_server()
            raise

    def stop_server(self, timeout: float = 15) -> int:
        """Stops disklessd politely and returns its exit status. Raises LabError if it had to be killed."""
        assert self._server is not None, "no server is running"
        server, self._server = self._server, None
        if not _end(server, signal.SIGTERM, timeout):
            raise LabError(f"disklessd did not stop within {timeout:g} s of SIGTERM\n{self.server_report()}")
        return server.returncode

    def kill_server(self) -> None:
        """Ends disklessd as a power failure would."""
        assert self._server is not None, "no server is running"
        server, self._server = self._server, None
        _end(server, signal.SIGKILL, 10)

    def restart_server(self, down_s: float = 0) -> None:
        """The crash test: kills disklessd, leaves it down for `down_s` seconds, and starts it again."""
        self.kill_server()
        time.sleep(down_s)
        self.start_server()

    @property
    def server_pid(self) -> int:
        assert self._server is not None, "no server is running"
        return self._server.pid

    def server_running(self) -> bool:
        return self._server is not None

    def server_died(self) -> bool:
        """Whether a server that should be running has ended by itself."""
        return self._server is not None and self._server.poll() is not None

    def wait_for_log(self, pattern: str, timeout: float) -> None:
        """Waits until `pattern` is anywhere in what disklessd has logged since the lab began."""
        expression = re.compile(pattern, re.MULTILINE)
        found = lambda: expression.search(self.server_log.read_text(errors="replace")) is not None  # noqa: E731
        self._wait(found, timeout, f"{pattern!r} in the log of disklessd", self.server_report)

    def server_report(self) -> str:
        return _tail("disklessd", self.server_log.read_text(errors="replace")) if self.server_log.exists() else ""

    def _wait(self, condition: Callable[[], bool], timeout: float, what: str, report: Callable[[], str]) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            if self.server_died():
                raise LabError(f"waiting for {what}: disklessd ended\n{report()}")
            if time.monotonic() > deadline:
                raise LabError(f"waiting for {what}: not within {timeout:g} s\n{report()}")
            time.sleep(_POLL_S)

    # --- clients ------------------------------------------------------------------------------------------------------------------------

    def boot(self, client: Client) -> Machine:
        """Switches a client on. The lab switches it off at the latest when it closes."""
        number = next(self._numbers)
        tap = f"tap{number}"
        directory = self.directory / f"client{number}"
        directory.mkdir()
        self._ip(f"tuntap add {tap} mode tap", f"link set {tap} master {BRIDGE} addrgenmode none up")
        machine = Machine(self, client, directory, self.inside([*_qemu_command(client, tap, directory), "-serial", "stdio"]))
        self._exit.callback(machine.kill)
        return machine

    # --- looking at packets -------------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def capture(self, file: Path, expression: str = "") -> Iterator[None]:
        """Captures what passes the server's interface to a pcap file; it is complete when the `with` is left."""
        log = self.directory / f"tcpdump{next(self._numbers)}.log"
        command = ["tcpdump", "-i", BRIDGE, "-Z", "root", "-U", "--immediate-mode", "-s", "0", "-w", str(file), *expression.split()]
        process = self.spawn(command, log)
        self._wait(lambda: b"listening on" in log.read_bytes(), 10, "tcpdump to listen", lambda: _tail("tcpdump", log.read_text()))
        try:
            yield
        finally:
            _end(process, signal.SIGINT, 10)


_lab_numbers = itertools.count()


def _accelerator(*, kvm: bool) -> list[str]:
    # tb-size: QEMU's default translation cache takes hundreds of MiB per machine and is no faster.
    return ["-accel", "kvm", "-cpu", "host"] if kvm else ["-accel", "tcg,thread=multi,tb-size=128", "-cpu", "qemu64"]


def _uefi_flash(variables: Path, secure: bool = False) -> list[str]:
    if not variables.exists():
        shutil.copy(_OVMF_SECURE_VARS if secure else _OVMF_VARS, variables)
    # Secure Boot needs a place that the system cannot write: system management mode, and flash that only it may change.
    protected = ["-global", "driver=cfi.pflash01,property=secure,value=on", "-global", "ICH9-LPC.disable_s3=1"]
    return [
        "-machine", "q35,graphics=off" + (",smm=on" if secure else ""), *(protected if secure else []),
        "-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={_OVMF_SECURE_CODE if secure else _OVMF_CODE}",
        "-drive", f"if=pflash,unit=1,format=raw,file={variables}",
    ]


def _qemu_command(client: Client, tap: str, directory: Path) -> list[str]:
    card = f"virtio-net-pci,netdev=n0,mac={client.mac},bootindex=1"
    match client.firmware:
        case "bios":
            machine = ["-machine", "pc,graphics=off", "-boot", "order=n"]
        case "uefi" | "uefi-http" | "uefi-secure":
            machine = _uefi_flash(client.variables or directory / "uefi-variables.fd", client.firmware == "uefi-secure")
            card += ",romfile="  # OVMF brings its own PXE; the card's ROM is iPXE
    if client.firmware == "uefi-http":
        for version in ("IPv4", "IPv6"):
            machine += ["-fw_cfg", f"name=opt/org.tianocore/{version}PXESupport,string=no"]
    if client.serial:
        machine += ["-smbios", f"type=1,serial={client.serial}"]
    return [
        _QEMU, *_accelerator(kvm=kvm_works()), *_QEMU_COMMON, *machine,
        "-m", str(client.memory_mib), "-uuid", client.uuid,
        "-netdev", f"tap,id=n0,ifname={tap},script=no,downscript=no", "-device", card, "-device", "virtio-rng-pci",
        *client.extra,
    ]


def _dies_with_us() -> list[str]:
    return ["setpriv", "--pdeathsig", "KILL"]


def _run(command: Sequence[str], text: str = "", timeout: float = 30) -> str:
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        raise LabError(f"{' '.join(command)}: not done within {timeout:g} s") from None
    if done.returncode != 0:
        raise LabError(f"{' '.join(command)}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


@contextlib.contextmanager
def _process(command: Sequence[str], stdout: IO[bytes], stderr: int) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, start_new_session=True)
    try:
        yield process
    finally:
        _end(process, signal.SIGKILL, 10)


def _end(process: subprocess.Popen[bytes], how: signal.Signals, timeout: float) -> bool:
    """Ends a process we started; false when it took a SIGKILL after `timeout` seconds."""
    if process.poll() is not None:
        return True
    process.send_signal(how)
    try:
        process.wait(timeout)
        return True
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return False


def _leave_on_sigterm(number: int, _frame: FrameType | None) -> None:
    """SIGTERM becomes an exception, so that it too leaves through the `with` blocks; a second one changes nothing."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit(128 + number)


def _tail(name: str, text: str) -> str:
    lines = text.splitlines()[-_TAIL_LINES:]
    return "".join([f"--- end of {name} ---\n", *(f"{line}\n" for line in lines)])
