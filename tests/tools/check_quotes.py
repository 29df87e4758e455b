#!/usr/bin/env python3
"""What the pages quote is what the programs are: code, output and error texts in README.md and docs/ are kept current,
and every link inside the repository leads somewhere.

check_quotes.py [--write] [--programs build/dev/examples] [--compiler g++]

A comment before a fenced block says where the block comes from:

    <!-- quote: examples/02_sharded_matmul.cpp#partial -->   the lines between `// [quote:partial]` and `// [/quote]`
    <!-- quote: scripts/grok1 -->                            a whole file
    <!-- output: example_02_sharded_matmul -->               what the program prints (with `--programs`)
    <!-- output: grok1 plan --mesh 1x8, lines 1-5 -->        … with arguments, and of that the first five lines
    <!-- error: tests/compile_fail/readme.cpp -->            what g++ 12 says about a case (with that compiler)
"""
import argparse
import pathlib
import re
import shlex
import subprocess
import sys
import textwrap

import compile_fail
import make_errors_md

ROOT = pathlib.Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"(?P<marker><!-- (?P<kind>quote|output|error): (?P<source>[^\n]+?)(?:, lines (?P<first>\d+)-(?P<last>\d+))? -->\n"
                   r"```\w*\n)(?P<text>.*?)(?=^```$)", re.MULTILINE | re.DOTALL)

LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")


def quoted(source):
    name, _, region = source.partition("#")
    text = (ROOT / name).read_text()
    if not region:
        return text
    found = re.search(rf"^ *// \[quote:{re.escape(region)}\]\n(.*?)^ *// \[/quote\]$", text, re.MULTILINE | re.DOTALL)
    if not found:
        raise ValueError(f"{name} has no lines between `// [quote:{region}]` and `// [/quote]`")
    return textwrap.dedent(found[1])


def printed(programs, command):
    if programs is None:
        return None
    name, *arguments = shlex.split(command)
    done = subprocess.run([programs / name, *arguments], capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise ValueError(f"{command} ended with {done.returncode}")
    return done.stdout


def said(compiler, name):
    version = subprocess.run([compiler, "-dumpversion"], capture_output=True, text=True, check=True).stdout
    if compile_fail.compiler_id(compiler) != "GNU" or version.split(".")[0].strip() != make_errors_md.GCC:
        return None
    bad, _ = compile_fail.parse(ROOT / name).branch(bad=True)
    return "\n".join(make_errors_md.messages(compiler, make_errors_md.trimmed(bad))) + "\n"


def current(block, given):
    """The text that the block should have; None where that cannot be found out here."""
    kind, source = block["kind"], block["source"]
    text = {"quote": lambda: quoted(source), "output": lambda: printed(given.programs, source),
            "error": lambda: said(given.compiler, source)}[kind]()
    if text is not None and block["first"]:
        text = "".join(text.splitlines(True)[int(block["first"]) - 1 : int(block["last"])])
    return text


def check(page, given):
    """Yields one sentence for every block that is not current; with --write, mends it."""
    old = page.read_text()
    faults = []

    def mend(block):
        try:
            text = current(block, given)
        except (ValueError, OSError) as error:
            faults.append(f"{page.relative_to(ROOT)}: {error}")
            return block[0]
        if text is None or text == block["text"]:
            return block[0]
        if not given.write:
            faults.append(f"{page.relative_to(ROOT)}: not current: {block['kind']} {block['source']}")
        return block["marker"] + text

    new = BLOCK.sub(mend, old)
    blocks = len(BLOCK.findall(old))
    if blocks != len(re.findall(r"^<!-- (?:quote|output|error):", old, re.MULTILINE)):
        faults.append(f"{page.relative_to(ROOT)}: a marker is not followed by a fenced block")
    for target in LINK.findall(re.sub(r"^```.*?^```$", "", old, flags=re.MULTILINE | re.DOTALL)):
        if not (page.parent / target).exists():
            faults.append(f"{page.relative_to(ROOT)}: the link to {target} leads nowhere")
    if given.write and new != old:
        page.write_text(new)
    return blocks, faults


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--write", action="store_true")
    arguments.add_argument("--programs", type=pathlib.Path)
    arguments.add_argument("--compiler", default="g++")
    given = arguments.parse_args()
    total, faults = 0, []
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        blocks, found = check(page, given)
        total, faults = total + blocks, faults + found
    if total == 0:
        faults.append("no page quotes anything: is this the right folder?")
    print("\n".join(faults) if faults else f"{total} quotes are current")
    if faults:
        print("Mend the quotes: tests/tools/check_quotes.py --write --programs <build>/examples")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
