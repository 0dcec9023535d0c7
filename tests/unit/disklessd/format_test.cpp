// What a file is, by its first bytes and its name; and what is never given to qemu-img.
#include "disklessd/importing/format.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

using namespace diskless;
using namespace diskless::importing;
using namespace std::string_literals;

namespace {

std::vector<std::byte> head(std::string_view text, std::size_t at = 0, std::size_t size = head_bytes) {
    std::vector<std::byte> bytes(size);
    std::ranges::copy(as_bytes(text), bytes.begin() + static_cast<std::ptrdiff_t>(at));
    return bytes;
}

/// A header of QEMU's docs/interop/qcow2, 104 bytes in use.
std::vector<std::byte> qcow2(std::uint32_t version = 3) {
    auto bytes = head("QFI\xfb");
    store_be<std::uint32_t>(bytes, 4, version);
    store_be<std::uint64_t>(bytes, 24, 1 << 30);
    return bytes;
}

}  // namespace

TEST_CASE("packings are recognised by magic, whatever the name says") {
    CHECK(packing_of("a.img", head("\x1f\x8b\x08")) == Packing::gzip);
    CHECK(packing_of("a", head("\xfd"s + "7zXZ\0"s)) == Packing::xz);
    CHECK(packing_of("a.gz", head("\x28\xb5\x2f\xfd")) == Packing::zstd);
    CHECK(packing_of("a.img", head("")) == Packing::none);
    CHECK(packing_of("a.img", {}) == Packing::none);
    CHECK(packing_of("a.XZ", head("no")).error().contains("is named .xz but"));
    CHECK(packing_of("a.qcow2.gz", head("QFI\xfb")).error().contains("is named .gz but"));
}

TEST_CASE("formats are recognised by magic, then by name") {
    struct Row {
        std::string_view name;
        std::vector<std::byte> head;
        Format format;
    };
    for (const Row& row :
         {Row{"a.img", qcow2(), Format::qcow2}, Row{"a.raw", head("KDMV"), Format::vmdk}, Row{"a", head("COWD"), Format::vmdk},
          Row{"a.vmdk", head("# Disk DescriptorFile\n"), Format::vmdk}, Row{"a", head("conectix"), Format::vpc},
          Row{"a.vhd", head("\xeb\x63"), Format::vpc}, Row{"A.VHD.GZ", head(""), Format::vpc}, Row{"a.vpc.zst", head(""), Format::vpc},
          Row{"a", head("vhdxfile"), Format::vhdx}, Row{"a.img", head("CD001", 32769), Format::iso}, Row{"a.iso", head(""), Format::iso},
          Row{"a.img", head(""), Format::raw}, Row{"a", head(""), Format::raw}, Row{"debian-12.5", head(""), Format::raw},
          Row{"a.img", {}, Format::raw}, Row{"a.img", head("QFI", 0, 3), Format::raw}}) {
        CAPTURE(row.name);
        CHECK(format_of(row.name, row.head, "") == row.format);
    }
}

TEST_CASE("what is no disk, or not what its name promises, is told") {
    CHECK(format_of("a.qcow2", head(""), "").error().contains("is named .qcow2 but is no qcow2 image"));
    CHECK(format_of("a.vmdk.xz", head(""), "").error().contains("is named .vmdk"));
    CHECK(format_of("a.img", head("PK\x03\x04"), "").error().contains("is a zip archive"));
    CHECK(format_of("a.ova", head("ustar", 257), "").error().contains("is a tar archive"));
    CHECK(format_of("a.vdi", head("\x7f\x10\xda\xbe", 64), "").error().contains("is a VirtualBox image"));
}

TEST_CASE("a stated format is taken, unless it cannot be") {
    CHECK(format_of("a.qcow2", qcow2(), "raw") == Format::raw);
    CHECK(format_of("a.zip", head("PK\x03\x04"), "raw") == Format::raw);
    CHECK(format_of("a.img", head(""), "vhd") == Format::vpc);
    CHECK(format_of("a.img", head(""), "qcow2").error().contains("is no qcow2 image"));
    CHECK(format_of("a.img", qcow2(), "vmdk").error().contains("is no vmdk image"));
    CHECK(format_of("a.img", head(""), "qed").error() == "there is no format \"qed\"; formats are raw, iso, qcow2, vmdk, vpc, vhdx");
}

TEST_CASE("a qcow2 that names other files or is encrypted is refused by its header") {
    CHECK(refusal_of(Format::qcow2, qcow2()).empty());
    CHECK(refusal_of(Format::qcow2, qcow2(2)).empty());
    CHECK(refusal_of(Format::qcow2, qcow2(1)).contains("version"));
    CHECK(refusal_of(Format::qcow2, head("QFI\xfb", 0, 4)).contains("version"));
    auto bytes = qcow2();
    store_be<std::uint64_t>(bytes, 8, 512);
    CHECK(refusal_of(Format::qcow2, bytes).contains("names a backing file"));
    bytes = qcow2();
    store_be<std::uint32_t>(bytes, 32, 2);
    CHECK(refusal_of(Format::qcow2, bytes).contains("is encrypted"));
    bytes = qcow2();
    store_be<std::uint64_t>(bytes, 72, 4);
    CHECK(refusal_of(Format::qcow2, bytes).contains("data in another file"));
    store_be<std::uint64_t>(bytes, 72, 3);  // dirty and corrupt: qemu-img's business
    CHECK(refusal_of(Format::qcow2, bytes).empty());
}

TEST_CASE("a VMDK of several files and a VHD with a parent are refused") {
    CHECK(refusal_of(Format::vmdk, head("# Disk DescriptorFile\n")).contains("in other files"));
    CHECK(refusal_of(Format::vmdk, head("KDMV")).contains("in other files"));
    CHECK(refusal_of(Format::vmdk, head("KDMV\1\0\0\0\0\0\0\0\0\0\1\0"s)).empty());
    auto bytes = head("conectix");
    store_be<std::uint32_t>(bytes, 60, 3);
    CHECK(refusal_of(Format::vpc, bytes).empty());
    store_be<std::uint32_t>(bytes, 60, 4);
    CHECK(refusal_of(Format::vpc, bytes).contains("parent"));
    CHECK(refusal_of(Format::vpc, head("")).empty());  // fixed: its footer is at the end
    CHECK(refusal_of(Format::raw, head("# Disk DescriptorFile\n")).empty());
}
