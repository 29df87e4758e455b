#!/usr/bin/env python3
"""A picture of the terminal from a real run.

make_terminal_svg.py record TRANSCRIPT [COMMAND...]   runs the commands in a terminal and writes down what they print;
                                                      without any, those that the transcript has
make_terminal_svg.py draw TRANSCRIPT PICTURE.svg      draws the transcript

The picture in the README, anew:  docs/images/make_terminal_svg.py record docs/images/grok1.txt
                                  docs/images/make_terminal_svg.py draw docs/images/grok1.txt docs/images/grok1.svg
"""
import html
import os
import pathlib
import pty
import re
import subprocess
import sys

COLUMNS, FONT, WIDTH, HEIGHT, MARGIN = 104, 14, 8.43, 20, 18
COLOURS = {"text": "#d8dee9", "bold": "#ffffff", "faint": "#7b8696", "prompt": "#8fbc8b"}


def run(command):
    """What a command prints on a terminal, standard output and standard error together."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(COLUMNS), "TERM": "xterm"}
    program = subprocess.Popen(["bash", "-c", command], stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    chunks = []
    try:
        while chunk := os.read(ours, 65536):
            chunks.append(chunk)
    except OSError:  # Linux says so when the last program has left the terminal
        pass
    if program.wait() != 0:
        sys.exit(f"{command}: ended with {program.returncode}")
    text = b"".join(chunks).decode().replace("\r\n", "\n")
    return re.sub(r"[^\n]*\r(?:\x1b\[K)?", "", text)  # lines that were overwritten, such as a progress bar


def record(transcript, *commands):
    commands = commands or [line[2:] for line in pathlib.Path(transcript).read_text().splitlines() if line[:2] == "$ "]
    pathlib.Path(transcript).write_text("".join(f"$ {c}\n{run(c)}" for c in commands))


def lines_of(transcript):
    """Lines of at most COLUMNS (class, text) pieces; a colour lasts over line ends."""
    for raw in pathlib.Path(transcript).read_text().splitlines():
        style, pieces, column = "text", [], 0
        if raw.startswith("$ "):
            pieces, raw, column = [("prompt", "$ ")], raw[2:], 2
            style = "bold"
        for code, text in re.findall(r"(\x1b\[\d*m)|([^\x1b]+)", raw):
            if code:
                style = {"1": "bold", "2": "faint"}.get(code[2:-1], "text")
            for word in re.findall(r"\s*\S+|\s+$", text):
                if column + len(word) > COLUMNS:
                    yield pieces
                    pieces, column, word = [], 0, word.lstrip()
                pieces.append((style, word))
                column += len(word)
        yield pieces


def draw(transcript, picture):
    lines = list(lines_of(transcript))
    width, height = round(COLUMNS * WIDTH + 2 * MARGIN), len(lines) * HEIGHT + 2 * MARGIN
    rows = []
    for i, pieces in enumerate(lines):
        spans = "".join(f'<tspan class="{style}">{html.escape(text)}</tspan>' for style, text in pieces)
        rows.append(f'<text x="{MARGIN}" y="{MARGIN + HEIGHT * i + FONT}" xml:space="preserve">{spans}</text>')
    styles = " ".join(f".{name} {{ fill: {colour} }}" for name, colour in COLOURS.items())
    pathlib.Path(picture).write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">\n'
        f"<style>text {{ font: {FONT}px ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace }} "
        f".bold {{ font-weight: bold }} {styles}</style>\n"
        f'<rect width="100%" height="100%" rx="8" fill="#1e2430"/>\n' + "\n".join(rows) + "\n</svg>\n")


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in ("record", "draw"):
        sys.exit(__doc__)
    {"record": record, "draw": draw}[sys.argv[1]](*sys.argv[2:])
