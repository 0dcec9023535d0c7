// What orders make of an image: publishing, rolling back, deleting, declaring.
#include "boot/image.hpp"

#include <doctest/doctest.h>

using namespace diskless::boot;

namespace {

ImageRecord image_with(std::vector<unsigned> numbers, std::vector<unsigned> published) {
    ImageRecord image{.name = "debian-12", .versions = {}, .published = std::move(published)};
    for (const unsigned number : numbers)
        image.versions.push_back({.number = number, .file = "images/debian-12/x", .created = {}, .source = "/x"});
    return image;
}

ImageVersion declared(std::string file) {
    return {.file = std::move(file), .size_bytes = 512, .created = {}, .source = std::string{declared_source}};
}

}  // namespace

TEST_CASE("publishing and rolling back walk through the history") {
    ImageRecord image = image_with({1, 2, 3}, {});
    CHECK(image.published_version() == nullptr);
    CHECK(roll_back(image).error().kind == Refusal::Kind::conflict);
    for (const unsigned number : {1U, 3U, 3U, 2U}) image = publish(image, number).value();
    CHECK(image.published == std::vector<unsigned>{1, 3, 2});
    image = roll_back(image).value();
    CHECK(image.published_version()->number == 3);
    image = roll_back(image).value();
    CHECK(image.published_version()->number == 1);
    CHECK(roll_back(image).error().text.contains("no other version"));
    CHECK(publish(image, 4).error().kind == Refusal::Kind::not_found);
    CHECK(publish(image, 0).error().kind == Refusal::Kind::not_found);
}

TEST_CASE("a published version that is deleted stays until another one is published") {
    ImageRecord image = remove(image_with({1, 2}, {1, 2}), 2).value();
    CHECK(image.published_version()->number == 2);
    CHECK(image.published_version()->state == VersionState::leaving);
    CHECK(publish(image, 2).error().kind == Refusal::Kind::conflict);
    image = roll_back(image).value();
    CHECK(image.published == std::vector<unsigned>{1});
    CHECK(roll_back(image).error().kind == Refusal::Kind::conflict);
}

TEST_CASE("nobody rolls back to a version that was deleted") {
    ImageRecord image = remove(image_with({1, 2, 3}, {1, 3, 2, 3}), 2).value();
    CHECK(image.published == std::vector<unsigned>{1, 3});
    image = publish(image_with({1, 2}, {1}), 2).value();
    image = remove(image, 1).value();
    CHECK(image.published == std::vector<unsigned>{2});
    CHECK(remove(image, 7).error().kind == Refusal::Kind::not_found);
}

TEST_CASE("with all its versions an image is published no more, and numbers are never used again") {
    ImageRecord image = remove(image_with({1, 2}, {1, 2}), std::nullopt).value();
    CHECK(image.published.empty());
    for (ImageVersion& version : image.versions) {
        CHECK(version.state == VersionState::leaving);
        version.state = VersionState::gone;
    }
    CHECK(image.version(2) == nullptr);
    CHECK(image.next_number() == 3);
    CHECK(remove(image, 2).error().kind == Refusal::Kind::not_found);
}

TEST_CASE("a declared file is version 1, and stays it; another file is the next version") {
    ImageRecord image{.name = "debian-12", .versions = {}, .published = {}};
    image = declare(image, declared("a.img"));
    CHECK(image.published_version()->number == 1);
    const ImageRecord before = image;
    CHECK(declare(image, declared("a.img")) == before);
    ImageVersion grown = declared("a.img");
    grown.size_bytes = 1024;
    CHECK(declare(image, grown).version(1)->size_bytes == 1024);

    image = withdraw(image, "b.img");
    image = declare(image, declared("b.img"));
    CHECK(image.published == std::vector<unsigned>{2});
    CHECK(image.version(1)->state == VersionState::leaving);
    image = withdraw(image, "a.img");
    image = declare(image, declared("a.img"));
    CHECK(image.version(1)->state == VersionState::present);
}

TEST_CASE("a declared image whose other version is published keeps it that way") {
    ImageRecord image = declare({.name = "debian-12", .versions = {}, .published = {}}, declared("a.img"));
    image.versions.push_back({.number = 2, .file = "images/debian-12/2.raw", .created = {}, .source = "/x"});
    image = publish(image, 2).value();
    CHECK(declare(withdraw(image, "a.img"), declared("a.img")) == image);
    const ImageRecord withdrawn = withdraw(image);
    CHECK(withdrawn.version(1)->state == VersionState::leaving);
    CHECK(withdrawn.version(2)->state == VersionState::present);
    CHECK(withdrawn.published == std::vector<unsigned>{2});
}

TEST_CASE("a declaration that goes takes an image with it that has nothing else") {
    const ImageRecord image = withdraw(declare({.name = "debian-12", .versions = {}, .published = {}}, declared("a.img")));
    CHECK(image.version(1)->state == VersionState::leaving);
    CHECK(image.published.empty());
}

TEST_CASE("names of formats and states") {
    CHECK(name_of(DiskFormat::qcow2) == "qcow2");
    CHECK(disk_format("raw") == DiskFormat::raw);
    CHECK_FALSE(disk_format("vmdk"));
    for (unsigned i = 0; i < 6; ++i) {
        const auto state = static_cast<ImportJob::State>(i);
        CHECK(import_state(name_of(state)) == state);
    }
    CHECK_FALSE(import_state(""));
}
