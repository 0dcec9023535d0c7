// The boot root as TFTP and HTTP see it: which file a name means, and that no name leaves the root.
#include "storage/boot_files.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include "scratch.hpp"

using namespace diskless;
using namespace diskless::storage;
using namespace std::string_view_literals;

namespace {

std::string content_of(const std::optional<BootFile>& file) {
    if (!file) return "(none)";
    std::string text(file->size_bytes(), '\0');
    return file->read(0, std::as_writable_bytes(std::span{text})) ? text : "(unreadable)";
}

}  // namespace

TEST_CASE("names as clients write them") {
    CHECK(BootFiles::clean("undionly.kpxe") == "undionly.kpxe");
    CHECK(BootFiles::clean("/undionly.kpxe") == "undionly.kpxe");
    CHECK(BootFiles::clean("//grubx64.efi") == "grubx64.efi");
    CHECK(BootFiles::clean("a//b/./c/") == "a/b/c");
    CHECK(BootFiles::clean("\\Boot\\x64\\wdsnbp.com") == "Boot/x64/wdsnbp.com");
    CHECK(BootFiles::clean("undionly.kpxe\xff") == "undionly.kpxe");
    CHECK(BootFiles::clean("undionly.kpxe\r\n\xff\xff"sv) == "undionly.kpxe");
    CHECK(BootFiles::clean("vmlinuz-6.1..0") == "vmlinuz-6.1..0");
    CHECK(BootFiles::clean("gr\xc3\xbc\xc3\x9f"
                           "e.txt") ==
          "gr\xc3\xbc\xc3\x9f"
          "e.txt");
    for (const auto bad : {""sv, "/"sv, "."sv, ".."sv, "../secret"sv, "a/../../secret"sv, "a/.."sv, "..\\secret"sv, "/../secret"sv,
                           "a\0b"sv, "a\nb"sv, "\xff"sv,
                           "a\xff"
                           "b"sv}) {
        CAPTURE(bad);
        CHECK_FALSE(BootFiles::clean(bad));
    }
    CHECK(BootFiles::clean(std::string(BootFiles::max_name_bytes, 'a')));
    CHECK_FALSE(BootFiles::clean(std::string(BootFiles::max_name_bytes + 1, 'a')));
}

TEST_CASE("the root's file, else the distribution's, else one that differs in case only") {
    const ScratchFolder root, distribution, more;
    root.write("snponly.efi", "ours");
    root.write("Boot/BCD", "store");
    root.write("boot.WIM", "image");
    distribution.write("snponly.efi", "theirs");
    distribution.write("undionly.kpxe", "loader");
    distribution.write("qemu/rom", "not served");
    more.write("undionly.kpxe", "later");
    more.write("grubx64.efi", "grub");
    const BootFiles files{root.path(), {distribution.path(), more.path()}};
    CHECK(content_of(files.open("snponly.efi")) == "ours");
    CHECK(content_of(files.open("/undionly.kpxe\xff")) == "loader");
    CHECK(content_of(files.open("//grubx64.efi")) == "grub");
    CHECK(content_of(files.open("\\boot\\bcd")) == "store");
    CHECK(files.open("\\boot\\bcd")->name() == "Boot/BCD");
    CHECK(content_of(files.open("BOOT.wim")) == "image");
    CHECK(content_of(files.open("UNDIONLY.KPXE")) == "loader");
    CHECK_FALSE(files.open("qemu/rom"));
    CHECK_FALSE(files.open("nothing"));
    CHECK_FALSE(files.open("Boot"));  // a folder
    CHECK_FALSE(files.open("Boot/"));
    CHECK_FALSE(files.open("snponly.efi/x"));
    CHECK_FALSE(BootFiles(root.path() / "missing", {distribution.path() / "missing"}).open("snponly.efi"));
}

TEST_CASE("of several that differ in case only it is always the same one, and the exact one first") {
    const ScratchFolder root;
    for (const auto name : {"readme", "README", "Readme"}) root.write(name, name);
    const BootFiles files{root.path(), {}};
    CHECK(content_of(files.open("Readme")) == "Readme");
    CHECK(content_of(files.open("rEADME")) == "README");
}

TEST_CASE("a package's links are followed, as ipxe.efi is one out of its folder; the root's are followed inside it alone") {
    const ScratchFolder root, distribution, outside;
    outside.write("secret", "secret");
    outside.write("ipxe.efi", "loader");
    root.write("real", "real");
    std::filesystem::create_symlink(outside.path() / "ipxe.efi", distribution.path() / "ipxe.efi");
    std::filesystem::create_symlink("real", root.path() / "inside");
    std::filesystem::create_symlink(outside.path() / "secret", root.path() / "absolute");
    std::filesystem::create_symlink(std::filesystem::path{".."} / outside.path().filename() / "secret", root.path() / "relative");
    std::filesystem::create_symlink(outside.path(), root.path() / "folder");
    std::filesystem::create_symlink("loop", root.path() / "loop");
    std::filesystem::create_symlink("/proc/self/root", root.path() / "proc");
    const BootFiles files{root.path(), {distribution.path()}};
    CHECK(content_of(files.open("ipxe.efi")) == "loader");
    CHECK(content_of(files.open("inside")) == "real");
    for (const auto name : {"absolute", "ABSOLUTE", "relative", "folder/secret", "FOLDER/SECRET", "loop", "proc/etc/passwd"}) {
        CAPTURE(name);
        CHECK_FALSE(files.open(name));
    }
}

TEST_CASE("only regular files, and opening never waits") {
    const ScratchFolder root;
    REQUIRE(::mkfifo((root.path() / "fifo").c_str(), 0600) == 0);
    std::filesystem::create_directory(root.path() / "folder");
    const BootFiles files{root.path(), {"/dev"}};
    CHECK_FALSE(files.open("fifo"));
    CHECK_FALSE(files.open("folder"));
    CHECK_FALSE(files.open("zero"));
}

TEST_CASE("reading: any stretch inside the file; nothing when it has become shorter") {
    const ScratchFolder root;
    root.write("file", "0123456789");
    const BootFiles files{root.path(), {}};
    const auto file = files.open("file");
    REQUIRE(file);
    CHECK(file->size_bytes() == 10);
    std::string part(4, '?');
    const auto room = std::as_writable_bytes(std::span{part});
    CHECK(file->read(6, room));
    CHECK(part == "6789");
    CHECK(file->read(10, {}));
    CHECK_FALSE(file->read(7, room));
    std::filesystem::resize_file(root.path() / "file", 3);
    CHECK_FALSE(file->read(2, room));
}

TEST_CASE("a root that is itself a link is the administrator's choice and works") {
    const ScratchFolder real, links;
    real.write("file", "content");
    std::filesystem::create_directory_symlink(real.path(), links.path() / "boot");
    CHECK(content_of(BootFiles(links.path() / "boot", {}).open("file")) == "content");
}
