// The disks of a client or group, the LUNs of a target, and the boot settings around them.
#include <fmt/format.h>

#include <array>

#include "config/names.hpp"
#include "config/tables.hpp"

namespace diskless::config {
namespace {

using boot::BootMethod;
using boot::DiskMode;
using boot::LocalExit;

constexpr std::uint32_t block_bytes = 512;
constexpr std::uint32_t max_block_bytes = 4096;

constexpr std::array<Choice<LocalExit>, 4> local_exits{
    {{"auto", LocalExit::automatic}, {"exit", LocalExit::exit}, {"drive", LocalExit::drive}, {"poweroff", LocalExit::poweroff}}};
constexpr std::array<Choice<BootMethod>, 5> boot_methods{{{"sanboot", BootMethod::sanboot},
                                                          {"kernel", BootMethod::kernel},
                                                          {"menu", BootMethod::menu},
                                                          {"script", BootMethod::script},
                                                          {"local", BootMethod::local}}};
constexpr std::array<Choice<DiskMode>, 4> disk_modes{{{"persistent", DiskMode::persistent},
                                                      {"ephemeral", DiskMode::ephemeral},
                                                      {"read-only", DiskMode::read_only},
                                                      {"shared", DiskMode::shared}}};

std::optional<std::string> parse_image(std::string_view text) noexcept {
    return parse_image_reference(text) ? std::optional{std::string{text}} : std::nullopt;
}

/// image, file, size: exactly one, or file and size. A disk whose source is wrong stays, blank and of no size, so that its LUN still
/// counts.
void read_source(TableReader& table, boot::Disk& disk, DiskPlaces& places) {
    std::optional<std::string> image;
    std::filesystem::path file;
    std::uint64_t size_bytes = 0;
    const Place image_place = table.parsed("image", image, parse_image, "an image's name such as \"debian-12\" or \"debian-12@3\"");
    const Place file_place = table.path("file", file);
    places.size = table.size("size", size_bytes, block_bytes);
    if (!table.has("image") && !table.has("file") && !table.has("size")) {
        table.findings().add(table.place(), "the disk has no image, file or size",
                             "add image = \"…\", file = \"…\", or size = \"20GiB\" for a blank disk");
    } else if (table.has("image") && (table.has("file") || table.has("size"))) {
        table.findings().add(table.place(), fmt::format("the disk has both image and {}", table.has("file") ? "file" : "size"),
                             "keep one of them; only file and size go together");
    } else if (image_place) {
        disk.source = boot::ImageSource{*image};
        places.source = image_place;
    } else if (file_place) {
        disk.source = boot::FileSource{std::move(file), size_bytes};
        places.source = file_place;
    } else if (!table.has("file")) {
        disk.source = boot::BlankSource{size_bytes};
    }
}

Place read_block_size(TableReader& table, std::string_view key, std::uint32_t& bytes) {
    std::uint32_t wanted = bytes;
    const Place place = table.whole(key, wanted, block_bytes, max_block_bytes);
    if (!place) return place;
    if (wanted == block_bytes || wanted == max_block_bytes) {
        bytes = wanted;
    } else {
        table.findings().add(place, fmt::format("{} is {}", key, wanted), "write 512 or 4096");
    }
    return place;
}

/// What the disk says of itself to initiators.
void read_profile(TableReader& table, boot::Disk& disk) {
    const Place block = read_block_size(table, "block_size", disk.block_bytes);
    const Place physical = read_block_size(table, "physical_block_size", disk.physical_block_bytes);
    if (block && physical && disk.physical_block_bytes < disk.block_bytes)
        table.findings().add(physical, "physical_block_size is less than block_size", "write the same, or leave it out");
    disk.physical_block_bytes = std::max(disk.physical_block_bytes, disk.block_bytes);
    table.boolean("thin", disk.thin);
    table.boolean("removable", disk.removable);
    table.boolean("sanitize", disk.sanitize);
}

boot::Disk read_disk(TableReader& table, DiskPlaces& places) {
    boot::Disk disk;
    places.disk = table.place();
    table.require("lun", "lun = 0");
    places.lun = table.whole("lun", disk.lun, 0, boot::max_lun);
    read_source(table, disk, places);
    table.text("description", disk.description);
    read_profile(table, disk);
    return disk;
}

}  // namespace

std::vector<boot::Disk> read_luns(TableReader& table, std::vector<DiskPlaces>& places) {
    std::vector<boot::Disk> luns;
    for (TableReader& lun : table.tables("luns", "the disk")) {
        boot::Disk disk = read_disk(lun, places.emplace_back());
        bool read_only = false;
        lun.boolean("read_only", read_only);
        lun.finish();
        // Whoever the target admits may come at the same time: what is written must be seen by all of them.
        disk.mode = read_only ? DiskMode::read_only : DiskMode::shared;
        luns.push_back(std::move(disk));
    }
    return luns;
}

void read_settings(TableReader& table, boot::BootSettings& settings, SettingsPlaces& places) {
    BootMethod method{};
    places.boot = table.choice<BootMethod>("boot", method, boot_methods);
    if (places.boot) settings.boot = method;
    places.kernel = table.parsed("kernel", settings.kernel, parse_boot_path, boot_path_form);
    std::string initrd;
    // Empty is a value here: a kernel that needs no initrd.
    places.initrd = table.text("initrd", initrd);
    if (places.initrd && !initrd.empty() && !parse_boot_path(initrd))
        table.findings().add(places.initrd, fmt::format("initrd {} is not understood", in_quotes(initrd)),
                             fmt::format("write {}", boot_path_form));
    if (places.initrd) settings.initrd = std::move(initrd);
    table.text("cmdline", settings.cmdline);
    places.script = table.parsed("script", settings.script, parse_boot_path, boot_path_form);
    table.parsed("loader", settings.loader, parse_boot_path, "a path below the boot root without spaces such as \"ipxe.efi\"");
    table.text("menu_default", settings.menu_default);
    std::chrono::seconds timeout{};
    if (table.duration("menu_timeout", timeout, std::chrono::seconds{0}, std::chrono::hours{24})) settings.menu_timeout = timeout;
    table.text("menu_password", settings.menu_password);
    std::vector<std::string> tools;
    places.tools = table.list("tools", tools, parse_name, "the name of a [[tool]]");
    if (table.has("tools")) settings.tools = std::move(tools);
    LocalExit exit{};
    if (table.choice<LocalExit>("local_exit", exit, local_exits)) settings.local_exit = exit;
    table.list("dhcp_options", settings.dhcp_options, parse_dhcp_option, dhcp_option_form);
    const bool has_disks = table.has("disks");
    std::vector<boot::Disk> disks;
    for (TableReader& disk : table.tables("disks", "the disk")) {
        disks.push_back(read_disk(disk, places.disks.emplace_back()));
        disk.choice<DiskMode>("mode", disks.back().mode, disk_modes);
        disk.finish();
    }
    if (has_disks) settings.disks = std::move(disks);
}

}  // namespace diskless::config
