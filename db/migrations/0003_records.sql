-- What happened: boots with their steps, and the audit trail. Clients stand by name, for these outlive them. Times are milliseconds since
-- 1970, UTC. AUTOINCREMENT: an id is never used again, so that "the newest n" is a range of ids.

CREATE TABLE boots (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    mac         TEXT NOT NULL,
    client      TEXT NOT NULL,       -- '': a machine nobody declared
    started     INTEGER NOT NULL,
    finished    INTEGER NOT NULL,    -- the last thing that was seen of it
    outcome     TEXT NOT NULL
) STRICT;
CREATE INDEX boots_of_client ON boots (client, id);

CREATE TABLE boot_steps (
    boot     INTEGER NOT NULL REFERENCES boots (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    step     TEXT NOT NULL,
    after_ms INTEGER NOT NULL,       -- since the boot started
    detail   TEXT NOT NULL,
    PRIMARY KEY (boot, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL,
    kind    TEXT NOT NULL,           -- client.enrolled
    subject TEXT NOT NULL,           -- the client, target … it is about
    detail  TEXT NOT NULL
) STRICT;
CREATE INDEX events_of_subject ON events (subject, id);
