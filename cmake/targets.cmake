# How a target of ours is compiled: warnings are errors, sanitizers as the preset asks, includes from the top of the house.
add_library(diskless_flags INTERFACE)
target_include_directories(diskless_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(diskless_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wold-style-cast
  -Wnon-virtual-dtor -Woverloaded-virtual -Wno-missing-field-initializers -Werror -fno-omit-frame-pointer)
if(DISKLESS_SANITIZE)
  target_compile_options(diskless_flags INTERFACE -fsanitize=${DISKLESS_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(diskless_flags INTERFACE -fsanitize=${DISKLESS_SANITIZE})
endif()

# Boost as system headers; Asio and Beast are compiled once (common/asio.cpp), not in every file.
add_library(diskless_boost INTERFACE)
target_link_libraries(diskless_boost INTERFACE Boost::headers Threads::Threads)
target_compile_definitions(diskless_boost INTERFACE BOOST_ASIO_SEPARATE_COMPILATION BOOST_ASIO_NO_DEPRECATED BOOST_BEAST_SEPARATE_COMPILATION)

# diskless_library(name SOURCES a.cpp … DEPENDS lib …): the static library of one folder.
function(diskless_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(${name} STATIC ${arg_SOURCES})
  target_link_libraries(${name} PUBLIC ${arg_DEPENDS} PRIVATE diskless_flags)
  target_include_directories(${name} PUBLIC ${CMAKE_SOURCE_DIR})
endfunction()

function(diskless_program name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_DEPENDS} diskless_flags)
endfunction()
