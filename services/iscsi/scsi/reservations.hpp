// Reservations: who may use a logical unit: RESERVE and RELEASE (SPC-2 5.5), persistent reservations (SPC-4 5.13, 6.15, 6.16). Pure: what
// the caller has to tell others, and to store, comes back as a value. The caller serialises.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "services/iscsi/scsi/cdb.hpp"
#include "services/iscsi/scsi/command.hpp"

namespace diskless::scsi {

/// SPC-4 table 66.
enum class ReservationType : std::uint8_t {
    write_exclusive = 1,
    exclusive_access = 3,
    write_exclusive_registrants_only = 5,
    exclusive_access_registrants_only = 6,
    write_exclusive_all_registrants = 7,
    exclusive_access_all_registrants = 8,
};

/// Registrations belong to initiator ports, not to sessions: they outlive both, and with APTPL the server.
struct Registration {
    std::string initiator_port;  ///< ITNexus::initiator_port
    std::uint64_t key = 0;
    friend bool operator==(const Registration&, const Registration&) = default;
};

struct PersistentState {
    std::uint32_t generation = 0;
    bool persists = false;  ///< APTPL: kept over a restart
    std::vector<Registration> registrations;
    std::optional<ReservationType> type;  ///< of the reservation, if there is one
    std::string holder;                   ///< an initiator port; with an all-registrants type every registrant holds
    friend bool operator==(const PersistentState&, const PersistentState&) = default;
};

/// As the store keeps it: a line of generation, type (0: none) and the holder, then a line of key and initiator port for each registration.
[[nodiscard]] std::string print_persistent_state(const PersistentState& state);
[[nodiscard]] std::optional<PersistentState> parse_persistent_state(std::string_view text);

class Reservations {
 public:
    /// Of one unit; further initiator ports are refused.
    static constexpr std::size_t max_registrations = 1024;

    /// What an order has brought about, besides the command's status.
    struct Effects {
        bool changed = false;  ///< the persistent state
        struct Notice {
            std::string initiator_port;
            std::uint16_t asc_ascq = 0;
        };
        std::vector<Notice> notices;       ///< unit attentions to post
        std::vector<std::string> aborted;  ///< initiator ports whose commands are to be aborted
    };

    [[nodiscard]] const PersistentState& persistent() const noexcept { return state_; }
    void restore(PersistentState state) { state_ = std::move(state); }
    /// Anything at all that could conflict: the hot path asks no more.
    [[nodiscard]] bool any() const noexcept { return reserved_by_.has_value() || state_.type.has_value(); }

    /// Whether the nexus may perform the command now (SPC-4 table 67, SBC-3 table 13, SPC-2 table 8).
    [[nodiscard]] bool conflicts(const ITNexus& nexus, const CommandEntry& entry, ByteSpan cdb) const;

    /// False: somebody else has it.
    [[nodiscard]] bool reserve(const ITNexus& nexus);
    void release(const ITNexus& nexus);
    /// The session has ended, or the unit was reset: SPC-2 reservations go.
    void nexus_lost(std::uint64_t nexus);
    void reset() { reserved_by_.reset(); }

    /// PERSISTENT RESERVE OUT: sets the command's status, changes the state.
    [[nodiscard]] Effects persistent_reserve_out(Command& command);
    /// PERSISTENT RESERVE IN: answers.
    void persistent_reserve_in(Command& command) const;

 private:
    struct Order;
    [[nodiscard]] Registration* registration_of(const std::string& initiator_port);
    [[nodiscard]] const Registration* registration_of(const std::string& initiator_port) const;
    [[nodiscard]] bool all_registrants() const noexcept;
    [[nodiscard]] bool is_holder(const std::string& initiator_port) const;
    void tell_others(const std::string& self, std::uint16_t asc_ascq, Effects& effects) const;
    void register_key(Command& command, const Order& order, bool ignore_existing, Effects& effects);
    void register_and_move(Command& command, Effects& effects);
    void unregister(const std::string& initiator_port, Effects& effects);
    void reserve_persistently(Command& command, const Order& order, Effects& effects);
    void release_persistently(Command& command, const Order& order, Effects& effects);
    void clear(const Order& order, Effects& effects);
    void preempt(Command& command, const Order& order, bool abort, Effects& effects);
    bool remove_registrations(const Order& order, std::uint64_t key, bool abort, Effects& effects);
    void read_full_status(ByteWriter& out) const;

    PersistentState state_;
    std::optional<std::uint64_t> reserved_by_;  // SPC-2: a nexus
};

}  // namespace diskless::scsi
