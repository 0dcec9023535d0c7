-- DHCP leases (RFC 2131 1.3.5). Times are seconds since 1970, UTC. client_id and host_name are a peer's bytes as they came.

CREATE TABLE leases (
    address   TEXT PRIMARY KEY,
    mac       TEXT NOT NULL,
    client_id BLOB NOT NULL,
    host_name BLOB NOT NULL,
    state     TEXT NOT NULL CHECK (state IN ('bound', 'released', 'declined')),
    starts    INTEGER NOT NULL,
    expires   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX leases_by_expiry ON leases (expires);
