-- Menus, programs besides the system, and choices for one boot.

ALTER TABLE groups ADD COLUMN menu_default TEXT;
ALTER TABLE groups ADD COLUMN menu_timeout_s INTEGER;
ALTER TABLE groups ADD COLUMN menu_password TEXT;
ALTER TABLE groups ADD COLUMN tools TEXT;        -- names with commas between
ALTER TABLE groups ADD COLUMN local_exit TEXT;
ALTER TABLE clients ADD COLUMN menu_default TEXT;
ALTER TABLE clients ADD COLUMN menu_timeout_s INTEGER;
ALTER TABLE clients ADD COLUMN menu_password TEXT;
ALTER TABLE clients ADD COLUMN tools TEXT;
ALTER TABLE clients ADD COLUMN local_exit TEXT;

CREATE TABLE tools (
    name     TEXT PRIMARY KEY,
    title    TEXT NOT NULL,
    kernel   TEXT NOT NULL,
    initrd   TEXT NOT NULL,
    cmdline  TEXT NOT NULL,
    iso      TEXT NOT NULL,
    script   TEXT NOT NULL,
    declared INTEGER NOT NULL CHECK (declared IN (0, 1))
) STRICT, WITHOUT ROWID;

-- Deleting the row is what uses a choice up. By name and without a reference: declared clients are written anew when they change.
CREATE TABLE next_boots (
    client TEXT PRIMARY KEY,
    choice TEXT NOT NULL             -- a boot method or a tool
) STRICT, WITHOUT ROWID;
