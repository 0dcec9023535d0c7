// What needs more than one table to judge: references, duplicates, overlaps, and the files that the configuration names.
#pragma once

#include "config/config.hpp"
#include "config/places.hpp"

namespace diskless::config {

/// Everything read, on which the checks work. Config's vectors and Places' run parallel.
struct Declaration {
    const Config& config;
    const Places& places;
    Findings& findings;
};

/// Ports, roots, certificates, the policy for unknown clients.
void check_services(const Declaration& declaration);
/// Subnets, pools and routers among themselves.
void check_subnets(const Declaration& declaration);
/// Names once, references to something that is there.
void check_names(const Declaration& declaration);
/// MACs, UUIDs and addresses of clients: once, and where a client can use them.
void check_identities(const Declaration& declaration);
/// The file of CHAP's users: only its owner's, whole, with users for all who are named. Reads it into `secrets`.
void check_chap(const Declaration& declaration, boot::ChapSecrets& secrets);
/// LUNs, and that every client has what its boot method needs.
void check_boot(const Declaration& declaration);
/// Files of images and disks: there, usable, and written by one client only.
void check_files(const Declaration& declaration);

/// "; remedy" for a name that is not declared: the nearest one, or all there are.
[[nodiscard]] std::string nearest_of(std::string_view word, const std::vector<std::string_view>& declared, std::string_view table);

}  // namespace diskless::config
