// A folder of its own for a test: files to name in a configuration, gone when the test is over.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>

#include "config/config.hpp"

class Sandbox {
 public:
    Sandbox() {
        std::string pattern = (std::filesystem::temp_directory_path() / "diskless-config-XXXXXX").string();
        if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error{"mkdtemp failed"};
        path_ = std::filesystem::canonical(pattern);
    }
    ~Sandbox() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    Sandbox(const Sandbox&) = delete;
    Sandbox& operator=(const Sandbox&) = delete;

    [[nodiscard]] const std::filesystem::path& path() const { return path_; }
    /// A sparse file of that size; its folders are made.
    void file(const std::filesystem::path& name, std::uintmax_t size_bytes = 1 << 20) const {
        const auto file = path_ / name;
        std::filesystem::create_directories(file.parent_path());
        std::ofstream{file}.put('x');
        std::filesystem::resize_file(file, size_bytes);
    }

    /// For its owner only, unless the mode says otherwise.
    void text(const std::filesystem::path& name, std::string_view text, ::mode_t mode = 0600) const {
        const auto file = path_ / name;
        std::filesystem::create_directories(file.parent_path());
        std::ofstream{file} << text;
        ::chmod(file.c_str(), mode);
    }

 private:
    std::filesystem::path path_;
};

/// All findings about a configuration; empty when it is right.
inline std::string findings_in(std::string_view text, const std::filesystem::path& name = "diskless.toml") {
    try {
        (void)diskless::config::parse(text, name);
        return {};
    } catch (const diskless::config::ConfigError& error) {
        return error.what();
    }
}

/// `text` with every `from` replaced by `to`.
inline std::string replaced(std::string text, std::string_view from, std::string_view to) {
    for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) text.replace(at, from.size(), to);
    return text;
}
