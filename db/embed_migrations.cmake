# Builds migrations/*.sql into the program: writes `output`, which defines diskless::db::migrations(). Names sort in the order of versions.
function(embed_migrations output)
  file(GLOB files CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/migrations/*.sql)
  list(SORT files)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${files})
  set(steps "")
  set(number 0)
  foreach(file ${files})
    math(EXPR number "${number} + 1")
    get_filename_component(name ${file} NAME_WE)
    string(REGEX MATCH "^0*([0-9]+)_" matched ${name})
    if(NOT CMAKE_MATCH_1 EQUAL number)
      message(FATAL_ERROR "migrations are numbered from 1 without gaps: ${name} is not number ${number}")
    endif()
    file(READ ${file} sql)
    string(APPEND steps "    Migration{\"${name}\", R\"sql(${sql})sql\"},\n")
  endforeach()
  file(CONFIGURE OUTPUT ${output} @ONLY CONTENT [[
// Generated from db/migrations/*.sql.
#include <array>

#include "db/migrations.hpp"

namespace diskless::db {
namespace {
constexpr std::array steps{
@steps@};
}  // namespace

std::span<const Migration> migrations() noexcept { return steps; }

}  // namespace diskless::db
]])
endfunction()
