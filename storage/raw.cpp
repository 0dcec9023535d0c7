#include "storage/raw.hpp"

namespace diskless::storage {
namespace {

class RawDevice final : public BlockDevice {
 public:
    RawDevice(const std::filesystem::path& path, const RawOptions& options, std::shared_ptr<Backend> backend)
        : name_{path.string()}, file_{path, options}, backend_{std::move(backend)} {}

    [[nodiscard]] const Geometry& geometry() const noexcept override { return file_.geometry(); }
    [[nodiscard]] std::string_view name() const noexcept override { return name_; }

    [[nodiscard]] Started start(IoRequest& request) noexcept override {
        if (file_.perform_without_waiting(request)) return Started::completed;
        backend_->submit(file_, request);
        return Started::pending;
    }

 private:
    std::string name_;
    RawFile file_;
    std::shared_ptr<Backend> backend_;
};

}  // namespace

std::shared_ptr<BlockDevice> open_raw(const std::filesystem::path& path, const RawOptions& options, std::shared_ptr<Backend> backend) {
    return std::make_shared<RawDevice>(path, options, std::move(backend));
}

}  // namespace diskless::storage
