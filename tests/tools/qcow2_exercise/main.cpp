// qcow2_exercise: the qcow2 engine on real files, for tests and for looking around. Errors are one line and exit status 1.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <fstream>
#include <iostream>

#include "common/log.hpp"
#include "storage/blocking.hpp"
#include "storage/qcow2/create.hpp"
#include "tests/tools/qcow2_exercise/disks.hpp"
#include "tests/tools/qcow2_exercise/workload.hpp"

namespace {

using namespace diskless;
using namespace diskless::exercise;
using namespace diskless::storage;
namespace options = boost::program_options;

constexpr const char* usage =
    "qcow2_exercise create IMAGE --size BYTES [--cluster-bits N] [--plain-l2] [--deflate] [--backing NAME --backing-format raw|qcow2]\n"
    "qcow2_exercise info IMAGE\n"
    "qcow2_exercise dump IMAGE RAW                 the whole disk\n"
    "qcow2_exercise verify IMAGE RAW [--journal J] after a kill, too: the image is opened for writing, and put right\n"
    "qcow2_exercise run IMAGE RAW --seed N --operations N [--threads N] [--journal J] [--may-fail]\n"
    "qcow2_exercise write IMAGE --at BYTES --size BYTES --byte N   (also: zero, discard; each flushed)\n"
    "qcow2_exercise grow IMAGE --size BYTES\n";

struct Arguments {
    std::string verb, image, raw, backing, backing_format, journal, backend;
    std::uint64_t size = 0, at = 0, cache = std::uint64_t{64} << 20;
    unsigned cluster_bits = 16, byte = 0;
    bool plain_l2 = false, deflate = false, read_only = false;
    Plan plan;
};

std::optional<Arguments> parse(int argc, char** argv) {
    Arguments a;
    options::options_description described{usage};
    described.add_options()                                                                                        //
        ("verb", options::value(&a.verb)->required(), "")                                                          //
        ("image", options::value(&a.image)->required(), "")                                                        //
        ("raw", options::value(&a.raw), "")                                                                        //
        ("size", options::value(&a.size), "bytes")                                                                 //
        ("at", options::value(&a.at), "bytes")                                                                     //
        ("byte", options::value(&a.byte), "to write")                                                              //
        ("cluster-bits", options::value(&a.cluster_bits), "9 to 21")                                               //
        ("plain-l2", options::bool_switch(&a.plain_l2), "no subclusters")                                          //
        ("deflate", options::bool_switch(&a.deflate), "not zstd")                                                  //
        ("backing", options::value(&a.backing), "a name in the image's folder")                                    //
        ("backing-format", options::value(&a.backing_format), "raw or qcow2")                                      //
        ("journal", options::value(&a.journal), "a file; none: a killed process loses what no flush has covered")  //
        ("cache", options::value(&a.cache), "bytes of second-level tables")                                        //
        ("backend", options::value(&a.backend)->default_value("threads"), "threads or uring")                      //
        ("seed", options::value(&a.plan.seed), "")                                                                 //
        ("operations", options::value(&a.plan.operations), "")                                                     //
        ("threads", options::value(&a.plan.threads), "each with one operation under way, at most 64")              //
        ("area", options::value(&a.plan.area_bytes), "bytes at the beginning that get half of the operations")     //
        ("may-fail", options::bool_switch(&a.plan.may_fail), "operations may find no space")                       //
        ("read-only", options::bool_switch(&a.read_only), "verify without opening for writing")                    //
        ("help,h", "");
    options::positional_options_description places;
    places.add("verb", 1).add("image", 1).add("raw", 1);
    options::variables_map given;
    options::store(options::command_line_parser{argc, argv}.options(described).positional(places).run(), given);
    if (given.contains("help")) {
        std::cout << described;
        return std::nullopt;
    }
    options::notify(given);
    return a;
}

void fail_at(const boost::system::error_code& error) {
    if (error) throw std::runtime_error{error.message()};
}

void create(const Arguments& a, const std::shared_ptr<Backend>& backend) {
    const int fd = ::open(a.image.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (fd < 0) throw std::runtime_error{a.image + ": cannot be made"};
    ::close(fd);
    fail_at(qcow2::create(*open_file(a.image, false, backend),
                          {.size_bytes = a.size,
                           .cluster_bits = a.cluster_bits,
                           .extended_l2 = !a.plain_l2,
                           .compression = a.deflate ? qcow2::Compression::deflate : qcow2::Compression::zstd,
                           .backing_name = a.backing,
                           .backing_format = a.backing_format}));
}

void info(const qcow2::Image& image) {
    const qcow2::Header& h = image.header();
    fmt::print(
        "version={} cluster_bits={} size={} l1_entries={} extended_l2={} refcount_bits={} compression={} incompatible={} compatible={} "
        "autoclear={} snapshots={} backing=\"{}\" backing_format=\"{}\" extensions={}\n",
        h.version, h.cluster_bits, h.size_bytes, h.l1_entries, h.has_extended_l2(), 1u << h.refcount_order,
        h.compression == qcow2::Compression::zstd ? "zstd" : "deflate", h.incompatible, h.compatible, h.autoclear, h.snapshot_count,
        h.backing_name, h.backing_format, h.extensions.size());
}

void dump(BlockDevice& disk, const std::string& to) {
    std::ofstream out{to, std::ios::binary | std::ios::trunc};
    std::vector<std::byte> chunk;
    for (std::uint64_t at = 0; at < disk.geometry().size_bytes; at += chunk.size()) {
        chunk.resize(std::min<std::uint64_t>(std::uint64_t{1} << 20, disk.geometry().size_bytes - at));
        fail_at(read_now(disk, at, chunk));
        out.write(reinterpret_cast<const char*>(chunk.data()), static_cast<std::streamsize>(chunk.size()));
    }
    if (!out.flush()) throw std::runtime_error{to + ": cannot be written"};
}

/// One operation and a flush.
void change(BlockDevice& disk, const Arguments& a) {
    BlockingRequest request;
    request.kind = a.verb == "write" ? IoKind::write : a.verb == "zero" ? IoKind::write_zeroes : IoKind::discard;
    request.offset_bytes = a.at;
    request.length_bytes = a.size;
    std::vector<std::byte> data(a.verb == "write" ? a.size : 0, static_cast<std::byte>(a.byte));
    const iovec piece{data.data(), data.size()};
    if (!data.empty()) request.buffers = {&piece, 1};
    fail_at(request.run(disk));
    fail_at(flush_now(disk));
}

void perform(const Arguments& a) {
    const auto backend = make_backend(a.backend, 4);
    if (a.verb == "create") return create(a, backend);
    const bool reads = a.verb == "info" || a.verb == "dump" || a.read_only;
    const auto image =
        open_image(a.image, {.read_only = reads, .cache = std::make_shared<qcow2::CacheLimit>(a.cache), .journal = a.journal}, backend);
    if (a.verb == "info") return info(*image);
    if (a.verb == "dump") return dump(*image, a.raw);
    if (a.verb == "verify") return Workload{*image, a.raw}.verify();
    if (a.verb == "grow") return fail_at(image->grow(a.size));
    if (a.verb == "write" || a.verb == "zero" || a.verb == "discard") return change(*image, a);
    if (a.verb != "run") throw std::runtime_error{usage};
    Workload workload{*image, a.raw};
    workload.run(a.plan);
    fmt::print("failures={} cached_bytes={}\n", workload.failures(), image->usage().cached_bytes);
}

}  // namespace

int main(int argc, char** argv) {
    spdlog::set_level(spdlog::level::warn);
    try {
        if (const auto arguments = parse(argc, argv)) perform(*arguments);
        return 0;
    } catch (const std::exception& e) {
        std::cerr << "qcow2_exercise: " << e.what() << '\n';
        return 1;
    }
}
