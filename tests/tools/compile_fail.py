#!/usr/bin/env python3
"""Programs that must not compile, and what the compiler has to say about them.

compile_fail.py fail|ok FILE COMPILER [FLAGS...]

A case is one file about one rule:

    // Every mesh axis that a spec names has to exist.        the rule, in one sentence
    // expect: the spec names an axis that the mesh lacks     a regular expression to find in the messages of any compiler
    // expect-GNU: mesh_has_no_such_axis<modle              … of g++ only; also expect-Clang, expect-NVCC
    // errors: 1                                             how many errors, 1 when not said: a mistake does not cascade
    #include <tess/...>
    #ifdef MUST_NOT_COMPILE
    the bad line
    #else
    the nearest good line
    #endif

`fail` compiles the bad line and looks at the messages, of which there may be at most LINES lines without the quoted
source; `ok` compiles the good one. Write a bracket of a message as \\[ in a regular expression.
"""
import dataclasses
import os
import pathlib
import re
import subprocess
import sys

LINES = 12  # what a person still reads
KEY = re.compile(r"//\s*(expect(?:-(?P<compiler>\w+))?|errors):\s*(?P<value>.*\S)")


@dataclasses.dataclass
class Case:
    rule: str
    expected: list  # of (compiler or None, regex)
    errors: int
    code: list  # the lines after the comment at the top

    def branch(self, bad):
        """The code with only its bad, or only its good lines; and those lines alone."""
        whole, alone, inside = [], [], None  # inside: None, or whether these lines are the bad ones
        for line in self.code:
            if re.match(r"#\s*ifdef MUST_NOT_COMPILE", line):
                inside = True
            elif re.match(r"#\s*ifndef MUST_NOT_COMPILE", line):
                inside = False
            elif inside is not None and re.match(r"#\s*else", line):
                inside = not inside
            elif inside is not None and re.match(r"#\s*endif", line):
                inside = None
            elif inside is None or inside == bad:
                whole.append(line)
                if inside is not None:
                    alone.append(line)
        return whole, alone


def parse(file):
    lines = pathlib.Path(file).read_text().splitlines()
    top = next((i for i, line in enumerate(lines) if not line.startswith("//")), len(lines))
    keys = [match for line in lines[:top] if (match := KEY.match(line))]
    expected = [(key["compiler"], key["value"]) for key in keys if key[1] != "errors"]
    errors = [int(key["value"]) for key in keys if key[1] == "errors"]
    rule = lines[0].removeprefix("//").strip() if top and not KEY.match(lines[0]) else ""
    return Case(rule, expected, errors[0] if errors else 1, lines[top:])


def compile(compiler, flags, cwd=None):
    """Exit status and messages, without the quoted source, in plain ASCII."""
    name = compiler_id(compiler)
    quiet = {"GNU": ["-fsyntax-only", "-fno-diagnostics-show-caret"],
             "Clang": ["-fsyntax-only", "-fno-caret-diagnostics", "-fno-color-diagnostics"],
             "NVCC": ["-x", "cu", "--cuda", "-o", os.devnull]}
    command = [compiler, "-std=c++20", *quiet[name], *flags]
    done = subprocess.run(command, cwd=cwd, env={**os.environ, "LC_ALL": "C"}, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace")
    return done.returncode, with_arguments(done.stdout) if name == "NVCC" else done.stdout


def compiler_id(compiler):
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout
    return "Clang" if "clang" in version else "NVCC" if "nvcc" in version else "GNU"


def with_arguments(messages):
    """nvcc says `the_error<Lhs, Rhs> [with Lhs=…, Rhs=…]`, and quotes the source: this puts the arguments in their places,
    as g++ and clang do, and drops the quote."""
    lines, quoting = [], False
    for line in messages.splitlines():
        if re.match(r"\s+detected during:", line) or not line.startswith(" "):
            quoting = False
        if not quoting and line.strip():
            lines.append(re.sub(r"\b(\d+)L\b", r"\1", re.sub(r'"([^"<]*<)[^"]*?> \[with ([^"]*)\]"', named_arguments, line)))
        quoting = quoting or " error: " in line
    return "\n".join(lines) + "\n"


def named_arguments(match):
    arguments, depth = [""], 0
    for c in match[2]:
        depth += (c in "<([") - (c in ">)]")
        if c == "," and depth == 0:
            arguments.append("")
        else:
            arguments[-1] += c
    return f'"{match[1]}{", ".join(a.strip().partition("=")[2] for a in arguments)}>"'


def own_text(messages):
    """The lines of a diagnostic that speak about the mistake: not how the headers were reached, nor the final count."""
    return [line for line in messages.splitlines()
            if not re.match(r"In file included from |  +from |\d+ errors? (generated|detected)", line)]


def must_fail(case, compiler, flags):
    """Yields one sentence for everything that is not as the case says."""
    status, messages = compile(compiler, ["-DMUST_NOT_COMPILE", *flags])
    if status == 0:
        yield "it compiled, but must not"
        return
    if status < 0 or "internal compiler error" in messages or "Please submit a full bug report" in messages:
        yield "the compiler crashed"
    expected = [regex for only, regex in case.expected if only in (None, compiler_id(compiler))]
    if not any(only is None for only, _ in case.expected):
        yield "the case has no `// expect:` line"
    for regex in expected:
        if not re.search(regex, messages):
            yield f"the messages do not match\n    {regex}"
    found = len(re.findall(r"\b(?:fatal )?error: ", messages))
    if found != case.errors:
        yield f"{found} errors instead of {case.errors}"
    lines = len(own_text(messages))
    if lines > LINES:
        yield f"{lines} lines of messages, more than {LINES}"
    if not case.rule:
        yield "the first line does not say the rule"
    if case.branch(bad=True)[1] == [] or case.branch(bad=False)[1] == []:
        yield "the case lacks `#ifdef MUST_NOT_COMPILE … #else … #endif`"


def must_compile(compiler, flags):
    status, _ = compile(compiler, flags)
    if status != 0:
        yield "the control (without MUST_NOT_COMPILE) must compile, but did not"


def main(mode, file, compiler, *flags):
    faults = must_fail(parse(file), compiler, [*flags, file]) if mode == "fail" else must_compile(compiler, [*flags, file])
    faults = list(faults)
    if faults:
        bad = ["-DMUST_NOT_COMPILE"] if mode == "fail" else []
        print(f"{file}:", *faults, "", "the messages were:", compile(compiler, [*bad, *flags, file])[1], sep="\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
