"""Compiles a CUDA source for one architecture and holds its kernels to a table of registers and spilled bytes.

  kernel_budget.py --nvcc nvcc --arch 90a --budget kernels.txt -I include source.cu

A line of the table: registers a thread, at most; spilled bytes, at most; the kernel's name (a regular expression on the
demangled signature); `#` begins a comment. The first line that matches counts; a kernel that none matches must not spill. A
line that matches no kernel of any architecture it is for is an error. `@80 @90a` at a line's end: for these architectures only.
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile


def read_budget(path, arch):
    lines = []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            line = line.split("#")[0].split()
            if not line:
                continue
            archs = [word[1:] for word in line if word.startswith("@")]
            registers, spilled, *name = [word for word in line if not word.startswith("@")]
            if not archs or arch in archs:
                lines.append((number, int(registers), int(spilled), re.compile(" ".join(name))))
    return lines


def kernels(log):
    """(mangled name, registers, spilled bytes) of every kernel in ptxas' report."""
    found, name, spilled = [], None, 0
    for line in log.splitlines():
        if match := re.search(r"Compiling entry function '(\w+)'", line):
            name, spilled = match[1], 0
        elif match := re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", line):
            spilled = int(match[1]) + int(match[2])
        elif (match := re.search(r"Used (\d+) registers", line)) and name:
            found.append((name, int(match[1]), spilled))
            name = None
    return found


def demangled(names):
    text = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True).stdout
    return [re.sub(r"^void ", "", line) for line in text.splitlines()]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--nvcc", required=True)
    parser.add_argument("--arch", required=True)
    parser.add_argument("--budget", required=True)
    parser.add_argument("--list", action="store_true", help="print every kernel")
    parser.add_argument("-I", dest="include", action="append", default=[])
    parser.add_argument("source")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        command = [options.nvcc, "-std=c++20", "-O3", "-x", "cu", "-cubin", "--expt-relaxed-constexpr", "-Werror", "all-warnings",
                   "-Xptxas", "-v", f"-gencode=arch=compute_{options.arch},code=sm_{options.arch}",
                   *[f"-I{i}" for i in options.include], "-o", os.path.join(folder, "kernels.cubin"), options.source]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    log = result.stdout + result.stderr
    if result.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{log[-8000:]}")
    problems = [line for line in log.splitlines() if re.search(r"C75\d\d|wgmma.*serialized|setmaxnreg.*ignored", line)]
    budget = read_budget(options.budget, options.arch)
    found = kernels(log)
    if not found:
        sys.exit("no kernel was compiled\n" + log[-4000:])
    used = set()
    for (_, registers, spilled), name in zip(found, demangled([f[0] for f in found])):
        most_registers, most_spilled, number = 255, 0, None
        for number_, registers_, spilled_, pattern in budget:
            if pattern.search(name):
                most_registers, most_spilled, number = registers_, spilled_, number_
                break
        used.add(number)
        if options.list or number:
            print(f"{registers:4} registers {spilled:5} spilled  {name[:150]}")
        if registers > most_registers or spilled > most_spilled:
            problems.append(f"{name}\n  uses {registers} registers and spills {spilled} bytes; "
                            f"the budget is {most_registers} and {most_spilled}")
    problems += [f"{options.budget}:{number}: no kernel has this name" for number, *_ in budget if number not in used]
    print(f"sm_{options.arch}: {len(found)} kernels, {sum(1 for f in found if f[2])} of them spill")
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
