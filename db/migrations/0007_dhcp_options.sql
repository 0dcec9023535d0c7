-- DHCP options of groups and clients: each "CODE hex OCTETS", in the order in which they were written, with commas between.

ALTER TABLE groups ADD COLUMN dhcp_options TEXT NOT NULL DEFAULT '';
ALTER TABLE clients ADD COLUMN dhcp_options TEXT NOT NULL DEFAULT '';
