#include "config/config.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "config/checks.hpp"
#include "config/tables.hpp"

namespace diskless::config {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t max_file_bytes = std::size_t{64} << 20;  // some hundred thousand clients

[[noreturn]] void refuse_file(const fs::path& file, std::string_view reason, std::string_view remedy) {
    throw ConfigError{fmt::format("{}: cannot be read: {}; {}", file.native(), reason, remedy)};
}

std::string read_whole(const fs::path& file) {
    std::error_code error;
    const fs::file_status status = fs::status(file, error);
    if (fs::is_directory(status)) refuse_file(file, "it is a directory", "name the configuration file");
    std::ifstream stream{file, std::ios::binary};
    if (!stream) {
        const int reason = errno;
        refuse_file(file, std::strerror(reason),
                    reason == ENOENT ? "create it, or name another with --config" : "check its owner and mode");
    }
    std::string text{std::istreambuf_iterator<char>{stream}, {}};
    if (text.size() > max_file_bytes)
        refuse_file(file, fmt::format("it has more than {} bytes", max_file_bytes), "name the configuration file");
    return text;
}

toml::table parse_toml(std::string_view text, Findings& findings) {
    try {
        return toml::parse(text);
    } catch (const toml::parse_error& error) {
        // What stands there is quoted by the parser as it is, line breaks included.
        std::string description{error.description()};
        for (std::size_t at = 0; (at = description.find('\n', at)) != std::string::npos;) description.replace(at, 1, "\\n");
        const auto where = error.source().begin;
        findings.add({where.line, where.column}, "this is not TOML: " + description, "correct the line, or what stands before it");
        findings.raise();
        throw;
    }
}

/// Paths of services are relative to the file that names them; those of images and disks to the data directory, later.
void settle_paths(Config& config, const fs::path& folder) {
    for (fs::path* const path :
         {&config.server.data_dir, &config.server.api_socket, &config.tftp.root, &config.http.root, &config.http.tls_cert,
          &config.http.tls_key, &config.iscsi.tls_cert, &config.iscsi.tls_key, &config.iscsi.tls_client_ca, &config.iscsi.chap_secrets}) {
        if (!path->empty()) *path = (folder / *path).lexically_normal();
    }
    if (config.server.api_socket.empty()) {
        const bool usual = config.server.data_dir == Server{}.data_dir;
        config.server.api_socket = usual ? "/run/diskless/api.sock" : config.server.data_dir / "api.sock";
    }
    if (config.tftp.root.empty()) config.tftp.root = config.server.data_dir / "boot";
    if (config.http.root.empty()) config.http.root = config.tftp.root;
}

}  // namespace

Config load(const fs::path& file) { return parse(read_whole(file), file); }

Config parse(std::string_view text, const fs::path& name) {
    Findings findings{name.native()};
    const toml::table document = parse_toml(text, findings);
    Config config{.file = name};
    Places places;
    TableReader root{document, "", findings};
    read_server(root.table("server"), config.server, places.services);
    read_dhcp(root.table("dhcp"), config.dhcp, places);
    read_tftp(root.table("tftp"), config.tftp, places.services);
    read_http(root.table("http"), config.http, places.services);
    read_iscsi(root.table("iscsi"), config.iscsi, places.services);
    read_unknown_clients(root.table("unknown_clients"), config.unknown_clients, places.services);
    read_declared(root, config.declared, places);
    root.finish();
    settle_paths(config, fs::absolute(name).parent_path());

    const Declaration declaration{config, places, findings};
    check_services(declaration);
    check_subnets(declaration);
    check_names(declaration);
    check_identities(declaration);
    check_chap(declaration, config.secrets);
    check_boot(declaration);
    check_files(declaration);
    findings.raise();
    return config;
}

}  // namespace diskless::config
