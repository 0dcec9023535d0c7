// "We have a bug": an assertion that stays in release builds (STYLE: errors, kind 3). Never for validating input.
#pragma once

#include <cstdio>
#include <cstdlib>

#define DISKLESS_ASSERT(condition)                                                                      \
    do {                                                                                                \
        if (!(condition)) [[unlikely]] {                                                                \
            std::fprintf(stderr, "bug: %s:%d: assertion failed: %s\n", __FILE__, __LINE__, #condition); \
            std::abort();                                                                               \
        }                                                                                               \
    } while (false)
