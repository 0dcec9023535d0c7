// What the catalog becomes when the configuration file is read again: the file declares, the store remembers. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "boot/catalog.hpp"

namespace diskless::db {

/// Something that a declaration did to an entry made at run time; one log line.
struct MergeNote {
    std::string_view event;  ///< "catalog.renamed"
    std::string fields;      ///< "client=desk-05 name=desk-05-2"
};

struct Merged {
    boot::CatalogData catalog;  ///< each list in the order of names
    std::vector<MergeNote> notes;
};

/// Declared entries of `stored` that `declared` has no more are gone (the files of their disks are nobody's business here); entries made at
/// run time stay. Where both want the same, the declaration has it:
/// - a name: the other entry is renamed "<name>-2", and what was made at run time and refers to it follows;
/// - a name and a MAC or UUID: it is the same machine, now declared, and the other entry goes;
/// - a MAC, UUID or address: the other entry loses it.
[[nodiscard]] Merged merge_declared(const boot::CatalogData& stored, const boot::CatalogData& declared);

/// `wanted`, or "<wanted>-2", "-3" … : the first that `taken` does not hold, short enough for a name.
[[nodiscard]] std::string free_name(std::string_view wanted, const std::vector<std::string_view>& taken);

}  // namespace diskless::db
