// Image: an open qcow2 image as a block device. Reads go to the file or to the backing device; first writes take new space. What changes in
// the tables is kept in memory until a checkpoint writes it in an order that any crash survives:
//
//   0  new refcount blocks                                   → sync (only when there are any)
//   1  refcounts up, contents of new second-level tables     → sync (the guest's data with it)
//   2  second-level entries, first-level entries             → sync: this is what a flush waits for
//   3  refcounts down, holes; the clusters may be used again
//
// What was acknowledged since the last checkpoint is in the journal: a killed server loses nothing of it.
//
// The mutex is held for looking at tables in memory, never over a request. A request that one look answers is passed on without more ado;
// all others are coroutines that go on wherever their requests complete.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <expected>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "storage/coroutine.hpp"
#include "storage/qcow2/journal.hpp"
#include "storage/qcow2/mapping.hpp"
#include "storage/qcow2/refcounts.hpp"
#include "storage/qcow2/references.hpp"
#include "storage/qcow2/space.hpp"

namespace diskless::storage::qcow2 {

struct ImageOptions {
    bool read_only = false;
    std::shared_ptr<CacheLimit> cache;  ///< none: one of its own
    std::filesystem::path journal;      ///< empty: none, and a killed process loses what no flush has covered
    std::uint32_t logical_block_bytes = 512;
    std::uint32_t physical_block_bytes = 4096;
    bool thin = true;  ///< discard gives space back
    /// While it is true no new space is taken: what would need some fails with ENOSPC.
    std::shared_ptr<const std::atomic<bool>> space_is_short;
};

/// What the name of a backing file means is its opener's to decide, and to refuse: it throws std::runtime_error.
using OpenBacking = std::function<std::shared_ptr<BlockDevice>(const std::string& name, const std::string& format)>;

class Image final : public BlockDevice, private Refcounts::Places {
 public:
    using Error = boost::system::error_code;

    /// `file` grows as needed, and reads zeros beyond its end. Blocks; repairs what a crash has left. Throws std::runtime_error with one
    /// clear line that begins with the file's name.
    [[nodiscard]] static std::shared_ptr<Image> open(std::shared_ptr<BlockDevice> file, const ImageOptions& options,
                                                     const OpenBacking& open_backing);
    /// Writes what is still in memory and waits for it: on a thread that may block, with no request under way.
    ~Image() override;

    [[nodiscard]] const Geometry& geometry() const noexcept override { return geometry_; }
    [[nodiscard]] std::string_view name() const noexcept override { return file_->name(); }
    [[nodiscard]] Started start(IoRequest& request) noexcept override;

    [[nodiscard]] const Header& header() const noexcept { return header_; }
    /// Writes what no flush has asked for yet, so that little is to be done after a crash. Returns at once.
    void tidy() noexcept;
    /// Waits until no request is under way. Nobody may start one meanwhile. Blocks.
    void quiesce();
    /// Nobody has written to it since it was made.
    [[nodiscard]] bool pristine() const;
    /// Makes the disk larger, and says so in the file. Blocks; no request may be under way, and geometry() is right only after opening
    /// anew.
    [[nodiscard]] Error grow(std::uint64_t size_bytes);

    /// The stretch from `at` that this image itself holds or does not hold (then its backing device, if any, shows through). Blocks.
    struct Own {
        std::uint64_t bytes = 0;
        bool held = false;
    };
    [[nodiscard]] std::expected<Own, Error> own_at(std::uint64_t at);
    /// Says in the file that it stands on another one. As grow(): geometry and contents are right after opening anew.
    [[nodiscard]] Error stand_on(const std::string& backing_name, const std::string& backing_format);

    struct Usage {
        std::uint64_t cached_bytes = 0;  ///< of tables, in memory
        std::uint64_t end_bytes = 0;     ///< how far the file has been used
        std::uint64_t free_bytes = 0;    ///< of that, free to be used again
    };
    [[nodiscard]] Usage usage() const;

 private:
    /// Stands for a request on its way to the file, and is used again.
    struct Child final : IoRequest {
        explicit Child(Image& owner) noexcept : image{owner} {}
        void completed() noexcept override { image.child_completed(*this); }
        Image& image;
        IoRequest* parent = nullptr;
        unsigned epoch = 0;
    };
    struct Busy {
        std::uint64_t first = 0, last = 0;  ///< subclusters of the guest's disk
    };
    /// A first write to some clusters.
    struct Touch {
        std::uint64_t from = 0, until = 0;  ///< what the guest writes
        std::uint64_t low = 0, high = 0;    ///< with what has to be copied around it
        std::uint64_t host = 0;             ///< of `low`
        Run run;                            ///< new clusters; none: the cluster's own place
        bool replaces = false;              ///< the whole cluster moves
        std::uint64_t settled = 0;          ///< clusters of the run that the tables know
    };
    /// A cluster with subclusters whose place is known before any of its data is there: the tables get it with the first of the data.
    struct Placed {
        std::uint64_t guest = 0, host = 0;
        unsigned users = 0;  ///< first writes on their way
        bool settled = false;
    };
    /// Where to cut punch holes, if nothing is there after the next checkpoint.
    struct Punch {
        std::uint64_t guest = 0;  ///< a cluster
        std::uint64_t host = 0;
    };
    enum class Step : std::uint8_t { done, again };

    Image(std::shared_ptr<BlockDevice> file, std::shared_ptr<BlockDevice> backing, Header header, std::vector<std::uint64_t> l1,
          std::vector<std::uint64_t> refcount_table, const ImageOptions& options);

    // image.cpp: reading, and the short way of everything
    [[nodiscard]] bool start_short(IoRequest& request, Started& started) noexcept;
    Child& child_of(IoRequest& request, std::uint64_t host);
    void child_completed(Child& child) noexcept;
    Job run(IoRequest& request);
    Task<Error> read(std::uint64_t at, std::uint64_t bytes, std::span<const iovec> into);
    Task<Error> read_backing(std::uint64_t at, std::uint64_t bytes, std::span<const iovec> into);
    Task<Error> read_compressed(Entry entry, std::uint64_t at, std::uint64_t bytes, std::span<const iovec> into);
    Task<Error> load(Hold& hold, std::uint64_t guest);
    [[nodiscard]] Error damaged(std::uint64_t at, std::string_view fault) const;
    [[nodiscard]] std::uint64_t file_bytes() const noexcept;
    Task<Error> find_extents(IoRequest& request);

    // write.cpp
    Task<Error> write(std::uint64_t at, std::uint64_t bytes, std::span<const iovec> from);
    Task<Error> touch(Hold& hold, std::uint64_t begin, std::uint64_t& at, std::uint64_t end, std::span<const iovec> from);
    Task<Error> zero(std::uint64_t at, std::uint64_t bytes, bool deallocate);
    Task<Error> zero_entries(Hold& hold, std::uint64_t& at, std::uint64_t end, bool deallocate);
    Task<Error> write_zeros(std::uint64_t at, std::uint64_t bytes);
    Task<Error> own_table(Hold& hold, std::uint64_t guest, Step& step);
    Task<Error> make_room(Hold& hold, std::uint64_t records, Step& step);
    Task<Error> prepare_space(Hold& hold);
    [[nodiscard]] Touch plan(std::uint64_t at, std::uint64_t end);
    void place(Touch& touch);
    void leave_places(const Touch& touch);
    [[nodiscard]] Placed* placed_at(std::uint64_t cluster) noexcept;
    [[nodiscard]] std::uint64_t place_of(std::uint64_t cluster) noexcept;
    Task<Error> fill(const Touch& touch, std::uint64_t begin, std::span<const iovec> from);
    Task<Error> settle(Hold& hold, Touch& touch);
    [[nodiscard]] bool is_busy(std::uint64_t from, std::uint64_t until) const noexcept;
    void set(std::uint64_t guest, const Entry& entry);
    void release(const Entry& entry);

    // checkpoint.cpp
    Task<Error> flush();
    Task<Error> checkpointed(Hold& hold);
    void want_checkpoint(Hold& hold);
    Job run_checkpoints();
    Task<Error> checkpoint(Hold& hold);
    Task<Error> write_changes(Hold& hold, std::vector<Run>& allocated, std::vector<Run>& released, const MappingChanges& changes);
    Task<void> free_released(Hold& hold);
    Task<void> punch(Hold& hold, std::vector<Punch> punches);
    [[nodiscard]] bool metadata_clean() const noexcept;
    [[nodiscard]] bool much_is_dirty() const noexcept;
    [[nodiscard]] Run append(std::uint64_t count) override { return space_.append_uncounted(count); }

    // open.cpp
    void recover();
    Task<Error> apply(std::vector<JournalRecord> records, References references);
    Task<Error> learn_space(Hold& hold, const References* truth);
    Task<Error> learn();
    Task<Error> find_own(std::uint64_t at, Own& own);

    [[nodiscard]] unsigned enter() noexcept {
        ++in_flight_[epoch_];
        return epoch_;
    }
    void leave(Hold& hold, unsigned epoch);
    void wake(Hold& hold);

    const std::shared_ptr<BlockDevice> file_;
    const std::shared_ptr<BlockDevice> backing_;
    Header header_;
    Geometry geometry_;
    const std::shared_ptr<const std::atomic<bool>> space_is_short_;
    const std::uint64_t backing_bytes_;  ///< what of this disk the backing device covers
    std::unique_ptr<Journal> journal_;

    mutable std::mutex mutex_;
    Mapping mapping_;
    Space space_;
    Refcounts refcounts_;  ///< the running checkpoint's, without the mutex
    bool space_known_ = false;
    bool learning_space_ = false;
    Error broken_;  ///< set: nothing is written any more
    std::vector<Busy> busy_;
    std::vector<Placed> placed_;
    std::vector<std::uint64_t> loading_;  ///< slices' places
    std::uint64_t reserved_records_ = 0;
    Waiters changed_;
    struct Unpacked {
        std::uint64_t word = 0;  ///< of its entry
        std::shared_ptr<const std::vector<std::byte>> bytes;
    };
    Unpacked last_unpacked_;

    std::array<std::uint64_t, 2> in_flight_{};
    std::uint64_t running_ = 0;  ///< requests that are coroutines
    unsigned epoch_ = 0;
    std::vector<std::unique_ptr<Child>> children_;
    std::vector<Child*> idle_children_;

    std::uint64_t wanted_ = 0, begun_ = 0, done_ = 0;  ///< checkpoints, counted
    bool checkpointing_ = false;
    Error checkpoint_error_;
    std::vector<Punch> punches_;
    std::vector<Run> to_free_;
    std::vector<Punch> to_punch_;
    std::condition_variable idle_;
};

}  // namespace diskless::storage::qcow2
