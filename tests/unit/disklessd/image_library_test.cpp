// The image library over real files and a real store: versions appear whole or not at all, whatever happens, and go when nothing uses them.
#include "disklessd/image_library.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <chrono>
#include <optional>
#include <thread>

#include "db/disks.hpp"
#include "db/images.hpp"
#include "packed.hpp"
#include "tests/unit/db/scratch.hpp"

using namespace diskless;
using boot::ImportJob;
using boot::Refusal;
using State = ImportJob::State;
namespace fs = std::filesystem;

namespace {

class House {
 public:
    House() { open(); }

    void open() {
        database.emplace(data.path(), counters);
        store.emplace(*database);
        disks.emplace(*database);
        library.emplace(data.path(), *store, *disks, limits);
    }
    /// Another process over the same data.
    void reopen() {
        library.reset();
        open_again();
        library->start();
    }
    void open_again() {
        library.reset();
        disks.reset();
        store.reset();
        database.reset();
        open();
    }

    ImportJob order(const std::string& image, const std::string& bytes, bool publish = true) {
        ImportJob job;
        job.image = image;
        job.source = data.path() / fmt::format("source-{}.img", ++sources);
        job.publish = publish;
        write_file(job.source, bytes);
        const auto made = library->import(job);
        REQUIRE(made);
        return *made;
    }
    ImportJob finished(std::uint64_t id) {
        for (int i = 0; i < 2000; ++i) {
            for (const ImportJob& job : library->imports()) {
                if (job.id == id && job.over()) return job;
            }
            std::this_thread::sleep_for(std::chrono::milliseconds{5});
        }
        FAIL("the import does not end");
        return {};
    }
    ImportJob import(const std::string& image, const std::string& bytes, bool publish = true) {
        return finished(order(image, bytes, publish).id);
    }
    /// What resolve() says: "debian-12@3", or the error.
    [[nodiscard]] std::string resolved(std::string_view reference) const {
        const auto file = library->resolve(reference);
        return file ? file->image + '@' + std::to_string(file->number) : file.error();
    }
    [[nodiscard]] fs::path source() const { return data.path() / "source.img"; }
    [[nodiscard]] fs::path file(const std::string& name) const { return data.path() / "images" / name; }
    void use(const std::string& owner, const std::string& image, unsigned version) {
        disks->put({.owner = owner, .file = "disks/x", .image = image, .version = version, .created = {}});
    }

    DataDir data;
    CounterRegistry counters;
    importing::Limits limits;
    unsigned sources = 0;
    std::optional<db::Database> database;
    std::optional<db::ImageStore> store;
    std::optional<db::DiskStore> disks;
    std::optional<ImageLibrary> library;
};

const std::string first = noise(8192, 1), second = noise(12288, 2);

}  // namespace

TEST_CASE("imports become versions, are published, and are found by name") {
    House house;
    house.library->start();
    CHECK(house.resolved("debian-12").starts_with("there is no image debian-12"));
    CHECK(house.import("debian-12", first).state == State::done);
    const ImportJob job = house.import("debian-12", second, false);
    CHECK(job.result.number == 2);
    CHECK(house.resolved("debian-12") == "debian-12@1");
    CHECK(house.resolved("debian-12@2") == "debian-12@2");
    CHECK(house.resolved("debian-12@3").starts_with("there is no debian-12@3"));
    for (const char* wrong : {"", "../x", "debian-12@", "debian-12@x", "debian-12@0", "@1", ".x"})
        CHECK(house.resolved(wrong).contains("names no image"));

    const ImageFile file = house.library->resolve("debian-12@2").value();
    CHECK(file.path == house.file("debian-12/2.raw"));
    CHECK(file.size_bytes == second.size());
    CHECK(read_file(file.path) == second);
    CHECK(house.library->publish("debian-12", 2) == 2U);
    CHECK(house.resolved("debian-12") == "debian-12@2");
    CHECK(house.library->roll_back("debian-12") == 1U);
    CHECK(house.library->publish("nothing", 1).error().kind == Refusal::Kind::not_found);

    house.reopen();
    CHECK(house.resolved("debian-12") == "debian-12@1");
    const auto shown = house.library->image("debian-12").value();
    REQUIRE(shown.versions.size() == 2);
    CHECK(shown.published == 1);
    CHECK(shown.versions[1].version.digest == job.result.digest);
    CHECK(shown.versions[1].stored_bytes >= second.size());
    CHECK(house.library->images().size() == 1);
}

TEST_CASE("wrong orders are refused before anything is done") {
    House house;
    house.library->start();
    write_file(house.source(), first);
    const auto refusal = [&](std::string image, fs::path source, std::string format) {
        ImportJob job;
        job.image = std::move(image);
        job.source = std::move(source);
        job.format = std::move(format);
        const auto made = house.library->import(std::move(job));
        return made ? std::string{} : made.error().text;
    };
    for (const char* name : {"", "..", "../x", "a/b", ".x", "X", "-x", "a\nb"})
        CHECK(refusal(name, house.source(), "").contains("is no name for an image"));
    CHECK(refusal("x", "source.img", "").contains("whole path"));
    CHECK(refusal("x", "/nothing/there", "").contains("there is no such file"));
    CHECK(refusal("x", house.source(), "floppy").contains("there is no format \"floppy\""));
    CHECK(house.library->imports().empty());
    CHECK(house.library->images().empty());
    CHECK(house.library->cancel_import(7).error().kind == Refusal::Kind::not_found);
}

TEST_CASE("a failed import says why and leaves nothing, and the next one gets its turn") {
    House house;
    house.library->start();
    const std::string packed = gzip(first);
    const ImportJob job = house.import("debian-12", packed.substr(0, 100));
    CHECK(job.state == State::failed);
    CHECK(job.error == job.source.native() + ": is broken off: its packed data ends too early; get it again");
    CHECK(fs::is_empty(house.file("debian-12")));
    CHECK(house.library->images().empty());
    CHECK(house.import("debian-12", packed).result.number == 1);
    CHECK(house.library->cancel_import(job.id).error().kind == Refusal::Kind::conflict);
}

TEST_CASE("an import that was interrupted at any step is one whole version after the next start") {
    // Every state of the store and the files that a kill can leave.
    struct Left {
        const char* what;
        State state;
        bool working, whole, named;
    };
    for (const Left& left :
         {Left{"waits", State::waiting, false, false, false}, Left{"has begun", State::running, false, false, false},
          Left{"is half a file", State::running, true, false, false}, Left{"is a whole file", State::running, true, true, false},
          Left{"stores", State::storing, true, true, false}, Left{"has its name", State::storing, false, true, true}}) {
        CAPTURE(left.what);
        House house;
        write_file(house.source(), first);
        ImportJob job;
        job.image = "debian-12";
        job.source = house.source();
        job.state = left.state;
        if (left.state == State::storing)
            job.result = {.number = 1, .file = "images/debian-12/1.raw", .size_bytes = first.size(), .digest = "sha256:x", .created = {}};
        job.id = house.store->save(job);
        const fs::path working = house.file("debian-12/1.importing");
        if (left.working) write_file(working, left.whole ? first : first.substr(0, 1000));
        if (left.working && left.whole) fs::permissions(working, fs::perms::owner_read);
        if (left.named) write_file(house.file("debian-12/1.raw"), first);

        house.reopen();
        CHECK(house.finished(job.id).state == State::done);
        CHECK(house.resolved("debian-12") == "debian-12@1");
        CHECK(read_file(house.file("debian-12/1.raw")) == first);
        CHECK_FALSE(fs::exists(working));
        CHECK(house.library->image("debian-12")->versions.size() == 1);
        CHECK(house.import("debian-12", second).result.number == 2);
        house.reopen();
        CHECK(house.library->image("debian-12")->versions.size() == 2);
    }
}

TEST_CASE("a stored file that is gone or another fails, and takes no number's meaning along") {
    House house;
    write_file(house.source(), first);
    ImportJob job;
    job.image = "debian-12";
    job.source = house.source();
    job.state = State::storing;
    job.result = {.number = 1, .file = "images/debian-12/1.raw", .size_bytes = first.size() + 1, .digest = "sha256:x", .created = {}};
    job.id = house.store->save(job);
    write_file(house.file("debian-12/1.raw"), first);
    house.reopen();
    CHECK(house.finished(job.id).error.contains("is not what was made"));
    CHECK(house.import("debian-12", first).result.number == 2);
}

TEST_CASE("what imports left that nobody goes on with is removed at start; other files are not touched") {
    House house;
    for (const char* name : {"debian-12/7.importing", "debian-12/7.importing.unpacked", "other/8.importing"})
        write_file(house.file(name), "x");
    for (const char* name : {"debian-12/1.raw", "debian-12/notes.txt", "mine.img"}) write_file(house.file(name), "x");
    house.reopen();
    CHECK_FALSE(fs::exists(house.file("debian-12/7.importing")));
    CHECK_FALSE(fs::exists(house.file("debian-12/7.importing.unpacked")));
    CHECK_FALSE(fs::exists(house.file("other/8.importing")));
    for (const char* name : {"debian-12/1.raw", "debian-12/notes.txt", "mine.img"}) CHECK(fs::exists(house.file(name)));
    CHECK(house.import("debian-12", first).result.number == 2);
}

TEST_CASE("a server that stops leaves the import to the next one; a cancelled one is over") {
    House house;
    house.library->start();
    const std::string large = noise(32 << 20);
    const ImportJob running = house.order("debian-12", large);
    const ImportJob waiting = house.order("debian-12", large);
    CHECK(house.library->cancel_import(waiting.id)->state == State::cancelled);
    house.reopen();
    CHECK(house.finished(running.id).state == State::done);
    CHECK(house.finished(waiting.id).state == State::cancelled);
    CHECK(read_file(house.file("debian-12/1.raw")) == large);

    const ImportJob third = house.order("debian-12", large);
    REQUIRE(house.library->cancel_import(third.id));
    CHECK(house.finished(third.id).state == State::cancelled);
    house.reopen();
    CHECK(house.finished(third.id).state == State::cancelled);
    CHECK(house.library->image("debian-12")->versions.size() == 1);
    CHECK(std::distance(fs::directory_iterator{house.file("debian-12")}, fs::directory_iterator{}) == 1);
}

TEST_CASE("a version goes when it is neither published nor used, and its file with it") {
    House house;
    house.library->start();
    for (const auto& bytes : {first, second, first}) REQUIRE(house.import("debian-12", bytes).state == State::done);
    house.use("desk-01", "debian-12", 1);
    house.use("desk-02", "debian-12", 1);

    auto removal = house.library->remove("debian-12", 1).value();
    CHECK(removal.deferred == std::vector<unsigned>{1});
    CHECK(removal.why == "debian-12@1 is used by desk-01 lun 0 and 1 more; it goes when nothing uses it any more");
    CHECK(house.resolved("debian-12@1") == "debian-12@1");  // its disks still stand on it
    removal = house.library->remove("debian-12", 3).value();
    CHECK(removal.why.contains("debian-12@3 is published"));
    removal = house.library->remove("debian-12", 2).value();
    CHECK(removal.gone == std::vector<unsigned>{2});
    CHECK(removal.why.empty());
    CHECK_FALSE(fs::exists(house.file("debian-12/2.raw")));
    CHECK(house.library->remove("debian-12", 2).error().kind == Refusal::Kind::not_found);
    CHECK(house.resolved("debian-12@2").starts_with("there is no debian-12@2"));
    CHECK(house.library->roll_back("debian-12").error().kind == Refusal::Kind::conflict);

    house.disks->remove_disk("desk-01", 0);
    house.library->collect();
    CHECK(fs::exists(house.file("debian-12/1.raw")));
    house.disks->remove_disk("desk-02", 0);
    house.library->collect();
    CHECK_FALSE(fs::exists(house.file("debian-12/1.raw")));

    REQUIRE(house.import("debian-12", second).result.number == 4);
    CHECK_FALSE(fs::exists(house.file("debian-12/3.raw")));
    CHECK(house.resolved("debian-12") == "debian-12@4");
    house.reopen();
    CHECK(house.library->image("debian-12")->versions.size() == 1);
}

TEST_CASE("a whole image goes, but for what is used; its numbers are not given again") {
    House house;
    house.library->start();
    REQUIRE(house.import("debian-12", first).state == State::done);
    REQUIRE(house.import("debian-12", second).state == State::done);
    house.use("desk-01", "debian-12", 1);
    const auto removal = house.library->remove("debian-12", std::nullopt).value();
    CHECK(removal.gone == std::vector<unsigned>{2});
    CHECK(removal.deferred == std::vector<unsigned>{1});
    CHECK(house.resolved("debian-12").starts_with("no version of image debian-12 is published"));
    house.disks->remove_disk("desk-01", 0);
    house.reopen();  // collects as well
    CHECK(fs::is_empty(house.file("debian-12")));
    CHECK(house.library->images().empty());
    CHECK(house.library->image("debian-12").error().kind == Refusal::Kind::not_found);
    CHECK(house.library->remove("debian-12", std::nullopt).error().kind == Refusal::Kind::not_found);
    CHECK(house.import("debian-12", first).result.number == 3);
}

TEST_CASE("a file whose row went and that a kill left is removed at the next start") {
    House house;
    house.library->start();
    REQUIRE(house.import("debian-12", first).state == State::done);
    REQUIRE(house.import("debian-12", second).state == State::done);
    house.store->retire("debian-12", 1);
    house.reopen();
    CHECK_FALSE(fs::exists(house.file("debian-12/1.raw")));
    CHECK(fs::exists(house.file("debian-12/2.raw")));
}

TEST_CASE("declared files are versions in place, which only the configuration removes") {
    House house;
    write_file(house.file("mine.img"), first);
    house.library->synchronise({{"mine", "images/mine.img", true}});
    CHECK(house.resolved("mine") == "mine@1");
    write_file(house.data.path() / "a.img", first);
    write_file(house.data.path() / "b.img",
               "QFI\xfb" + std::string(20, '\0') + std::string("\0\0\0\1\0\0\0\0", 8) + std::string(500, '\0'));
    house.library->synchronise({{"debian-12", "a.img", true}, {"empty", "", true}});
    house.library->start();
    ImageFile file = house.library->resolve("debian-12").value();
    CHECK(file.path == house.data.path() / "a.img");
    CHECK(file.number == 1);
    CHECK(file.size_bytes == first.size());
    CHECK(house.library->image("debian-12")->declared);
    CHECK(house.library->image("empty")->versions.empty());
    CHECK(house.resolved("empty").contains("no version of image empty is published"));
    CHECK(house.library->remove("debian-12", 1).error().kind == Refusal::Kind::conflict);
    CHECK(house.library->remove("debian-12", std::nullopt).error().text.contains("the configuration declares"));

    REQUIRE(house.import("debian-12", second).result.number == 2);
    house.open_again();
    house.library->synchronise({{"debian-12", "a.img", true}});
    CHECK(house.resolved("debian-12") == "debian-12@2");  // a restart publishes nothing
    CHECK(house.library->images().size() == 1);
    CHECK(house.library->roll_back("debian-12") == 1U);

    house.library->synchronise({{"debian-12", "b.img", true}});
    file = house.library->resolve("debian-12").value();
    CHECK(file.number == 3);
    CHECK(file.format == boot::DiskFormat::qcow2);
    CHECK(file.size_bytes == std::uint64_t{1} << 32);
    CHECK(house.resolved("debian-12@1").starts_with("there is no"));

    house.use("desk-01", "debian-12", 3);
    house.library->synchronise({});
    CHECK(house.resolved("debian-12@3") == "debian-12@3");
    CHECK_FALSE(house.library->image("debian-12")->declared);
    house.library->remove("debian-12", std::nullopt).value();
    house.disks->remove_disk("desk-01", 0);
    house.library->collect();
    CHECK(house.library->images().empty());
    CHECK(fs::exists(house.data.path() / "a.img"));  // files of the administrator's stay
    CHECK(fs::exists(house.data.path() / "b.img"));
    CHECK(fs::exists(house.file("mine.img")));
}

TEST_CASE("a file that lies in place becomes a version by its reserved number") {
    House house;
    house.library->start();
    const unsigned number = house.library->reserve_number("debian-12");
    CHECK(number == 1);
    CHECK(house.import("debian-12", first).result.number == 2);
    const fs::path file = ImageLibrary::file_of("debian-12", number, boot::DiskFormat::qcow2);
    CHECK(file == "images/debian-12/1.qcow2");
    write_file(house.data.path() / file, second);
    house.library->add_version(
        "debian-12",
        {.number = number, .file = file, .format = boot::DiskFormat::qcow2, .size_bytes = 1 << 20, .created = {}, .source = "disk desk-01"},
        true);
    CHECK(house.resolved("debian-12") == "debian-12@1");
    CHECK(house.library->reserve_number("debian-12") == 3);
    house.reopen();
    CHECK(house.resolved("debian-12") == "debian-12@1");
    CHECK(house.library->image("debian-12")->versions.at(0).version.source == "disk desk-01");
}
