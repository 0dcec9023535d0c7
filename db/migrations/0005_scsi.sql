-- What a disk says of itself to initiators, and persistent reservations (SPC-4) that outlive the server (APTPL).

ALTER TABLE disks ADD COLUMN block_bytes INTEGER NOT NULL DEFAULT 512;
ALTER TABLE disks ADD COLUMN physical_block_bytes INTEGER NOT NULL DEFAULT 4096;
ALTER TABLE disks ADD COLUMN thin INTEGER NOT NULL DEFAULT 1 CHECK (thin IN (0, 1));
ALTER TABLE disks ADD COLUMN removable INTEGER NOT NULL DEFAULT 0 CHECK (removable IN (0, 1));
ALTER TABLE disks ADD COLUMN sanitize INTEGER NOT NULL DEFAULT 0 CHECK (sanitize IN (0, 1));

CREATE TABLE reservations (
    target TEXT NOT NULL,           -- the IQN
    lun    INTEGER NOT NULL,
    state  TEXT NOT NULL,           -- lines: generation and type, then key and initiator port of every registration
    PRIMARY KEY (target, lun)
) STRICT, WITHOUT ROWID;
