// Images, imports, disks and snapshots come back as they were kept, also in the next process.
#include "db/images.hpp"

#include <doctest/doctest.h>

#include "db/disks.hpp"
#include "db/instant.hpp"
#include "scratch.hpp"

using namespace diskless;
using namespace diskless::db;
using boot::ImportJob;

namespace {

constexpr auto noon = instant_of(1'770'000'000'123);

boot::ImageRecord debian() {
    return {.name = "debian-12",
            .versions = {{.number = 1,
                          .file = "/srv/debian.qcow2",
                          .format = boot::DiskFormat::qcow2,
                          .size_bytes = 1ULL << 40,
                          .created = noon,
                          .source = "declared",
                          .state = boot::VersionState::leaving},
                         {.number = 3,
                          .file = "images/debian-12/3.raw",
                          .size_bytes = 4096,
                          .digest = "sha256:00",
                          .description = "with \"quotes\" and ü",
                          .created = noon,
                          .source = "/root/x.vmdk.xz"}},
            .published = {1, 3, 1, 3}};
}

ImportJob job(std::string image) {
    ImportJob made;
    made.image = std::move(image);
    made.source = "/root/x.gz";
    made.format = "vmdk";
    made.description = "why";
    made.publish = false;
    made.created = noon;
    return made;
}

boot::DiskRecord disk(std::string owner, std::uint16_t lun, std::string image = {}, unsigned version = 0) {
    return {.owner = std::move(owner),
            .lun = lun,
            .file = "disks/x.qcow2",
            .image = std::move(image),
            .version = version,
            .mode = boot::DiskMode::ephemeral,
            .size_bytes = 1ULL << 41,
            .created = noon};
}

struct Stores {
    explicit Stores(const DataDir& data) : database{data.path(), counters} {}
    CounterRegistry counters;
    Database database;
    ImageStore images{database};
    DiskStore disks{database};
};

}  // namespace

TEST_CASE("an image comes back, in the next process too") {
    const DataDir data;
    {
        Stores stores{data};
        CHECK(stores.images.images().empty());
        stores.images.save(debian(), nullptr);
        boot::ImageRecord other = debian();
        other.name = "alpine";
        other.published.clear();
        stores.images.save(other, nullptr);
        stores.images.save(debian(), nullptr);
    }
    Stores stores{data};
    const auto images = stores.images.images();
    REQUIRE(images.size() == 2);
    CHECK(images[0].name == "alpine");
    CHECK(images[0].published.empty());
    CHECK(images[1] == debian());
}

TEST_CASE("imports come back in order, with what they know") {
    const DataDir data;
    Stores stores{data};
    CHECK(stores.images.save(job("a")) == 1);
    ImportJob second = job("b");
    second.id = stores.images.save(second);
    CHECK(second.id == 2);
    second.state = ImportJob::State::storing;
    second.warning = "odd";
    second.result = {.number = 7, .file = "images/b/7.raw", .size_bytes = 512, .digest = "sha256:11", .created = {}};
    second.safe_bytes = 1ULL << 33;
    second.source_mark = "mark";
    CHECK(stores.images.save(second) == 2);
    const auto jobs = stores.images.imports();
    REQUIRE(jobs.size() == 2);
    CHECK(jobs[0].image == "a");
    CHECK(jobs[0].source == "/root/x.gz");
    CHECK(jobs[0].format == "vmdk");
    CHECK(jobs[0].description == "why");
    CHECK_FALSE(jobs[0].publish);
    CHECK(jobs[0].created == noon);
    CHECK(jobs[0].state == ImportJob::State::waiting);
    CHECK(jobs[1].state == ImportJob::State::storing);
    CHECK(jobs[1].warning == "odd");
    CHECK(jobs[1].result == second.result);
    CHECK(jobs[1].safe_bytes == 1ULL << 33);
    CHECK(jobs[1].source_mark == "mark");
}

TEST_CASE("a version and the end of its import are one commit") {
    const DataDir data;
    Stores stores{data};
    ImportJob import = job("debian-12");
    import.id = stores.images.save(import);
    import.state = ImportJob::State::done;
    boot::ImageRecord broken = debian();
    broken.versions.push_back(broken.versions.back());  // the same number twice
    CHECK_THROWS_AS(stores.images.save(broken, &import), StoreError);
    CHECK(stores.images.images().empty());
    CHECK(stores.images.imports().at(0).state == ImportJob::State::waiting);
    stores.images.save(debian(), &import);
    CHECK(stores.images.images().size() == 1);
    CHECK(stores.images.imports().at(0).state == ImportJob::State::done);
}

TEST_CASE("imports that are over are forgotten in the end, others never") {
    const DataDir data;
    Stores stores{data};
    ImportJob over = job("a");
    over.state = ImportJob::State::failed;
    (void)stores.images.save(job("waits"));
    for (int i = 0; i < ImageStore::max_imports_over + 5; ++i) (void)stores.images.save(over);
    const auto jobs = stores.images.imports();
    CHECK(jobs.size() == ImageStore::max_imports_over + 1);
    CHECK(jobs.front().image == "waits");
}

TEST_CASE("disks and snapshots") {
    const DataDir data;
    Stores stores{data};
    stores.images.save(debian(), nullptr);
    stores.disks.put(disk("desk-01", 1));
    stores.disks.put(disk("desk-01", 0, "debian-12", 3));
    stores.disks.put(disk("desk-02", 0, "debian-12", 1));
    CHECK(stores.disks.disks() == std::vector{disk("desk-01", 0, "debian-12", 3), disk("desk-01", 1), disk("desk-02", 0, "debian-12", 1)});
    CHECK(stores.disks.disks_of_version("debian-12", 3) == std::vector{disk("desk-01", 0, "debian-12", 3)});
    CHECK(stores.disks.disks_of_version("debian-12", 2).empty());

    const boot::SnapshotRecord first{.owner = "desk-01", .lun = 0, .name = "before", .file = "disks/s1", .created = noon};
    boot::SnapshotRecord second = first;
    second.name = "after";
    second.created += std::chrono::seconds{1};
    stores.disks.put(second);
    stores.disks.put(first);
    CHECK(stores.disks.snapshots("desk-01", 0) == std::vector{first, second});
    CHECK(stores.disks.snapshots("desk-01", 1).empty());

    // A disk that is put again, on another version, keeps its snapshots; one that is removed takes them along.
    stores.disks.put(disk("desk-01", 0, "debian-12", 1));
    CHECK(stores.disks.snapshots("desk-01", 0).size() == 2);
    stores.disks.remove_snapshot("desk-01", 0, "after");
    CHECK(stores.disks.snapshots("desk-01", 0) == std::vector{first});
    stores.disks.remove_disk("desk-01", 0);
    stores.disks.remove_disk("nobody", 0);
    CHECK(stores.disks.snapshots("desk-01", 0).empty());
    CHECK(stores.disks.disks().size() == 2);
    boot::SnapshotRecord stray = first;
    stray.owner = "nobody";
    CHECK_THROWS_AS(stores.disks.put(stray), StoreError);
}

TEST_CASE("a version is retired unless a disk uses it, and no disk gets it after that") {
    const DataDir data;
    Stores stores{data};
    stores.images.save(debian(), nullptr);
    stores.disks.put(disk("desk-01", 0, "debian-12", 1));
    CHECK_FALSE(stores.images.retire("debian-12", 1));
    stores.disks.remove_disk("desk-01", 0);
    CHECK(stores.images.retire("debian-12", 1));
    CHECK(stores.images.images().at(0).versions.at(0).state == boot::VersionState::gone);
    CHECK_FALSE(stores.images.retire("debian-12", 2));
    CHECK(refusal([&] { stores.disks.put(disk("desk-01", 0, "debian-12", 1)); }) ==
          "debian-12@1 was deleted; diskless image show debian-12 lists the versions there are");
    CHECK_THROWS_AS(stores.disks.put(disk("desk-01", 0, "nothing", 1)), StoreError);
    CHECK(stores.disks.disks().empty());
}
