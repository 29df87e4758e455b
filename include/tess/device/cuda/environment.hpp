// What mpirun, srun, torchrun and others tell a process about itself, as options of the Cuda device.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <charconv>
#include <cstdlib>
#include <functional>
#include <optional>
#include <string>

#include "options.hpp"

namespace tess::cuda {

/// A variable of the environment, none where it is not set.
using Environment = std::function<std::optional<std::string>(const std::string&)>;
inline std::optional<std::string> of_this_process(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value ? std::optional<std::string>(value) : std::nullopt;
}

namespace detail {
/// A launcher, and the variables in which it says which process this is, of how many, and the same on this machine;
/// nullptr where it does not.
struct Launcher {
  const char *name, *process, *processes, *here, *all_here;
};
inline constexpr Launcher launchers[] = {
    {"Tessera", "TESS_PROCESS", "TESS_PROCESSES", "TESS_LOCAL_PROCESS", "TESS_LOCAL_PROCESSES"},
    {"torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"},
    {"Open MPI", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
     "OMPI_COMM_WORLD_LOCAL_SIZE"},
    {"MPICH", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"},
    {"Slurm", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", nullptr},
};

inline std::optional<index_t> number_in(const Environment& get, const char* name) {
  const std::optional<std::string> text = name ? get(name) : std::nullopt;
  if (!text || text->empty()) return std::nullopt;
  index_t value = 0;
  const char* const end = text->data() + text->size();
  const auto [at, error] = std::from_chars(text->data(), end, value);
  if (error != std::errc() || at != end || value < 0)
    fail("[cuda] ", name, " is \"", *text, "\": a number was expected");
  return value;
}

/// The first of a list such as "node[07-12,20],gpu3": node07.
inline std::string first_of_nodes(const std::string& list) {
  const std::size_t open = list.find_first_of("[,");
  if (open == std::string::npos || list[open] == ',') return list.substr(0, open);
  const std::size_t end = list.find_first_of("-,]", open);
  return end == std::string::npos ? std::string() : list.substr(0, open) + list.substr(open + 1, end - open - 1);
}
/// Where a process sees one GPU only, it is number 0, whoever the process is.
inline int gpu_of_process(const Environment& get, index_t here) {
  const std::string visible = get("CUDA_VISIBLE_DEVICES").value_or("");
  if (!visible.empty() && visible.find(',') == std::string::npos) return 0;
  if (here > 1023) fail("[cuda] process ", here, " of one machine: at most 1024 have a GPU each");
  return static_cast<int>(here);
}
/// torchrun's own store has MASTER_PORT.
inline std::string port_to_meet_at(const Environment& get) {
  const index_t port = number_in(get, "MASTER_PORT").value_or(29500);
  if (get("TORCHELASTIC_USE_AGENT_STORE") != "True") return std::to_string(port);
  return std::to_string(port < 65535 ? port + 1 : port - 1);
}
}  // namespace detail

/// One GPU for each process where a launcher started several (TESS_PROCESS and TESS_PROCESSES, torchrun, mpirun,
/// srun, tried in this order): the one whose number is that of the process on its machine, or the only one that it sees
/// (CUDA_VISIBLE_DEVICES). They meet at TESS_MEETING ("host:port"), else at MASTER_ADDR:MASTER_PORT (under torchrun,
/// which listens there, at the next port); else on the first node of a Slurm job, or on this machine where
/// all are here, at port 29500. Otherwise one process with the options given. Throws Error for values that make no
/// sense.
inline Options options_from_environment(Options options = {}, const Environment& get = of_this_process) {
  for (const detail::Launcher& l : detail::launchers) {
    const std::optional<index_t> process = detail::number_in(get, l.process),
                                 processes = detail::number_in(get, l.processes);
    if (!process || !processes) continue;
    if (*process >= *processes)
      fail("[cuda] ", l.process, " = ", *process, " and ", l.processes, " = ", *processes,
           ": processes are numbered from 0");
    if (*processes == 1) continue;
    options.process = *process, options.processes = *processes;
    const std::optional<index_t> here = detail::number_in(get, l.here), all_here = detail::number_in(get, l.all_here);
    if (!here && all_here != processes)
      fail("[cuda] ", l.name, " does not say which process this is on its machine: set ", l.here);
    options.gpus = {detail::gpu_of_process(get, here ? *here : *process)};
    const std::string port = detail::port_to_meet_at(get);
    if (const auto meeting = get("TESS_MEETING")) options.meeting = *meeting;
    else if (const auto address = get("MASTER_ADDR")) options.meeting = *address + ":" + port;
    else if (all_here == processes) options.meeting = "127.0.0.1:" + port;
    else if (const auto nodes = get("SLURM_STEP_NODELIST"))
      options.meeting = detail::first_of_nodes(*nodes) + ":" + port;
    else
      fail("[cuda] ", *processes,
           " processes on several machines need an address to meet at: set MASTER_ADDR to the machine "
           "of process 0, and MASTER_PORT if 29500 is taken");
    return options;
  }
  return options;
}

}  // namespace tess::cuda
