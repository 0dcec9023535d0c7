-- Where initiators may come from, whom they have to prove to be (names of users: secrets are kept elsewhere), and where a target has moved.

CREATE TABLE access_addresses (
    client   TEXT REFERENCES clients (name) ON DELETE CASCADE ON UPDATE CASCADE,
    target   TEXT REFERENCES targets (name) ON DELETE CASCADE ON UPDATE CASCADE,
    position INTEGER NOT NULL,
    range    TEXT NOT NULL,          -- 192.168.77.0-192.168.77.255, or one address
    CHECK ((client IS NULL) + (target IS NULL) = 1)
) STRICT;
CREATE INDEX access_addresses_of_client ON access_addresses (client) WHERE client IS NOT NULL;
CREATE INDEX access_addresses_of_target ON access_addresses (target) WHERE target IS NOT NULL;

CREATE TABLE chap_users (
    client   TEXT REFERENCES clients (name) ON DELETE CASCADE ON UPDATE CASCADE,
    target   TEXT REFERENCES targets (name) ON DELETE CASCADE ON UPDATE CASCADE,
    position INTEGER NOT NULL,
    user     TEXT NOT NULL,
    CHECK ((client IS NULL) + (target IS NULL) = 1)
) STRICT;
CREATE INDEX chap_users_of_client ON chap_users (client) WHERE client IS NOT NULL;
CREATE INDEX chap_users_of_target ON chap_users (target) WHERE target IS NOT NULL;

ALTER TABLE targets ADD COLUMN redirect TEXT NOT NULL DEFAULT '';  -- host:port; '': it is here
