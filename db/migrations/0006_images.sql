-- Images' versions, the disks that stand on them, and imports. Times are milliseconds since 1970, UTC. Files are relative to the data
-- directory unless they were declared elsewhere.

CREATE TABLE image_version (
    image       TEXT NOT NULL,
    number      INTEGER NOT NULL CHECK (number > 0),
    file        TEXT NOT NULL,
    format      TEXT NOT NULL CHECK (format IN ('raw', 'qcow2')),
    size_bytes  INTEGER NOT NULL,     -- of the disk
    digest      TEXT NOT NULL,        -- sha256:… of the disk's content as raw bytes; '': not known
    description TEXT NOT NULL,
    created_ms  INTEGER NOT NULL,
    source      TEXT NOT NULL,
    deleted     INTEGER NOT NULL CHECK (deleted IN (0, 1, 2)),  -- 1: as soon as nothing uses it; 2: its file is gone, its number stays taken
    PRIMARY KEY (image, number)
) STRICT, WITHOUT ROWID;

-- Which versions were published, in this order; the last one is.
CREATE TABLE image_publication (
    image    TEXT NOT NULL,
    position INTEGER NOT NULL,
    number   INTEGER NOT NULL,
    PRIMARY KEY (image, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE image_import (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    image       TEXT NOT NULL,
    source      TEXT NOT NULL,
    format      TEXT NOT NULL,        -- '': recognised
    description TEXT NOT NULL,
    publish     INTEGER NOT NULL CHECK (publish IN (0, 1)),
    created_ms  INTEGER NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('waiting', 'running', 'storing', 'done', 'failed', 'cancelled')),
    error       TEXT NOT NULL,
    warning     TEXT NOT NULL,
    -- What becomes a version, known from state 'storing' on.
    number      INTEGER NOT NULL,
    file        TEXT NOT NULL,
    size_bytes  INTEGER NOT NULL,
    digest      TEXT NOT NULL,
    -- How much of the file is on disk, and what the source was then: an interrupted copy goes on there.
    safe_bytes  INTEGER NOT NULL,
    source_mark TEXT NOT NULL
) STRICT;

-- Disks with a file of their own; image = '': not a copy of one. A version is in use while a row names it.
CREATE TABLE disk (
    owner      TEXT NOT NULL,         -- a client's or a declared target's name
    lun        INTEGER NOT NULL,
    file       TEXT NOT NULL,
    image      TEXT NOT NULL,
    version    INTEGER NOT NULL,
    mode       TEXT NOT NULL CHECK (mode IN ('persistent', 'ephemeral', 'read-only', 'shared')),
    size_bytes INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    PRIMARY KEY (owner, lun)
) STRICT, WITHOUT ROWID;
CREATE INDEX disk_of_version ON disk (image, version);

CREATE TABLE disk_snapshot (
    owner      TEXT NOT NULL,
    lun        INTEGER NOT NULL,
    name       TEXT NOT NULL,
    file       TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    PRIMARY KEY (owner, lun, name),
    FOREIGN KEY (owner, lun) REFERENCES disk (owner, lun) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
