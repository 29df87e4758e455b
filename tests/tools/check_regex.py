#!/usr/bin/env python3
"""The regular expressions of partition rules answer as Python's, which the reference uses: random patterns against both.

check_regex.py [--compiler g++] [--summary FOLDER]

Patterns are strung together from the parts that sharding/regex.hpp reads and from some that it does not. What Python takes and
we refuse must contain one of the latter; where both answer, the answers are equal.
"""
import argparse
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import warnings

INCLUDE = pathlib.Path(__file__).resolve().parents[2] / "include"
READ = ["a", "b", "c", "_", "1", "A", ".", "[ab]", "[^a]", "[a-c]", "[A-C1]", "[]a]", "[\\d_]", "[a-]", "\\d", "\\w", "\\W", "\\s",
        "\\.", "(a|b)", "(?:ab)", "(?!a)", "(?=b)", "(b(?!c)|c)", "^", "$", "]"]
NOT_READ = ["{2}", "\\b", "(?<=a)", "(?P<n>a)"]
REPEATS = ["", "", "", "*", "+", "?", "*?", "+?", "??"]
COUNT, SEED = 40000, 7
PROGRAM = """
#include <iostream>
#include <string>
#include <tess/sharding/regex.hpp>
int main() {
  using tess::detail::Regex;
  std::string pattern, text;
  while (std::getline(std::cin, pattern) && std::getline(std::cin, text))
    std::cout << (!Regex::understands(pattern) ? '?' : Regex::match(pattern, text) ? '1' : '0');
}
"""


def questions():
    draw = random.Random(SEED)

    def sequence(most):
        parts = READ + NOT_READ if draw.randrange(8) == 0 else READ
        return "".join(draw.choice(parts) + draw.choice(REPEATS) for _ in range(draw.randrange(most)))

    for _ in range(COUNT):
        pattern = ("(?i)" if draw.randrange(5) == 0 else "") + sequence(6) + ("|" + sequence(4) if draw.randrange(3) == 0 else "")
        yield pattern, "".join(draw.choice("aabbccA_1. x") for _ in range(draw.randrange(8)))


def python(pattern, text):
    try:
        return "1" if re.match(pattern, text) else "0"
    except re.error:
        return "?"


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--compiler", default="g++")
    arguments.add_argument("--summary", type=pathlib.Path)
    given = arguments.parse_args()
    warnings.simplefilter("ignore")
    asked = list(questions())
    with tempfile.TemporaryDirectory() as folder:
        source, program = pathlib.Path(folder, "regex.cpp"), pathlib.Path(folder, "regex")
        source.write_text(PROGRAM)
        subprocess.run([given.compiler, "-std=c++20", "-O1", "-I", str(INCLUDE), str(source), "-o", str(program)], check=True)
        ours = subprocess.run([program], input="".join(f"{p}\n{t}\n" for p, t in asked), capture_output=True, text=True,
                              check=True).stdout
    both, wrong = 0, []
    for (pattern, text), our in zip(asked, ours, strict=True):
        theirs = python(pattern, text)
        both += "?" not in (our, theirs)
        needlessly = our == "?" and theirs != "?" and not any(part in pattern for part in NOT_READ)
        if needlessly or (our != theirs and "?" not in (our, theirs)):
            wrong.append(f"{pattern!r} on {text!r}: ours {our}, Python's {theirs}")
    result = f"{both} random patterns answered as by Python's re.match, seed {SEED}"
    print("\n".join(wrong[:20]) if wrong else result)
    if given.summary and not wrong:
        given.summary.mkdir(parents=True, exist_ok=True)
        (given.summary / "regex.tsv").write_text(f"proof\tregular expressions\t{result}\n")
    return 1 if wrong or both < COUNT / 2 else 0


if __name__ == "__main__":
    sys.exit(main())
