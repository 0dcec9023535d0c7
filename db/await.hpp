// co_await ask(database, job): a job's result after its commit, on the coroutine's own executor. Throws what the job threw, or StoreError.
// The execution context outlives what was asked: stop the coroutines, then close the database, then let the context go.
#pragma once

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "common/asio.hpp"
#include "db/database.hpp"

namespace diskless::db {

template<class F>
asio::awaitable<std::invoke_result_t<F&, Connection&>> ask(Database& database, F job) {
    using Result = std::invoke_result_t<F&, Connection&>;
    using Kept = std::conditional_t<std::is_void_v<Result>, std::monostate, std::optional<Result>>;
    const auto kept = std::make_shared<Kept>();
    co_await asio::async_initiate<decltype(asio::use_awaitable), void(std::exception_ptr)>(
        [&database, kept](auto handler, F work) {
            // The guard keeps the executor running until the database has answered.
            auto guard = asio::make_work_guard(asio::get_associated_executor(handler));
            database.submit(
                [kept, work = std::move(work)](Connection& connection) mutable {
                    if constexpr (std::is_void_v<Result>) {
                        work(connection);
                    } else {
                        kept->emplace(work(connection));
                    }
                },
                [handler = std::move(handler), guard = std::move(guard)](std::exception_ptr error) mutable {
                    const auto executor = guard.get_executor();
                    // The guard travels along: once this is posted, the database's thread has nothing to do with that executor any more.
                    asio::post(executor, [handler = std::move(handler), guard = std::move(guard), error = std::move(error)]() mutable {
                        std::move(handler)(std::move(error));
                    });
                });
        },
        asio::use_awaitable, std::move(job));
    if constexpr (!std::is_void_v<Result>) co_return std::move(**kept);
}

}  // namespace diskless::db
