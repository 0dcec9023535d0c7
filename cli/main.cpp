// diskless: the command line. Finds the server by its socket, and does one thing.
#include <boost/program_options.hpp>
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include "cli/clients.hpp"
#include "cli/disks.hpp"
#include "cli/exit_code.hpp"
#include "cli/images.hpp"
#include "cli/import_dhcp.hpp"
#include "cli/sessions.hpp"
#include "common/version.hpp"

namespace {

namespace cli = diskless::cli;
namespace options = boost::program_options;

constexpr const char* usage = R"(diskless - asks and steers a running disklessd

  diskless sessions              the machines that are logged in to their disks
  diskless sessions drop TSIH    end one of them; it may log in again
  diskless boot show CLIENT      what a machine is offered, for every kind of firmware, and its script
  diskless boot next CLIENT WHAT by which method or tool it boots once; without WHAT: as always
  diskless boot wake CLIENT      switch it on by its network card (Wake-on-LAN)
  diskless lease [list]          the addresses that machines have; export: the same as CSV
  diskless lease release ADDRESS the address may go to another machine
  diskless import-dhcp FILE      machines and networks of dnsmasq, ISC dhcpd or Kea, as tables of diskless.toml
  diskless image …               golden images and their versions; see diskless image --help
  diskless disk …                what clients have: reset, snapshot, publish and more; see diskless disk --help

)";

int run(int argc, char** argv) {
    std::string socket;
    bool as_json = false;
    options::options_description shown{"Options"};
    shown.add_options()                                                                                                               //
        ("socket", options::value(&socket)->default_value("/run/diskless/api.sock")->value_name("PATH"), "where the server listens")  //
        ("json", options::bool_switch(&as_json), "print the server's answer as it is")                                                //
        ("version", "print the version and exit")                                                                                     //
        ("help,h", "print this and exit");
    options::variables_map given;
    const auto parsed = options::command_line_parser(argc, argv).options(shown).allow_unregistered().run();
    options::store(parsed, given);
    options::notify(given);
    // What is left is the command with options of its own.
    const std::vector<std::string> words = options::collect_unrecognized(parsed.options, options::include_positional);
    if (given.contains("version")) {
        std::cout << "diskless " << diskless::version << '\n';
        return cli::exit_ok;
    }
    const std::string command = words.empty() ? std::string{} : words.front();
    if (given.contains("help") && command == "image") return cli::print_image_help();
    if (given.contains("help") && command == "disk") return cli::print_disk_help();
    if (given.contains("help") || words.empty()) {
        (given.contains("help") ? std::cout : std::cerr) << usage << shown;
        return given.contains("help") ? cli::exit_ok : cli::exit_wrong_input;
    }
    const std::vector<std::string> rest{words.begin() + 1, words.end()};
    if (command == "import-dhcp") return cli::import_dhcp(rest);
    const cli::ApiClient api{socket};
    if (command == "sessions") return cli::sessions(api, rest, as_json);
    if (command == "boot") return cli::boots(api, rest, as_json);
    if (command == "lease") return cli::leases(api, rest, as_json);
    if (command == "image") return cli::images(api, rest, as_json);
    if (command == "disk") return cli::disks(api, rest, as_json);
    std::cerr << "diskless: there is no command '" << command << "'; see diskless --help\n";
    return cli::exit_wrong_input;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return run(argc, argv);
    } catch (const options::error& e) {
        std::cerr << "diskless: " << e.what() << "; see diskless --help\n";
        return cli::exit_wrong_input;
    } catch (const std::exception& e) {
        std::cerr << "diskless: " << e.what() << '\n';
        return cli::exit_failed;
    }
}
