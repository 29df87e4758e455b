// The name of a function from its address, as the program's own symbol table has it.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cxxabi.h>
#include <elf.h>
#include <link.h>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

namespace emulation {

/// "void tess::cuda::scale<float>(float*, long)"; "at 0x…" for a stripped program. Source: elf(5).
inline std::string name_of_function(const void* function) {
  const auto address = reinterpret_cast<std::uintptr_t>(function);
  std::uintptr_t base = 0;  // where the program was loaded
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* to) {
        *static_cast<std::uintptr_t*>(to) = info->dlpi_addr;
        return 1;  // the first is the program
      },
      &base);
  std::ifstream file("/proc/self/exe", std::ios::binary);
  const auto read = [&]<class T>(std::vector<T>& to, std::uint64_t at, std::uint64_t count) {
    to.resize(count);
    file.seekg(static_cast<std::streamoff>(at));
    return static_cast<bool>(
        file.read(reinterpret_cast<char*>(to.data()), static_cast<std::streamsize>(count * sizeof(T))));
  };
  std::vector<Elf64_Ehdr> header;
  std::vector<Elf64_Shdr> sections;
  std::vector<Elf64_Sym> symbols;
  std::vector<char> names;
  std::string found;
  if (read(header, 0, 1) && read(sections, header[0].e_shoff, header[0].e_shnum))
    for (const Elf64_Shdr& s : sections) {
      if (s.sh_type != SHT_SYMTAB || s.sh_link >= sections.size()) continue;
      const Elf64_Shdr& text = sections[s.sh_link];
      if (!read(symbols, s.sh_offset, s.sh_size / sizeof(Elf64_Sym)) || !read(names, text.sh_offset, text.sh_size))
        break;
      for (const Elf64_Sym& symbol : symbols)
        if (ELF64_ST_TYPE(symbol.st_info) == STT_FUNC && base + symbol.st_value == address &&
            symbol.st_name < names.size())
          found = names.data() + symbol.st_name;
    }
  if (found.empty()) return "at " + std::to_string(address);
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> text(abi::__cxa_demangle(found.c_str(), nullptr, nullptr, &status),
                                                    std::free);
  std::string name = status == 0 ? text.get() : found;
  if (name.starts_with("void ")) name.erase(0, 5);
  return name;
}

}  // namespace emulation
