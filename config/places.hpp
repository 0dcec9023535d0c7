// Places: where the declared things are written. Vectors run parallel to the Config's, so that checks across tables can name both ends.
#pragma once

#include <vector>

#include "config/findings.hpp"

namespace diskless::config {

struct ServicePlaces {
    Place data_dir, server_address;
    Place dhcp_port, tftp_port, http_port, http_tls_port, iscsi_port;
    Place tftp_root, http_root, tls_cert, tls_key;
    Place iscsi_tls_port, iscsi_tls_cert, iscsi_tls_key, iscsi_tls_client_ca;
    Place chap_secrets;
    std::vector<Place> discovery_auth;
    Place unknown_policy, unknown_group;
    std::vector<Place> unknown_groups;
};

struct SubnetPlaces {
    Place network;
    Place router;
    std::vector<Place> pool;
};

struct DiskPlaces {
    Place disk;
    Place lun;     ///< nowhere: missing or wrong
    Place source;  ///< of `image` or `file`, whichever is used
    Place size;
};

struct SettingsPlaces {
    Place boot, kernel, initrd, script;
    std::vector<Place> tools;
    std::vector<DiskPlaces> disks;
};

// `name` is the entry itself where the name is missing.
struct ImagePlaces {
    Place name, file;
};
struct GroupPlaces {
    Place name;
    SettingsPlaces settings;
};
struct ClientPlaces {
    Place name, uuid, address, group;
    std::vector<Place> macs, chap;
    SettingsPlaces settings;
};
struct TargetPlaces {
    Place name;
    std::vector<DiskPlaces> luns;
    std::vector<Place> chap;
};

struct ToolPlaces {
    Place name;
};

struct Places {
    ServicePlaces services;
    std::vector<SubnetPlaces> subnets;
    std::vector<Place> subnets6;
    std::vector<ImagePlaces> images;
    std::vector<GroupPlaces> groups;
    std::vector<ClientPlaces> clients;
    std::vector<TargetPlaces> targets;
    std::vector<ToolPlaces> tools;
};

}  // namespace diskless::config
