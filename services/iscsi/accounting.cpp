#include "services/iscsi/accounting.hpp"

#include <fmt/format.h>

namespace diskless::iscsi {
namespace {

std::string labels_of(const std::string& target, std::uint64_t lun) { return fmt::format(R"(target="{}",lun="{}")", target, lun); }

}  // namespace

LunCounters::LunCounters(CounterRegistry& registry, const std::string& target, std::uint64_t lun)
    : commands_{registry.counter("diskless_iscsi_lun_commands_total", labels_of(target, lun))},
      read_bytes_{registry.counter("diskless_iscsi_lun_read_bytes_total", labels_of(target, lun))},
      written_bytes_{registry.counter("diskless_iscsi_lun_written_bytes_total", labels_of(target, lun))},
      errors_{registry.counter("diskless_iscsi_lun_errors_total", labels_of(target, lun))},
      r2ts_{registry.counter("diskless_iscsi_lun_r2ts_total", labels_of(target, lun))},
      aborts_{registry.counter("diskless_iscsi_lun_aborts_total", labels_of(target, lun))},
      latency_sum_us_{registry.counter("diskless_iscsi_lun_latency_us_sum", labels_of(target, lun))},
      latency_count_{registry.counter("diskless_iscsi_lun_latency_us_count", labels_of(target, lun))} {
    for (std::size_t step = 0; step < latency_buckets_.size(); ++step) {
        const auto& limits = LatencyHistogram::limits_us;
        const std::string limit = step < limits.size() ? fmt::format("{}", limits[step]) : "+Inf";
        latency_buckets_[step] =
            &registry.counter("diskless_iscsi_lun_latency_us_bucket", fmt::format(R"({},le="{}")", labels_of(target, lun), limit));
    }
}

void LunAccount::settle() noexcept {
    count_new(counters_.commands_, source_->commands.value(), commands_);
    count_new(counters_.read_bytes_, source_->read_bytes.value(), read_bytes_);
    count_new(counters_.written_bytes_, source_->written_bytes.value(), written_bytes_);
    count_new(counters_.errors_, source_->errors.value(), errors_);
    count_new(counters_.r2ts_, source_->r2ts.value(), r2ts_);
    count_new(counters_.aborts_, source_->aborts.value(), aborts_);
    count_new(counters_.latency_sum_us_, source_->latency.sum_us(), latency_sum_us_);
    std::uint64_t so_far = 0;
    const std::uint64_t counted_before = latency_.back();
    for (std::size_t step = 0; step < latency_.size(); ++step) {
        so_far += source_->latency.count(step);
        count_new(*counters_.latency_buckets_[step], so_far, latency_[step]);
    }
    counters_.latency_count_.add(so_far - counted_before);
}

}  // namespace diskless::iscsi
