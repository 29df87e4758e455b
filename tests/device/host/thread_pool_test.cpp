// ThreadPool: every index once, exceptions to the caller, nesting, many callers, stealing from a stuck thread.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <tess/device/host/thread_pool.hpp>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

using tess::index_t;
using tess::host::ThreadPool;

TEST_CASE("thread_pool.for_range.covers_every_index_once") {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    CHECK(pool.size() == threads);
    for (const index_t n : {0, 1, 2, 7, 64, 1001})
      for (const index_t grain : {0, 1, 3, 64, 5000}) {
        std::vector<std::atomic<int>> seen(static_cast<std::size_t>(n));
        pool.for_range(n, grain, [&](index_t begin, index_t end) {
          CHECK(begin < end);
          CHECK(begin % std::max<index_t>(grain, 1) == 0);
          CHECK(end - begin <= std::max<index_t>(grain, 1));
          for (index_t i = begin; i < end; ++i) ++seen[static_cast<std::size_t>(i)];
        });
        bool once = true;
        for (const auto& count : seen) once = once && count == 1;
        CHECK(once);
      }
  }
}

TEST_CASE("thread_pool.for_range.publishes_what_the_workers_wrote") {
  ThreadPool pool(4);
  std::vector<index_t> values(256);
  for (index_t round = 1; round <= 5000; ++round) {
    pool.for_range(256, 8, [&](index_t begin, index_t end) {
      for (index_t i = begin; i < end; ++i) values[static_cast<std::size_t>(i)] = round * i;
    });
    index_t wrong = 0;
    for (index_t i = 0; i < 256; ++i) wrong += values[static_cast<std::size_t>(i)] != round * i;
    REQUIRE(wrong == 0);
  }
}

TEST_CASE("thread_pool.for_range.wakes_workers_that_sleep") {
  ThreadPool pool(2);
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    std::atomic<index_t> sum{0};
    pool.for_range(100, 1, [&](index_t begin, index_t) { sum += begin; });
    CHECK(sum == 4950);
  }
}

TEST_CASE("thread_pool.for_range.throws_to_the_caller_and_stays_usable") {
  for (const int threads : {1, 4}) {
    ThreadPool pool(threads);
    for (int round = 0; round < 100; ++round)
      CHECK_THROWS_WITH_AS(pool.for_range(64, 1,
                                          [](index_t begin, index_t) {
                                            if (begin % 7 == 3) throw std::runtime_error("chunk");
                                          }),
                           "chunk", std::runtime_error);
    std::atomic<index_t> count{0};
    pool.for_range(64, 1, [&](index_t, index_t) { ++count; });
    CHECK(count == 64);
  }
}

TEST_CASE("thread_pool.for_range.runs_serially_inside_a_loop") {
  ThreadPool pool(4), other(3);
  std::atomic<index_t> count{0};
  std::atomic<bool> same_thread{true};
  pool.for_range(16, 1, [&](index_t, index_t) {
    const auto self = std::this_thread::get_id();
    for (ThreadPool* inner : {&pool, &other})
      inner->for_range(10, 2, [&](index_t begin, index_t end) {
        if (std::this_thread::get_id() != self) same_thread = false;
        count += end - begin;
      });
  });
  CHECK(count == 320);
  CHECK(same_thread);
}

TEST_CASE("thread_pool.for_range.serves_several_callers") {
  ThreadPool pool(3);
  std::atomic<index_t> sum{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c)
    callers.emplace_back([&] {
      for (int i = 0; i < 500; ++i) pool.for_range(32, 1, [&](index_t begin, index_t) { sum += begin; });
    });
  for (auto& caller : callers) caller.join();
  CHECK(sum == 4 * 500 * 496);
}

TEST_CASE("thread_pool.for_range.idle_threads_take_the_chunks_of_a_stuck_one") {
  // The chunk that holds index 0 ends only when all others are done: with shares fixed in advance this would hang.
  ThreadPool pool(4);
  std::atomic<index_t> done{0};
  pool.for_range(64, 1, [&](index_t begin, index_t) {
    if (begin == 0)
      while (done < 63) std::this_thread::yield();
    ++done;
  });
  CHECK(done == 64);
}

TEST_CASE("thread_pool.run.calls_once_for_each_thread") {
  ThreadPool pool(5);
  std::vector<std::atomic<int>> calls(5);
  pool.run([&](int thread, int threads) {
    CHECK(threads == 5);
    ++calls[static_cast<std::size_t>(thread)];
  });
  for (const auto& count : calls) CHECK(count == 1);
}
