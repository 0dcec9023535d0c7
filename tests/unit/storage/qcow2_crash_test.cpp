// Random requests against a model, in any order of completion, with power cuts and kills at every step.
#include <doctest/doctest.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <ranges>

#include "qcow2_rig.hpp"

using namespace diskless;
using namespace diskless::storage;
using namespace diskless::storage::qcow2;

namespace {

const std::array<Shape, 10> shapes{{
    {.cluster_bits = 9, .extended_l2 = false},
    {.cluster_bits = 9, .extended_l2 = false, .disk_bytes = std::uint64_t{4} << 20, .refcount_order = 6},
    {.cluster_bits = 12, .extended_l2 = false},
    {.cluster_bits = 14, .extended_l2 = true, .refcount_order = 0},
    {.cluster_bits = 16, .extended_l2 = false},
    {.cluster_bits = 16, .extended_l2 = false, .backing_bytes = 0},
    {.cluster_bits = 14, .extended_l2 = true},
    {.cluster_bits = 16, .extended_l2 = true},
    {.cluster_bits = 16, .extended_l2 = true, .backing_bytes = 0},
    {.cluster_bits = 18, .extended_l2 = true, .disk_bytes = std::uint64_t{4} << 20, .file_bytes = std::uint64_t{16} << 20},
}};

std::uint64_t seed_of_this_run() {
    const char* given = std::getenv("QCOW2_SEED");
    return given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
}

std::string describe(const Shape& shape) {
    return std::to_string(shape.cluster_bits) + (shape.extended_l2 ? " bits, extended" : " bits") +
           (shape.backing_bytes != 0 ? ", backed" : "");
}

template<class Do>
void for_all_shapes(Do&& run) {
    const std::uint64_t seed = seed_of_this_run();
    for (std::size_t i = 0; i < shapes.size(); ++i) {
        const std::uint64_t own = seed + i;
        CAPTURE(own);
        const std::string shape = describe(shapes[i]);
        CAPTURE(shape);
        run(shapes[i], own);
    }
}

}  // namespace

TEST_CASE("qcow2: what was written is read, in any order of completion, and after closing and opening") {
    for_all_shapes([](const Shape& shape, std::uint64_t seed) {
        Rig rig{shape, seed};
        std::mt19937_64 random{seed};
        for (int round = 0; round < 4; ++round) {
            for (int i = 0; i < 500; ++i) {
                rig.start_one();
                for (auto steps = random() % 6; steps > 0; --steps) rig.step();
            }
            rig.check_contents();
            rig.reopen();
            rig.check_contents();
        }
    });
}

TEST_CASE("qcow2: after a power cut at any step the image is sound and holds what was flushed") {
    for_all_shapes([](const Shape& shape, std::uint64_t seed) {
        Rig rig{shape, seed};
        std::mt19937_64 random{seed};
        for (int i = 0; i < 600; ++i) {
            rig.start_one();
            for (auto steps = random() % 6; steps > 0 && rig.step(); --steps) {
                if (random() % 8 == 0) rig.check_after_power_cut(random());
            }
        }
        rig.check_contents();
    });
}

// Where space comes back nothing is lost; elsewhere nothing that was flushed.
TEST_CASE("qcow2: requests of the file fail at any step") {
    for_all_shapes([](const Shape& shape, std::uint64_t seed) {
        Rig rig{shape, seed};
        rig.may_fail = true;
        std::mt19937_64 random{seed};
        const int error = std::array{ENOSPC, ENOSPC, EIO, EROFS}[seed % 4];
        for (int round = 0; round < 12; ++round) {
            const auto one_in = std::array<std::uint64_t, 3>{1, 3, 20}[random() % 3];
            rig.faults->fail(
                [&random, error, one_in](const IoRequest& request) {
                    const bool needs_no_space = request.kind == IoKind::read || request.kind == IoKind::flush;
                    return (error == EIO || !needs_no_space) && random() % one_in == 0;
                },
                error);
            for (const int i : std::views::iota(0, 40)) {
                rig.start_one();
                for (auto steps = random() % 6; steps > 0 && rig.step(); --steps) {
                    if (random() % 16 == 0) rig.check_after_power_cut(random());
                }
                if (i == 20) rig.faults->fail({}, 0);
            }
            rig.check_contents();
        }
        CHECK(rig.failures > 0);
        const bool durable = rig.flush();
        if (error == ENOSPC) CHECK(durable);
        rig.check_after_power_cut(random());
        if (!durable) return;
        rig.reopen();
        rig.check_contents();
    });
}

TEST_CASE("qcow2: a killed server loses nothing that it acknowledged") {
    std::string folder = (std::filesystem::temp_directory_path() / "diskless-XXXXXX").string();
    REQUIRE(::mkdtemp(folder.data()) != nullptr);
    for_all_shapes([&](const Shape& shape, std::uint64_t seed) {
        std::filesystem::remove(folder + "/journal");
        Rig rig{shape, seed, folder + "/journal"};
        std::mt19937_64 random{seed};
        for (int i = 0; i < 500; ++i) {
            rig.start_one();
            for (auto steps = random() % 6; steps > 0 && rig.step(); --steps) {
                if (random() % 16 == 0) rig.check_after_kill();
            }
        }
        rig.check_contents();
    });
    std::filesystem::remove_all(folder);
}
