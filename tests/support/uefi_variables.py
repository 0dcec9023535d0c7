"""Writes into OVMF's variable store what a person would have set up in its menus.

The store is EDK2's AUTHENTICATED_VARIABLE format (MdeModulePkg/Include/Guid/VariableFormat.h, AuthenticatedVariableFormat.h): a firmware
volume's header, the store's header, then variables one after another on four-byte boundaries up to the first erased byte.
"""

from __future__ import annotations

import shutil
import struct
from pathlib import Path
from uuid import UUID

_EMPTY = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
_STORE_HEADER = struct.Struct("<16sIBBHI")  # VARIABLE_STORE_HEADER
_VARIABLE_HEADER = struct.Struct("<HBBIQ16sIII16s")  # AUTHENTICATED_VARIABLE_HEADER
_AUTHENTICATED = UUID("aaf32c78-947b-439a-a180-2e144ec37792").bytes_le
_START = 0x55AA
_ADDED = 0x3F  # VAR_ADDED
_KEPT_FOR_BOOT = 0x3  # EFI_VARIABLE_NON_VOLATILE | EFI_VARIABLE_BOOTSERVICE_ACCESS

_ISCSI_INITIATOR_NAME = UUID("59324945-ec44-4c0d-b1cd-9db139df070c")  # gEfiIScsiInitiatorNameProtocolGuid
_ISCSI_CONFIG = UUID("4b47d616-a8d6-4552-9d44-ccad2e0f4cf9")  # gIScsiConfigGuid
# ISCSI_ATTEMPT_CONFIG_NVDATA (NetworkPkg/IScsiDxe/IScsiConfig.h, packed); the fields with a value here are the named ones.
_ATTEMPT = struct.Struct(
    "<16x"  # Link
    "BB"  # NicIndex, AttemptConfigIndex
    "3x"  # DhcpSuccess, ValidiBFTPath, ValidPath
    "B"  # AutoConfigureMode
    "4x"  # string tokens
    "12s96s"  # AttemptName, MacString
    "48x"  # DNS and DHCP servers
    "HBB"  # TargetPort, Enabled, IpMode
    "36x"  # the initiator's addresses
    "BB"  # InitiatorInfoFromDhcp, TargetInfoFromDhcp
    "224x16xx8x"  # target
    "HB"  # ConnectTimeout, ConnectRetryCount
    "6s"  # IsId
    "19xx255x"  # redirection, URL
    "B"  # AuthenticationType
    "289xx"  # CHAP, AutoConfigureSuccess
    "B"  # Actived
)


def write_variables(store: Path, variables: list[tuple[UUID, str, bytes]]) -> None:
    """A fresh store at `store` with these variables (vendor, name, value)."""
    shutil.copy(_EMPTY, store)
    with store.open("r+b") as file:
        head = file.read(0x100)
        (volume_header,) = struct.unpack_from("<H", head, 0x30)  # EFI_FIRMWARE_VOLUME_HEADER.HeaderLength
        assert head[volume_header:].startswith(_AUTHENTICATED), "not a store of authenticated variables"
        at = volume_header + _STORE_HEADER.size
        for vendor, name, value in variables:
            file.seek(at)
            assert file.read(2) == b"\xff\xff", "the store is not empty"
            encoded = (name + "\0").encode("utf-16-le")
            header = _VARIABLE_HEADER.pack(_START, _ADDED, 0, _KEPT_FOR_BOOT, 0, bytes(16), 0, len(encoded), len(value), vendor.bytes_le)
            file.seek(at)
            file.write(header + encoded + value)
            at = (file.tell() + 3) // 4 * 4


def iscsi_attempt(initiator: str, mac: str) -> list[tuple[UUID, str, bytes]]:
    """OVMF's own initiator set up for one attempt over IPv4, all but the initiator's name told by DHCP (option 17)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    isid = bytes([octets[0] & 0x3F]) + octets[1:]  # as the menu makes it: of the OUI format
    attempt = _ATTEMPT.pack(1, 1, 0, b"Attempt 1", mac.upper().encode(), 3260, 1, 0, 1, 1, 1000, 0, isid, 0, 1)
    return [
        (_ISCSI_INITIATOR_NAME, "I_NAME", initiator.encode() + b"\0"),
        (_ISCSI_INITIATOR_NAME, "Attempt 1", attempt),
        (_ISCSI_CONFIG, "InitialAttemptOrder", bytes(range(1, 9))),  # eight, or the driver makes them anew and forgets ours
        (_ISCSI_CONFIG, "AttemptOrder", b"\1"),
    ]
