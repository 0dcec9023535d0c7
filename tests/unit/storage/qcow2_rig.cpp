#include "qcow2_rig.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>

#include "storage/blocking.hpp"
#include "storage/qcow2/references.hpp"

namespace diskless::storage::qcow2 {
namespace {

void stamp_sectors(MutableByteSpan bytes, Stamp stamp) {
    for (std::size_t at = 0; at < bytes.size(); at += sizeof stamp) std::memcpy(bytes.data() + at, &stamp, sizeof stamp);
}

/// The stamp, or a number that nobody wrote when the sector is torn.
Stamp stamp_in(ByteSpan sector) {
    Stamp first = 0;
    std::memcpy(&first, sector.data(), sizeof first);
    for (std::size_t at = 0; at < sector.size(); at += sizeof first) {
        if (std::memcmp(sector.data() + at, &first, sizeof first) != 0) return ~Stamp{0};
    }
    return first;
}

}  // namespace

Started WholeSectors::start(IoRequest& request) noexcept {
    const std::uint64_t first = request.offset_bytes / sector_bytes * sector_bytes;
    const std::uint64_t end = (request.offset_bytes + request.length_bytes + sector_bytes - 1) / sector_bytes * sector_bytes;
    if (request.kind != IoKind::write || end - first == request.length_bytes) return below_->start(request);
    std::vector<std::byte> whole(end - first);
    request.error = read_now(*below_, first, whole);
    std::size_t at = request.offset_bytes - first;
    for (const iovec& buffer : request.buffers) {
        std::memcpy(whole.data() + at, buffer.iov_base, buffer.iov_len);
        at += buffer.iov_len;
    }
    if (!request.error) request.error = write_now(*below_, first, whole);
    return Started::completed;
}

class Rig::Request final : public IoRequest {
 public:
    Request(Rig& owner, IoKind what, std::uint64_t sector, std::uint64_t sectors, Stamp with)
        : rig{owner}, first{sector}, count{sectors}, stamp{with} {
        kind = what;
        offset_bytes = sector * sector_bytes;
        length_bytes = sectors * sector_bytes;
        data.resize(what == IoKind::read || what == IoKind::write ? length_bytes : 0);
        if (what == IoKind::write) stamp_sectors(data, with);
        const std::size_t half = data.size() / 2;
        pieces = {iovec{data.data(), half}, iovec{data.data() + half, data.size() - half}};
        if (!data.empty()) buffers = pieces;
    }
    void completed() noexcept override { rig.completed(*this); }

    Rig& rig;
    std::uint64_t first, count;
    Stamp stamp;
    std::vector<std::byte> data;
    std::array<iovec, 2> pieces{};
    std::vector<std::size_t> covered;  ///< flush: the current value of every sector when it was started
    bool done = false;
};

Rig::Rig(const Shape& wanted, std::uint64_t seed, std::filesystem::path journal)
    : shape{wanted}, random_{seed}, journal_{std::move(journal)} {
    memory = std::make_shared<MemoryDevice>(Geometry{.size_bytes = shape.file_bytes, .can_discard = true});
    disk = std::make_shared<CrashDevice>(memory, seed);
    sectors = std::make_shared<WholeSectors>(disk);
    faults = std::make_shared<FaultDevice>(sectors);
    file = std::make_shared<Shuffled>(faults, seed + 1);
    if (shape.backing_bytes != 0) {
        backing = std::make_shared<MemoryDevice>(Geometry{.size_bytes = shape.backing_bytes});
        for (std::uint64_t sector = 0; sector < shape.backing_bytes / sector_bytes; ++sector)
            stamp_sectors(backing->contents().subspan(sector * sector_bytes, sector_bytes), sector + 1);
    }
    sectors_.resize(shape.disk_bytes / sector_bytes);
    for (std::uint64_t i = 0; i < sectors_.size(); ++i) sectors_[i].values = {i < shape.backing_bytes / sector_bytes ? i + 1 : 0};
    under_way_.resize(sectors_.size());
    make_image();
    image = open(file, journal_, false);
    file->at_once = false;
}

// Other widths of counts are other programs' to choose: one table of one cluster, and the blocks that its first clusters need.
void Rig::make_image() {
    if (shape.refcount_order == 4) {
        REQUIRE_FALSE(create(*file, {.size_bytes = shape.disk_bytes,
                                     .cluster_bits = shape.cluster_bits,
                                     .extended_l2 = shape.extended_l2,
                                     .backing_name = shape.backing_bytes != 0 ? "base" : "",
                                     .backing_format = "raw"}));
        return;
    }
    Header header{.cluster_bits = shape.cluster_bits,
                  .size_bytes = shape.disk_bytes,
                  .refcount_table_clusters = 1,
                  .incompatible = shape.extended_l2 ? incompatible::extended_l2 : 0,
                  .refcount_order = shape.refcount_order,
                  .backing_name = shape.backing_bytes != 0 ? "base" : "",
                  .backing_format = "raw"};
    const Layout layout{header};
    header.refcount_table_offset = layout.cluster_bytes;
    header.l1_entries = static_cast<std::uint32_t>((shape.disk_bytes + layout.l2_reach() - 1) / layout.l2_reach());
    const std::uint64_t l1_clusters = layout.round_up(header.l1_entries * std::uint64_t{8}) >> layout.cluster_bits;
    std::uint64_t blocks = 1;
    while (blocks * layout.counts_per_block < 2 + blocks + l1_clusters) ++blocks;
    header.l1_offset = (2 + blocks) << layout.cluster_bits;
    REQUIRE_FALSE(write_now(*file, 0, encode_header(header)));
    std::vector<std::byte> table(layout.cluster_bytes), counts(blocks << layout.cluster_bits);
    for (std::uint64_t i = 0; i < blocks; ++i) store_be(MutableByteSpan{table}, i * 8, (2 + i) << layout.cluster_bits);
    for (std::uint64_t i = 0; i < 2 + blocks + l1_clusters; ++i) store_count(counts, i, layout.refcount_bits, 1);
    REQUIRE_FALSE(write_now(*file, layout.cluster_bytes, table));
    REQUIRE_FALSE(write_now(*file, std::uint64_t{2} << layout.cluster_bits, counts));
    REQUIRE_FALSE(flush_now(*file));
}

Rig::~Rig() {
    drain();
    file->at_once = true;
}

std::shared_ptr<Image> Rig::open(std::shared_ptr<BlockDevice> below, const std::filesystem::path& journal, bool read_only) const {
    return Image::open(std::move(below), {.read_only = read_only, .journal = journal},
                       [this](const std::string&, const std::string&) { return backing; });
}

bool Rig::flush() {
    drain();
    file->at_once = true;
    const bool durable = !flush_now(*image);
    file->at_once = false;
    return durable;
}

void Rig::reopen() {
    drain();
    file->at_once = true;
    image.reset();
    image = open(file, journal_, false);
    file->at_once = false;
    // A clean end is durable.
    for (Sector& sector : sectors_) {
        sector.values.erase(sector.values.begin(), sector.values.begin() + static_cast<std::ptrdiff_t>(sector.current));
        sector.current = 0;
    }
}

void Rig::start_one() {
    std::erase_if(requests_, [](const auto& request) { return request->done; });
    const auto roll = random_() % 100;
    const IoKind kind = roll < 25   ? IoKind::read
                        : roll < 75 ? IoKind::write
                        : roll < 85 ? IoKind::discard
                        : roll < 92 ? IoKind::write_zeroes
                                    : IoKind::flush;
    std::uint64_t first = 0, count = 0;
    if (kind != IoKind::flush) {
        // Mostly small ones in few places, so that they meet.
        const bool large = random_() % 8 == 0;
        count = 1 + random_() % (large ? 512 : random_() % 4 == 0 ? 40 : 8);
        first = random_() % (large ? sectors_.size() : std::min<std::uint64_t>(sectors_.size(), 1024));
        if (random_() % 2 == 0) first &= ~std::uint64_t{7};
        count = std::min(count, sectors_.size() - first);
        for (std::uint64_t i = first; i < first + count; ++i) {
            if (under_way_[i]) return;
        }
    }
    const bool zeroes = kind == IoKind::discard || kind == IoKind::write_zeroes;
    auto made = std::make_unique<Request>(*this, kind, first, count, zeroes ? 0 : next_stamp_++);
    Request& request = *made;
    requests_.push_back(std::move(made));
    request.force_unit_access = kind == IoKind::write && random_() % 16 == 0;
    request.may_discard = random_() % 2 == 0;
    if (kind == IoKind::flush) {
        for (const Sector& sector : sectors_) request.covered.push_back(sector.current);
    }
    for (std::uint64_t i = first; i < first + count; ++i) {
        under_way_[i] = true;
        if (kind == IoKind::write || zeroes) sectors_[i].values.push_back(request.stamp);
    }
    if (image->start(request) == Started::completed) completed(request);
}

// What failed may be there or not; a read finds one of both from then on.
void Rig::settle(std::uint64_t index, Stamp, bool failed) {
    Sector& sector = sectors_[index];
    if (!failed) sector.current = sector.values.size() - 1;
}

void Rig::completed(Request& request) {
    request.done = true;
    if (request.error) {
        ++failures;
        CHECK_MESSAGE(may_fail, request.error.message());
    }
    for (std::uint64_t i = request.first; i < request.first + request.count; ++i) {
        under_way_[i] = false;
        Sector& sector = sectors_[i];
        if (request.kind == IoKind::read) {
            if (request.error) continue;
            const Stamp found = stamp_in(ByteSpan{request.data}.subspan((i - request.first) * sector_bytes, sector_bytes));
            const bool is_right = std::find(sector.values.begin() + static_cast<std::ptrdiff_t>(sector.current), sector.values.end(),
                                            found) != sector.values.end();
            if (!is_right) CHECK_MESSAGE(is_right, "sector ", i, " holds ", found, " and not ", sector.values[sector.current]);
        } else {
            settle(i, request.stamp, static_cast<bool>(request.error));
            if (request.force_unit_access && !request.error) sector = {.values = {request.stamp}};
        }
    }
    if (request.kind == IoKind::flush && !request.error) {
        for (std::size_t i = 0; i < sectors_.size(); ++i) {
            // Values of before the flush are gone, unless a later one (FUA, another flush) has dropped them already.
            Sector& sector = sectors_[i];
            const std::size_t drop = std::min(request.covered[i], sector.current);
            if (request.covered[i] > sector.current) continue;
            sector.values.erase(sector.values.begin(), sector.values.begin() + static_cast<std::ptrdiff_t>(drop));
            sector.current -= drop;
            // Other flushes under way count from the same beginning.
            for (const auto& other : requests_) {
                if (other.get() != &request && !other->done && !other->covered.empty())
                    other->covered[i] -= std::min(other->covered[i], drop);
            }
        }
    }
    if (request.force_unit_access && !request.error) {
        for (const auto& other : requests_) {
            if (other->done || other->covered.empty()) continue;
            for (std::uint64_t i = request.first; i < request.first + request.count; ++i) other->covered[i] = 0;
        }
    }
}

std::shared_ptr<MemoryDevice> Rig::device_of(std::vector<std::byte> contents) const {
    auto device = std::make_shared<MemoryDevice>(Geometry{.size_bytes = shape.file_bytes, .can_discard = true});
    std::ranges::copy(contents, device->contents().begin());
    return device;
}

void Rig::check_disk(Image& opened, const std::function<bool(std::uint64_t, Stamp)>& is_right) const {
    std::vector<std::byte> all(shape.disk_bytes);
    REQUIRE_FALSE(read_now(opened, 0, all));
    for (std::uint64_t i = 0; i < sectors_.size(); ++i) {
        const Stamp found = stamp_in(ByteSpan{all}.subspan(i * sector_bytes, sector_bytes));
        if (!is_right(i, found)) {
            std::string possible;
            for (const Stamp stamp : sectors_[i].values) possible += std::to_string(stamp) + " ";
            FAIL_CHECK("sector ", i, " holds ", found, ", possible: ", possible, "current: ", sectors_[i].values[sectors_[i].current]);
            return;
        }
    }
}

// Nothing is used that is not counted, and nothing twice. Leaks are allowed.
void Rig::check_sound(BlockDevice& below, Image& opened) const {
    const Header& header = opened.header();
    const auto l1 = read_words(below, header.l1_offset, header.l1_entries);
    const auto table =
        read_words(below, header.refcount_table_offset, (std::uint64_t{header.refcount_table_clusters} << header.cluster_bits) / 8);
    REQUIRE(l1);
    REQUIRE(table);
    auto masked = *table;
    const auto references = References::walk(below, header, *l1, masked, shape.file_bytes);
    REQUIRE_MESSAGE(references, references.error());
    const Layout layout{header};
    for (std::uint64_t cluster = 0; cluster < references->end(); ++cluster) {
        const std::uint64_t wanted = references->to(cluster);
        if (wanted == 0) continue;
        CHECK_MESSAGE(wanted == 1, "cluster ", cluster, " is used ", wanted, " times");
        const std::uint64_t block = (*table)[cluster / layout.counts_per_block];
        std::vector<std::byte> bytes(layout.cluster_bytes);
        REQUIRE_MESSAGE(block != 0, "cluster ", cluster, " of ", references->end(), " has no refcount block");
        REQUIRE_FALSE(read_now(below, block, bytes));
        const auto count = load_count(bytes, cluster % layout.counts_per_block, layout.refcount_bits);
        if (count != 1) FAIL_CHECK("cluster ", cluster, " is counted ", count, " times");
    }
}

void Rig::check_contents() {
    drain();
    file->at_once = true;
    check_disk(*image, [this](std::uint64_t i, Stamp found) {
        const Sector& sector = sectors_[i];
        return std::find(sector.values.begin() + static_cast<std::ptrdiff_t>(sector.current), sector.values.end(), found) !=
               sector.values.end();
    });
    file->at_once = false;
}

void Rig::check_after_power_cut(std::uint64_t crash_seed) const {
    const auto copy = device_of(disk->after_crash(memory->contents(), crash_seed));
    const auto opened = open(copy, {}, true);
    check_sound(*copy, *opened);
    check_disk(*opened, [this](std::uint64_t i, Stamp found) {
        const auto& values = sectors_[i].values;
        return std::ranges::find(values, found) != values.end();
    });
}

void Rig::check_after_kill() const {
    const ByteSpan now = memory->contents();
    const auto copy = device_of({now.begin(), now.end()});
    const std::filesystem::path journal = journal_.string() + ".copy";
    std::filesystem::copy_file(journal_, journal, std::filesystem::copy_options::overwrite_existing);
    auto opened = open(copy, journal, false);
    check_disk(*opened, [this](std::uint64_t i, Stamp found) {
        const Sector& sector = sectors_[i];
        return std::find(sector.values.begin() + static_cast<std::ptrdiff_t>(sector.current), sector.values.end(), found) !=
               sector.values.end();
    });
    // It goes on, too.
    std::vector<std::byte> bytes(sector_bytes * 3);
    CHECK_FALSE(write_now(*opened, shape.disk_bytes / 2 + sector_bytes, bytes));
    opened.reset();
    const auto again = open(copy, journal, true);
    check_sound(*copy, *again);
    std::filesystem::remove(journal);
}

}  // namespace diskless::storage::qcow2
