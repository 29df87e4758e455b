// Processes meet: the bytes of the first reach all others, whoever else knocks; and what launchers say is understood.
// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/wait.h>

#include <future>
#include <map>

#include <tess/device/cuda/bootstrap.hpp>
#include <tess/device/cuda/environment.hpp>
#include <tess/device/cuda/nccl.hpp>

using namespace tess;

namespace {

/// An address of this machine at which nobody listens.
std::string free_address() {
  const int s = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in a{};
  a.sin_family = AF_INET, a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(a);
  REQUIRE(::bind(s, reinterpret_cast<sockaddr*>(&a), size) == 0);
  REQUIRE(::getsockname(s, reinterpret_cast<sockaddr*>(&a), &size) == 0);
  ::close(s);
  return "127.0.0.1:" + std::to_string(ntohs(a.sin_port));
}
const auto no_bytes = []() -> std::string { fail("only process 0 makes them"); };
std::string error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}
bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }
std::string join(const std::string& address, index_t process, index_t processes, double patience = 10) {
  return cuda::brought_from_first({address, process, processes, patience}, no_bytes);
}

/// Connects to `address`, says `words`, and keeps the connection.
cuda::detail::Socket guest(const std::string& address, const std::string& words) {
  const cuda::detail::Addresses known(address, false);
  for (int turn = 0; turn < 100; ++turn) {
    cuda::detail::Socket s = cuda::detail::connected(known.first, cuda::detail::after_seconds(1));
    if (s) {
      CHECK(s.send_all(words, cuda::detail::after_seconds(1)));
      return s;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  fail("nobody listens");
}

}  // namespace

TEST_CASE("four processes: the id that the first makes comes to all") {
  const std::string address = free_address(), id = cuda::make_nccl_id();
  REQUIRE(id.size() == 128);
  std::vector<pid_t> children;
  for (index_t p = 1; p < 4; ++p) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      bool same = false;
      try {
        same = join(address, p, 4) == id;
      } catch (const Error&) {
      }
      ::_exit(same ? 0 : 1);
    }
    children.push_back(child);
  }
  CHECK(cuda::brought_from_first({address, 0, 4, 10}, [&] { return id; }) == id);
  for (const pid_t child : children) {
    int status = 1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
  }
}

TEST_CASE("one process alone needs no address") {
  CHECK(cuda::brought_from_first({"", 0, 1, 1}, [] { return std::string("abc"); }) == "abc");
}

TEST_CASE("who connects and says nothing, nonsense or half a hello does not keep the others waiting") {
  const std::string address = free_address();
  auto first = std::async(std::launch::async, [&] {
    return cuda::brought_from_first({address, 0, 3, 20}, [] { return std::string("the id"); });
  });
  const auto silent = guest(address, ""), web = guest(address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
             cut_short = guest(address, "Tes"), zeros = guest(address, std::string(64, '\0'));
  std::string hello = cuda::detail::packed_words<4>({cuda::detail::meeting_magic, cuda::detail::meeting_version, 3, 7});
  const auto unknown = guest(address, hello);  // no process 7 of 3
  const auto start = std::chrono::steady_clock::now();
  auto second = std::async(std::launch::async, [&] { return join(address, 2, 3); });
  CHECK(join(address, 1, 3) == "the id");
  CHECK(second.get() == "the id");
  CHECK(first.get() == "the id");
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(4));
}

TEST_CASE("a process that asks twice does not stand for another") {
  const std::string address = free_address();
  auto first = std::async(std::launch::async, [&] {
    return error_of([&] { cuda::brought_from_first({address, 0, 3, 0.5}, [] { return std::string("id"); }); });
  });
  CHECK(join(address, 2, 3) == "id");
  CHECK(join(address, 2, 3) == "id");
  const std::string error = first.get();
  CHECK(contains(error, "2 of 3 processes met at " + address));
  CHECK(contains(error, "missing: 1"));
}

TEST_CASE("where nobody listens, one gives up after its patience") {
  const std::string address = free_address();
  const std::string error = error_of([&] { join(address, 1, 2, 0.3); });
  CHECK(contains(error, "process 1 waited"));
  CHECK(contains(error, address));
  CHECK(contains(error, "nobody listens"));
}

TEST_CASE("another program at the port, another number of processes, a port that is taken") {
  const std::string address = free_address();
  const cuda::detail::Socket door = cuda::detail::listener(address);
  CHECK(contains(error_of([&] {
                   cuda::brought_from_first({address, 0, 2, 1}, [] { return std::string("id"); });
                 }),
                 "cannot listen at " + address));
  auto asks = std::async(std::launch::async, [&] { return error_of([&] { join(address, 1, 2); }); });
  REQUIRE(door.wait(POLLIN, cuda::detail::after_seconds(5)));
  const cuda::detail::Socket s(::accept(door.number(), nullptr, nullptr));
  CHECK(s.send_all("SSH-2.0-OpenSSH_9.2p1 Debian", cuda::detail::after_seconds(1)));
  CHECK(contains(asks.get(), "another program listens"));

  const std::string other = free_address();
  auto first = std::async(std::launch::async, [&] {
    return error_of([&] { cuda::brought_from_first({other, 0, 2, 1}, [] { return std::string("id"); }); });
  });
  CHECK(contains(error_of([&] { join(other, 1, 4); }),
                 "was told that there are 4 processes, process 0 that there are 2"));
  CHECK(contains(first.get(), "missing: 1"));
}

TEST_CASE("addresses that make no sense are errors that name them") {
  CHECK(contains(error_of([] { join("somewhere", 1, 2); }), "expected host:port"));
  CHECK(contains(error_of([] { join("no-such-host.invalid:29500", 1, 2); }), "no-such-host.invalid:29500"));
  CHECK(contains(error_of([] { join("", 1, 2); }), "MASTER_ADDR"));
  CHECK(contains(error_of([] { join("127.0.0.1:1", 2, 2); }), "no process 2 of 2"));
}

namespace {
cuda::Options options_in(const std::map<std::string, std::string>& variables) {
  return cuda::options_from_environment({}, [&](const std::string& name) -> std::optional<std::string> {
    const auto it = variables.find(name);
    return it == variables.end() ? std::nullopt : std::optional(it->second);
  });
}
}  // namespace

TEST_CASE("without a launcher there is one process") {
  const cuda::Options o = options_in({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "8"}});  // a batch script, no step of it
  CHECK(o.processes == 1);
  CHECK(o.gpus == std::vector<int>{0});
  CHECK(options_in({{"RANK", "0"}, {"WORLD_SIZE", "1"}}).processes == 1);
}

TEST_CASE("torchrun, Open MPI, MPICH, Slurm and our own variables") {
  const auto check = [](const cuda::Options& o, index_t process, index_t processes, int gpu,
                        const std::string& meeting) {
    CHECK(o.process == process);
    CHECK(o.processes == processes);
    CHECK(o.gpus == std::vector<int>{gpu});
    CHECK(o.meeting == meeting);
  };
  check(options_in({{"RANK", "11"},
                    {"WORLD_SIZE", "16"},
                    {"LOCAL_RANK", "3"},
                    {"LOCAL_WORLD_SIZE", "8"},
                    {"MASTER_ADDR", "node7"},
                    {"MASTER_PORT", "1234"}}),
        11, 16, 3, "node7:1234");
  check(options_in({{"RANK", "1"},
                    {"WORLD_SIZE", "2"},
                    {"LOCAL_RANK", "1"},
                    {"LOCAL_WORLD_SIZE", "2"},
                    {"MASTER_ADDR", "127.0.0.1"},
                    {"MASTER_PORT", "29500"},
                    {"TORCHELASTIC_USE_AGENT_STORE", "True"}}),  // torchrun listens at MASTER_PORT itself
        1, 2, 1, "127.0.0.1:29501");
  check(options_in({{"OMPI_COMM_WORLD_RANK", "5"},
                    {"OMPI_COMM_WORLD_SIZE", "8"},
                    {"OMPI_COMM_WORLD_LOCAL_RANK", "5"},
                    {"OMPI_COMM_WORLD_LOCAL_SIZE", "8"},
                    {"CUDA_VISIBLE_DEVICES", "5"}}),  // number 0 of those that it sees
        5, 8, 0, "127.0.0.1:29500");
  check(options_in({{"OMPI_COMM_WORLD_RANK", "5"},
                    {"OMPI_COMM_WORLD_SIZE", "8"},
                    {"OMPI_COMM_WORLD_LOCAL_RANK", "5"},
                    {"OMPI_COMM_WORLD_LOCAL_SIZE", "8"}}),
        5, 8, 5, "127.0.0.1:29500");
  check(options_in({{"PMI_RANK", "1"},
                    {"PMI_SIZE", "2"},
                    {"MPI_LOCALRANKID", "0"},
                    {"MPI_LOCALNRANKS", "1"},
                    {"TESS_MEETING", "[fe80::1]:77"}}),
        1, 2, 0, "[fe80::1]:77");
  check(options_in({{"SLURM_PROCID", "9"},
                    {"SLURM_STEP_NUM_TASKS", "16"},
                    {"SLURM_LOCALID", "1"},
                    {"SLURM_STEP_NODELIST", "node[07-12,20],gpu3"}}),
        9, 16, 1, "node07:29500");
  check(options_in({{"SLURM_PROCID", "0"},
                    {"SLURM_STEP_NUM_TASKS", "2"},
                    {"SLURM_LOCALID", "0"},
                    {"SLURM_STEP_NODELIST", "gpu3,gpu4"}}),
        0, 2, 0, "gpu3:29500");
  check(options_in({{"TESS_PROCESS", "1"},
                    {"TESS_PROCESSES", "2"},
                    {"TESS_LOCAL_PROCESS", "1"},
                    {"TESS_LOCAL_PROCESSES", "2"},
                    {"RANK", "0"},
                    {"WORLD_SIZE", "4"}}),
        1, 2, 1, "127.0.0.1:29500");
}

TEST_CASE("variables that make no sense are errors that name them") {
  CHECK(contains(error_of([] { options_in({{"RANK", "x"}, {"WORLD_SIZE", "2"}}); }), "RANK is \"x\""));
  CHECK(contains(error_of([] { options_in({{"RANK", "2"}, {"WORLD_SIZE", "2"}}); }), "numbered from 0"));
  CHECK(contains(error_of([] { options_in({{"RANK", "1"}, {"WORLD_SIZE", "2"}}); }), "LOCAL_RANK"));
  CHECK(contains(error_of([] {
                   options_in({{"RANK", "1"}, {"WORLD_SIZE", "2"}, {"LOCAL_RANK", "0"}, {"LOCAL_WORLD_SIZE", "1"}});
                 }),
                 "MASTER_ADDR"));
  CHECK(contains(error_of([] { options_in({{"RANK", "-1"}, {"WORLD_SIZE", "2"}}); }), "RANK is \"-1\""));
}
