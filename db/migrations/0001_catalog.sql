-- Who gets what: images, groups, clients, targets and their disks. `declared` marks what the configuration file says; the rest was made at
-- run time. Groups and images are referred to by name, not by foreign key: a reference outlives what it names, and works again when that
-- comes back.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE images (
    name     TEXT PRIMARY KEY,
    file     TEXT NOT NULL,          -- raw or qcow2, relative to the data directory
    declared INTEGER NOT NULL CHECK (declared IN (0, 1))
) STRICT, WITHOUT ROWID;

-- Boot settings: NULL is "not said here". Has no disks of its own (has_disks = 0) is not the same as has none (has_disks = 1, no rows).
CREATE TABLE groups (
    name      TEXT PRIMARY KEY,
    boot      TEXT CHECK (boot IN ('sanboot', 'kernel', 'menu', 'script', 'local')),
    kernel    TEXT,
    initrd    TEXT,
    cmdline   TEXT,
    script    TEXT,
    loader    TEXT,
    has_disks INTEGER NOT NULL CHECK (has_disks IN (0, 1)),
    declared  INTEGER NOT NULL CHECK (declared IN (0, 1))
) STRICT, WITHOUT ROWID;

CREATE TABLE clients (
    name       TEXT PRIMARY KEY,
    uuid       TEXT UNIQUE,
    address    TEXT UNIQUE,
    group_name TEXT NOT NULL,        -- '': none
    boot       TEXT CHECK (boot IN ('sanboot', 'kernel', 'menu', 'script', 'local')),
    kernel     TEXT,
    initrd     TEXT,
    cmdline    TEXT,
    script     TEXT,
    loader     TEXT,
    has_disks  INTEGER NOT NULL CHECK (has_disks IN (0, 1)),
    declared   INTEGER NOT NULL CHECK (declared IN (0, 1))
) STRICT, WITHOUT ROWID;

CREATE TABLE client_macs (
    mac      TEXT PRIMARY KEY,       -- 52:54:00:12:34:01
    client   TEXT NOT NULL REFERENCES clients (name) ON DELETE CASCADE ON UPDATE CASCADE,
    position INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX client_macs_of ON client_macs (client, position);

CREATE TABLE targets (
    name     TEXT PRIMARY KEY,
    declared INTEGER NOT NULL CHECK (declared IN (0, 1))
) STRICT, WITHOUT ROWID;

-- Who may log in besides the client itself; names with wildcards.
CREATE TABLE initiators (
    client   TEXT REFERENCES clients (name) ON DELETE CASCADE ON UPDATE CASCADE,
    target   TEXT REFERENCES targets (name) ON DELETE CASCADE ON UPDATE CASCADE,
    position INTEGER NOT NULL,
    pattern  TEXT NOT NULL,
    CHECK ((client IS NULL) + (target IS NULL) = 1)
) STRICT;
CREATE INDEX initiators_of_client ON initiators (client) WHERE client IS NOT NULL;
CREATE INDEX initiators_of_target ON initiators (target) WHERE target IS NOT NULL;

CREATE TABLE disks (
    client      TEXT REFERENCES clients (name) ON DELETE CASCADE ON UPDATE CASCADE,
    group_name  TEXT REFERENCES groups (name) ON DELETE CASCADE ON UPDATE CASCADE,
    target      TEXT REFERENCES targets (name) ON DELETE CASCADE ON UPDATE CASCADE,
    position    INTEGER NOT NULL,
    lun         INTEGER NOT NULL CHECK (lun BETWEEN 0 AND 255),
    source      TEXT NOT NULL CHECK (source IN ('image', 'blank', 'file')),
    name        TEXT NOT NULL,       -- of the image or the file
    size_bytes  INTEGER NOT NULL,    -- 0: as the image or file is
    mode        TEXT NOT NULL CHECK (mode IN ('persistent', 'ephemeral', 'read-only', 'shared')),
    description TEXT NOT NULL,
    CHECK ((client IS NULL) + (group_name IS NULL) + (target IS NULL) = 2)
) STRICT;
CREATE UNIQUE INDEX disks_of_client ON disks (client, lun) WHERE client IS NOT NULL;
CREATE UNIQUE INDEX disks_of_group ON disks (group_name, lun) WHERE group_name IS NOT NULL;
CREATE UNIQUE INDEX disks_of_target ON disks (target, lun) WHERE target IS NOT NULL;
