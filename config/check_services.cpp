#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "config/checks.hpp"

namespace diskless::config {
namespace {

namespace fs = std::filesystem;

void check_folder(const Declaration& declaration, Place where, std::string_view key, const fs::path& folder, bool may_be_missing) {
    if (!where) return;
    std::error_code error;
    const fs::file_status status = fs::status(folder, error);
    if (fs::is_directory(status) || (may_be_missing && status.type() == fs::file_type::not_found)) return;
    const bool missing = status.type() == fs::file_type::not_found;
    declaration.findings.add(where,
                             fmt::format("{} {} {}", key, in_quotes(folder.native()), missing ? "does not exist" : "is not a directory"),
                             missing ? "create it, or name one that exists" : "name a directory");
}

void check_readable(const Declaration& declaration, Place where, std::string_view key, const fs::path& file) {
    if (!where) return;
    std::error_code error;
    const fs::file_status status = fs::status(file, error);
    if (status.type() == fs::file_type::not_found) {
        declaration.findings.add(where, fmt::format("{} {} does not exist", key, in_quotes(file.native())), "name a PEM file that exists");
    } else if (!fs::is_regular_file(status)) {
        declaration.findings.add(where, fmt::format("{} {} is not a file", key, in_quotes(file.native())), "name a PEM file");
    } else if (::faccessat(AT_FDCWD, file.c_str(), R_OK, AT_EACCESS) != 0) {
        declaration.findings.add(where, fmt::format("{} {} cannot be read", key, in_quotes(file.native())), "check its owner and mode");
    }
}

void check_ports(const Declaration& declaration) {
    const Config& config = declaration.config;
    const ServicePlaces& places = declaration.places.services;
    if (config.http.port != 0 && config.http.port == config.iscsi.port) {
        const bool at_iscsi = static_cast<bool>(places.iscsi_port);
        declaration.findings.add(at_iscsi ? places.iscsi_port : places.http_port,
                                 fmt::format("[http] and [iscsi] both have port {}", config.http.port), "give one of them another port");
    }
    const bool taken_by_dhcp = config.tftp.port == config.dhcp.port || config.tftp.port == config.dhcp.port + 1;
    if (config.tftp.port != 0 && config.dhcp.mode != DhcpMode::off && taken_by_dhcp)
        declaration.findings.add(
            places.tftp_port ? places.tftp_port : places.dhcp_port,
            fmt::format("[tftp] port {} is one of [dhcp]'s ports {} and {}", config.tftp.port, config.dhcp.port, config.dhcp.port + 1),
            "give one of them another port");
}

void check_iscsi_tls(const Declaration& declaration) {
    const Iscsi& iscsi = declaration.config.iscsi;
    const ServicePlaces& places = declaration.places.services;
    check_readable(declaration, places.iscsi_tls_cert, "tls_cert", iscsi.tls_cert);
    check_readable(declaration, places.iscsi_tls_key, "tls_key", iscsi.tls_key);
    check_readable(declaration, places.iscsi_tls_client_ca, "tls_client_ca", iscsi.tls_client_ca);
    if (iscsi.tls_port == 0) return;
    if (iscsi.tls_cert.empty() || iscsi.tls_key.empty())
        declaration.findings.add(places.iscsi_tls_port, "tls_port needs a certificate and its key",
                                 "add tls_cert = \"…\" and tls_key = \"…\"");
    if (iscsi.port == 0)
        declaration.findings.add(places.iscsi_tls_port, "tls_port stands beside port = 0, which switches iSCSI off", "give port a number");
    if (iscsi.tls_port == iscsi.port || iscsi.tls_port == declaration.config.http.port)
        declaration.findings.add(
            places.iscsi_tls_port,
            fmt::format("tls_port {} is {} port too", iscsi.tls_port, iscsi.tls_port == iscsi.port ? "[iscsi]'s" : "[http]'s"),
            "give one of them another port");
}

}  // namespace

void check_services(const Declaration& declaration) {
    const Config& config = declaration.config;
    const ServicePlaces& places = declaration.places.services;
    check_folder(declaration, places.data_dir, "data_dir", config.server.data_dir, true);
    check_folder(declaration, places.tftp_root, "root", config.tftp.root, false);
    check_folder(declaration, places.http_root, "root", config.http.root, false);
    check_readable(declaration, places.tls_cert, "tls_cert", config.http.tls_cert);
    check_readable(declaration, places.tls_key, "tls_key", config.http.tls_key);
    if (places.tls_cert && config.http.tls_key.empty())
        declaration.findings.add(places.tls_cert, "tls_cert stands without tls_key", "add tls_key = \"…\", or remove tls_cert");
    if (places.tls_key && config.http.tls_cert.empty())
        declaration.findings.add(places.tls_key, "tls_key stands without tls_cert", "add tls_cert = \"…\", or remove tls_key");
    if (const std::uint16_t port = config.http.tls_port;
        !config.http.tls_cert.empty() && (port == config.http.port || port == config.iscsi.port))
        declaration.findings.add(places.http_tls_port ? places.http_tls_port : places.tls_cert,
                                 fmt::format("tls_port {} is {} port too", port, port == config.http.port ? "[http]'s" : "[iscsi]'s"),
                                 "give one of them another port");
    check_iscsi_tls(declaration);
    check_ports(declaration);
    if (config.unknown_clients.policy == UnknownPolicy::enroll && config.unknown_clients.group.empty())
        declaration.findings.add(places.unknown_policy, "policy \"enroll\" needs a group whose boot and disks the new clients get",
                                 "add group = \"…\" below it");
}

}  // namespace diskless::config
