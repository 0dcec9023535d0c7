#include "services/iscsi/scsi/mode_pages.hpp"

#include <algorithm>
#include <limits>

#include "services/iscsi/scsi/sense.hpp"

namespace diskless::scsi {
namespace {

enum class PageControl : std::uint8_t { current, changeable, defaults, saved };

struct Context {
    PageControl control;
    const ModeState& state;
};

void header(ByteWriter& out, std::uint8_t page, std::uint8_t length) {
    out.u8(page);
    out.u8(length);
}

// SBC-3 6.5.8
void read_write_error_recovery(ByteWriter& out, const Context&) {
    header(out, 0x01, 10);
    out.zeros(10);
}

// SBC-3 6.5.5: the page cache is a volatile write cache, and SYNCHRONIZE CACHE and FUA mean what they say.
void caching(ByteWriter& out, const Context& context) {
    header(out, 0x08, 18);
    out.u8(context.control == PageControl::changeable ? 0 : 0x04);  // WCE
    out.zeros(17);
}

// SPC-4 7.5.8
void control_page(ByteWriter& out, const Context& context) {
    const bool changeable = context.control == PageControl::changeable;
    const bool current = context.control == PageControl::current;
    header(out, 0x0a, 10);
    out.u8(changeable || (current && context.state.descriptor_sense) ? 0x04 : 0);        // D_SENSE
    out.u8(changeable ? 0 : 0x10);                                                       // unrestricted reordering
    out.u8(changeable || (current && context.state.software_write_protect) ? 0x08 : 0);  // SWP
    out.zeros(3);
    out.be<std::uint16_t>(changeable ? 0 : 0xffff);  // busy timeout: unlimited
    out.be<std::uint16_t>(0);
}

// SPC-4 7.5.11
void informational_exceptions(ByteWriter& out, const Context&) {
    header(out, 0x1c, 10);
    out.zeros(10);
}

struct Page {
    std::uint8_t code;
    void (*write)(ByteWriter&, const Context&);
};
constexpr std::array page_table{Page{0x01, read_write_error_recovery}, Page{0x08, caching}, Page{0x0a, control_page},
                                Page{0x1c, informational_exceptions}};
constexpr std::uint8_t all_pages = 0x3f;

void block_descriptor(ByteWriter& out, const storage::Geometry& geometry, bool long_lba) {
    const std::uint64_t blocks = geometry.size_bytes / geometry.logical_block_bytes;
    if (long_lba) {
        out.be(blocks);
        out.zeros(4);
        out.be(geometry.logical_block_bytes);
    } else {
        out.be(static_cast<std::uint32_t>(std::min<std::uint64_t>(blocks, std::numeric_limits<std::uint32_t>::max())));
        out.be(geometry.logical_block_bytes);  // the high byte is reserved and zero
    }
}

}  // namespace

void mode_sense(Command& command, const storage::Geometry& geometry, const ModeState& state) {
    const bool ten = load_be<std::uint8_t>(command.cdb, 0) == 0x5a;
    const auto flags = load_be<std::uint8_t>(command.cdb, 1);
    const auto page_byte = load_be<std::uint8_t>(command.cdb, 2);
    const auto subpage = load_be<std::uint8_t>(command.cdb, 3);
    const auto page = static_cast<std::uint8_t>(page_byte & 0x3f);
    const Context context{static_cast<PageControl>(page_byte >> 6), state};
    if (context.control == PageControl::saved) return command.fail(SenseKey::illegal_request, asc::saving_parameters_not_supported);
    const bool known = page == all_pages || std::ranges::any_of(page_table, [page](const Page& p) { return p.code == page; });
    if (!known) return command.fail_field(2);
    if (subpage != 0 && subpage != 0xff) return command.fail_field(3);

    const bool with_descriptor = (flags & 0x08) == 0;  // DBD
    const bool long_lba = ten && (flags & 0x10) != 0;  // LLBAA
    const std::size_t descriptor_bytes = with_descriptor ? (long_lba ? 16 : 8) : 0;
    const std::size_t header_bytes = ten ? 8 : 4;
    std::array<std::byte, 256> room{};
    ByteWriter out{room};
    out.zeros(header_bytes);
    if (with_descriptor) block_descriptor(out, geometry, long_lba);
    for (const Page& p : page_table) {
        if (page == all_pages || page == p.code) p.write(out, context);
    }
    const bool protect = geometry.read_only || state.software_write_protect;
    const auto device_specific = static_cast<std::uint8_t>((protect ? 0x80 : 0) | 0x10);  // WP, DPOFUA
    if (ten) {
        store_be(room, 0, static_cast<std::uint16_t>(out.size() - 2));
        store_be(room, 3, device_specific);
        store_be<std::uint8_t>(room, 4, long_lba ? 1 : 0);
        store_be(room, 6, static_cast<std::uint16_t>(descriptor_bytes));
    } else {
        store_be(room, 0, static_cast<std::uint8_t>(out.size() - 1));
        store_be(room, 2, device_specific);
        store_be(room, 3, static_cast<std::uint8_t>(descriptor_bytes));
    }
    const ByteSpan answer = out.written().first(std::min(out.size(), command.data.size()));
    std::ranges::copy(answer, command.data.begin());
    command.data_in_bytes = answer.size();
}

namespace {

/// One page as an initiator wants it. False: it asks for what cannot be changed, or is no page of ours.
bool select_page(ByteSpan page, ModeState& state) {
    const auto code = static_cast<std::uint8_t>(load_be<std::uint8_t>(page, 0) & 0x7f);  // PS is not for us to look at
    const auto known = std::ranges::find(page_table, code, &Page::code);
    if (known == page_table.end()) return false;
    std::array<std::byte, 32> current_room{}, changeable_room{};
    ByteWriter current{current_room}, changeable{changeable_room};
    known->write(current, {PageControl::current, state});
    known->write(changeable, {PageControl::changeable, state});
    if (page.size() != current.size()) return false;
    for (std::size_t i = 2; i < page.size(); ++i) {
        if (((page[i] ^ current_room[i]) & ~changeable_room[i]) != std::byte{0}) return false;
    }
    constexpr std::uint8_t control_mode_page = 0x0a;
    if (code == control_mode_page) {
        state.descriptor_sense = (load_be<std::uint8_t>(page, 2) & 0x04) != 0;
        state.software_write_protect = (load_be<std::uint8_t>(page, 4) & 0x08) != 0;
    }
    return true;
}

}  // namespace

// SPC-4 6.9, 7.5.5: a header, perhaps a block descriptor (which may only say what is), then pages.
std::optional<ModeState> mode_select(Command& command, const storage::Geometry& geometry, const ModeState& state) {
    const bool ten = load_be<std::uint8_t>(command.cdb, 0) == 0x55;
    const auto flags = load_be<std::uint8_t>(command.cdb, 1);
    constexpr std::uint8_t save_pages = 0x01;
    constexpr std::uint8_t page_format = 0x10;
    if ((flags & save_pages) != 0 || (flags & page_format) == 0) {
        command.fail_field(1);
        return std::nullopt;
    }
    const ByteSpan list = command.data;
    if (list.empty()) return state;
    const std::size_t header_bytes = ten ? 8 : 4;
    const auto fail = [&](std::uint16_t asc_ascq) {
        command.fail(SenseKey::illegal_request, asc_ascq);
        return std::nullopt;
    };
    if (list.size() < header_bytes) return fail(asc::parameter_list_length_error);
    const std::size_t descriptor_bytes = ten ? load_be<std::uint16_t>(list, 6) : load_be<std::uint8_t>(list, 3);
    if (list.size() < header_bytes + descriptor_bytes) return fail(asc::parameter_list_length_error);
    if (descriptor_bytes != 0) {
        const bool long_lba = ten && (load_be<std::uint8_t>(list, 4) & 1) != 0;
        if (descriptor_bytes != (long_lba ? 16 : 8)) return fail(asc::invalid_field_in_parameter_list);
        const auto block_bytes = load_be<std::uint32_t>(list, header_bytes + descriptor_bytes - 4) & 0xffffff;
        if (block_bytes != geometry.logical_block_bytes) return fail(asc::invalid_field_in_parameter_list);
    }
    ModeState wanted = state;
    for (ByteSpan pages = list.subspan(header_bytes + descriptor_bytes); !pages.empty();) {
        if (pages.size() < 2) return fail(asc::parameter_list_length_error);
        const std::size_t page_bytes = 2 + std::size_t{load_be<std::uint8_t>(pages, 1)};
        if (page_bytes > pages.size()) return fail(asc::parameter_list_length_error);
        if (!select_page(pages.first(page_bytes), wanted)) return fail(asc::invalid_field_in_parameter_list);
        pages = pages.subspan(page_bytes);
    }
    return wanted;
}

}  // namespace diskless::scsi
