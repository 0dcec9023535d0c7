// One reader for each table of the file: TOML in, values of Config and their places out. What needs two tables to judge is in checks.hpp.
#pragma once

#include <vector>

#include "config/config.hpp"
#include "config/places.hpp"
#include "config/reader.hpp"

namespace diskless::config {

void read_server(TableReader table, Server& server, ServicePlaces& places);
void read_dhcp(TableReader table, Dhcp& dhcp, Places& places);
void read_tftp(TableReader table, Tftp& tftp, ServicePlaces& places);
void read_http(TableReader table, Http& http, ServicePlaces& places);
void read_iscsi(TableReader table, Iscsi& iscsi, ServicePlaces& places);
void read_unknown_clients(TableReader table, UnknownClients& unknown, ServicePlaces& places);

/// [[image]], [[group]], [[client]], [[target]] and [[tool]].
void read_declared(TableReader& root, boot::CatalogData& declared, Places& places);
/// boot, kernel, initrd, cmdline, script, loader and disks: what groups and clients have in common.
void read_settings(TableReader& table, boot::BootSettings& settings, SettingsPlaces& places);
/// The luns of a [[target]].
std::vector<boot::Disk> read_luns(TableReader& table, std::vector<DiskPlaces>& places);

}  // namespace diskless::config
