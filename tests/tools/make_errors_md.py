#!/usr/bin/env python3
"""docs/errors.md: every rule of tests/compile_fail with code that breaks it, what g++ says, and code that keeps it.

make_errors_md.py [--check] [--compiler g++]       writes the page, or checks that it is up to date

The messages are those of g++ 12. Another version words them differently; with one, --check leaves with 77, "skipped".
"""
import argparse
import difflib
import pathlib
import re
import subprocess
import sys
import tempfile

import compile_fail

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "errors.md"
COMMAND = "scripts/docs-errors"
GCC = "12"
HEAD = f"""# What the compiler says

One section a rule: code that breaks it, what g++ {GCC} says about it (without the quoted source), and the nearest code
that compiles. `{COMMAND}` makes this page from the tests in `tests/compile_fail/`, so every text here is a real one.
"""


def messages(compiler, code):
    """What the compiler says about the lines of code as a person meets it: no folders, no line numbers of ours, and no
    numbers of `auto` parameters, which count those of all headers before."""
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "example.cpp").write_text("\n".join(code) + "\n")
        _, text = compile_fail.compile(compiler, ["-I", str(ROOT / "include"), "example.cpp"], cwd=folder)
    text = text.replace(str(ROOT / "include") + "/", "")
    text = re.sub(r"\w+/\.\./", "", text)
    text = re.sub(r"(?:[\w.]+/)*(tess/[\w/.]+\.hpp):\d+:\d+:", r"\1:", text)
    text = re.sub(r"\bauto:\d+\b", "auto", text)
    return compile_fail.own_text(text)


def section(compiler, file):
    case = compile_fail.parse(file)
    bad, _ = case.branch(bad=True)
    good_whole, good = case.branch(bad=False)
    said = messages(compiler, trimmed(bad))
    return "\n".join([f"## {case.rule.rstrip('.')}", "",
                      "```cpp", *trimmed(bad), "```", "```text", *said, "```",
                      "Instead:", "```cpp", *trimmed(good or good_whole), "```",
                      f"<sub>[tests/compile_fail/{file.name}](../tests/compile_fail/{file.name})</sub>", ""])


def trimmed(lines):
    """Without empty lines at either end."""
    return "\n".join(lines).strip("\n").split("\n")


def page(compiler):
    files = sorted((ROOT / "tests" / "compile_fail").glob("*.cpp"))
    return "\n".join([HEAD, *(section(compiler, file) for file in files)])


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--check", action="store_true")
    arguments.add_argument("--compiler", default="g++")
    given = arguments.parse_args()

    version = subprocess.run([given.compiler, "-dumpversion"], capture_output=True, text=True, check=True).stdout.strip()
    if version.split(".")[0] != GCC:
        print(f"{given.compiler} is version {version}; the page quotes g++ {GCC}")
        return 77 if given.check else 1
    new = page(given.compiler)
    if not given.check:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(new)
        return 0
    old = PAGE.read_text() if PAGE.exists() else ""
    if new != old:
        sys.stdout.writelines(difflib.unified_diff(old.splitlines(True), new.splitlines(True), "docs/errors.md", "now"))
        print(f"\ndocs/errors.md is not what the compiler says now: run {COMMAND} and commit the result")
    return 0 if new == old else 1


if __name__ == "__main__":
    sys.exit(main())
