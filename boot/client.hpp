// The domain's nouns (DESIGN: words): Client, Group, Image, Disk, Target. Plain values; who made them and where they are kept is not their
// business.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "boot/dhcp_option.hpp"
#include "common/network.hpp"

namespace diskless::boot {

enum class BootMethod : std::uint8_t {
    sanboot,  ///< the disk's own loader
    kernel,   ///< kernel, initrd and command line over HTTP
    menu,
    script,  ///< an iPXE script of the administrator's
    local,   ///< leave to the machine's own disk
};
[[nodiscard]] std::string_view name_of(BootMethod method) noexcept;
[[nodiscard]] std::optional<BootMethod> boot_method(std::string_view name) noexcept;

/// How a machine is left to its own disk: firmware differs in what it survives.
enum class LocalExit : std::uint8_t {
    automatic,  ///< UEFI: as `exit`; BIOS: as `drive`, and if that returns as `exit`
    exit,       ///< back to the firmware, which tries what is next in its order
    drive,      ///< the first BIOS drive is started from here
    poweroff,   ///< there is nothing to go on to
};
[[nodiscard]] std::string_view name_of(LocalExit exit) noexcept;
[[nodiscard]] std::optional<LocalExit> local_exit(std::string_view name) noexcept;

enum class DiskMode : std::uint8_t { persistent, ephemeral, read_only, shared };
[[nodiscard]] std::string_view name_of(DiskMode mode) noexcept;  ///< "persistent", "ephemeral", "read-only", "shared"
[[nodiscard]] std::optional<DiskMode> disk_mode(std::string_view name) noexcept;

/// A disk of an image: by name; the published version unless one is named ("debian-12@3").
struct ImageSource {
    std::string image;
    friend bool operator==(const ImageSource&, const ImageSource&) = default;
};
/// An empty disk, made when it is first needed.
struct BlankSource {
    std::uint64_t size_bytes = 0;
    friend bool operator==(const BlankSource&, const BlankSource&) = default;
};
/// A file that already holds a raw disk; with a size it is made when missing. Relative to the data directory.
struct FileSource {
    std::filesystem::path path;
    std::uint64_t size_bytes = 0;  ///< 0: as the file is
    friend bool operator==(const FileSource&, const FileSource&) = default;
};

/// What a client sees as a LUN.
struct Disk {
    std::uint16_t lun = 0;
    std::variant<ImageSource, BlankSource, FileSource> source;
    DiskMode mode = DiskMode::persistent;
    std::string description;
    // What the disk says of itself to initiators.
    std::uint32_t block_bytes = 512;            ///< 512 or 4096
    std::uint32_t physical_block_bytes = 4096;  ///< a power of two from block_bytes to 4096
    bool thin = true;                           ///< space that is unmapped is given back
    bool sanitize = false;                      ///< SANITIZE may wipe it
    bool removable = false;                     ///< its medium can be ejected and loaded
    friend bool operator==(const Disk&, const Disk&) = default;
};
inline constexpr std::uint16_t max_lun = 255;  // single-level, peripheral addressing (SAM-5 4.7.5)

/// For boot method `kernel`: paths under the boot root; `{iscsi}` in the command line becomes this client's target arguments.
struct KernelBoot {
    std::string kernel = "vmlinuz";
    std::string initrd = "initrd.img";
    std::string cmdline;
    friend bool operator==(const KernelBoot&, const KernelBoot&) = default;
};

/// A program that machines can start instead of their system: a memory test, a rescue system, an installer. Paths are below the boot root;
/// one of kernel, iso and script is there.
struct Tool {
    std::string name;
    std::string title;   ///< as menus show it
    std::string kernel;  ///< with initrd and cmdline, where `{http}` becomes the boot root's URL
    std::string initrd;
    std::string cmdline;
    std::string iso;     ///< started as a disc over HTTP
    std::string script;  ///< an iPXE script
    bool declared = false;
    friend bool operator==(const Tool&, const Tool&) = default;
};

/// What a machine may choose from, for boot method `menu`.
struct Menu {
    std::string choice;                ///< taken when the time is up: "disk", "kernel", "local" or a tool; empty: the first there is
    std::chrono::seconds timeout{30};  ///< 0: it waits for ever
    std::string password;              ///< asked before tools and the shell; empty: nobody is asked
    std::vector<std::string> tools;
    friend bool operator==(const Menu&, const Menu&) = default;
};

/// What a group gives and a client may override; absent means "as the group says".
struct BootSettings {
    std::optional<BootMethod> boot;
    std::optional<std::string> kernel, initrd, cmdline;
    std::optional<std::string> script;  ///< a path under the boot root, for boot method `script`
    std::optional<std::string> loader;  ///< overrides the loader chosen by architecture, for example "ipxe.efi"
    std::optional<std::string> menu_default, menu_password;
    std::optional<std::chrono::seconds> menu_timeout;
    std::optional<std::vector<std::string>> tools;
    std::optional<LocalExit> local_exit;
    std::optional<std::vector<Disk>> disks;
    std::vector<DhcpOption> dhcp_options;  ///< a client's own come before its group's, code by code
    friend bool operator==(const BootSettings&, const BootSettings&) = default;
};

struct Group {
    std::string name;
    BootSettings settings;
    bool declared = false;  ///< by the configuration file; otherwise made at run time
    friend bool operator==(const Group&, const Group&) = default;
};

struct Image {
    std::string name;
    std::filesystem::path file;  ///< raw or qcow2, relative to the data directory; empty: its versions are imported (image.hpp)
    bool declared = false;
    friend bool operator==(const Image&, const Image&) = default;
};

/// A client as it is declared or enrolled: settings not yet merged with its group's.
struct ClientEntry {
    std::string name;
    std::vector<MacAddress> macs;
    std::optional<Uuid> uuid;
    std::optional<Ipv4Address> address;
    std::string group;                    ///< empty: none
    std::vector<std::string> initiators;  ///< further initiator names that may use this client's target; wildcards allowed
    std::vector<Ipv4Range> addresses;     ///< further addresses that they may come from
    std::vector<std::string> chap;        ///< users, one of whom an initiator has to be (RFC 7143 12.1); none: nothing to prove
    BootSettings settings;
    bool declared = false;
    friend bool operator==(const ClientEntry&, const ClientEntry&) = default;
};

/// A client with everything decided: what the packet paths work with.
struct Client {
    std::string name;
    std::vector<MacAddress> macs;
    std::optional<Uuid> uuid;
    std::optional<Ipv4Address> address;
    std::string group;
    std::vector<std::string> initiators;
    std::vector<Ipv4Range> addresses;
    std::vector<std::string> chap;
    BootMethod boot = BootMethod::sanboot;
    KernelBoot kernel;
    std::string script;
    std::string loader;
    Menu menu;
    LocalExit local_exit = LocalExit::automatic;
    std::string next_boot;  ///< a choice for one boot, already taken into account above; empty: there is none
    std::string tool;       ///< of that choice: this one is started instead of the system
    std::vector<Disk> disks;
    std::vector<DhcpOption> dhcp_options;
    bool declared = false;
    friend bool operator==(const Client&, const Client&) = default;
};

/// A declared target with LUNs for whoever its list admits.
struct Target {
    std::string name;  ///< "scratch": its IQN is "<prefix>:scratch"
    std::vector<Disk> luns;
    std::vector<std::string> initiators;  ///< initiator names with wildcards; empty: nobody
    std::vector<Ipv4Range> addresses;     ///< where they may come from; empty: anywhere
    std::vector<std::string> chap;        ///< as a client's
    std::string redirect;                 ///< "host:port": it has moved there (RFC 7143 11.13.5); empty: it is here
    bool declared = false;
    friend bool operator==(const Target&, const Target&) = default;
};

/// `choice` names a boot method or a tool: for one boot the client is as if that was declared.
void choose_next_boot(Client& client, const std::string& choice);

/// The client's own settings over its group's over the defaults.
[[nodiscard]] Client resolve(const ClientEntry& entry, const Group* group);

}  // namespace diskless::boot
