#!/usr/bin/env python3
"""The include graph is the architecture: a header includes only from its own folder or from a lower layer.

check_layers.py include/tess
"""
import pathlib
import re
import sys

# Lowest first. Folders of one layer do not include each other; headers beside the folders (tess.hpp) are on top. device/cuda
# is a layer of its own, which nothing in the library includes.
LAYERS = [["core"], ["mesh", "tensor"], ["sharding"], ["comm"], ["device"], ["ops"], ["nn", "io"], ["generate"], ["cuda"]]
RANK = {folder: rank for rank, layer in enumerate(LAYERS) for folder in layer}
TOP = len(LAYERS)
STANDARD_ONLY = RANK["comm"]  # up to here nothing but the standard library is included


def folder_of(name):
    """The folder of a header, whose path inside include/tess is given; None beside the folders."""
    if name.parts[0] == "device" and name.parts[1] in ("cuda", "cuda.hpp"):
        return "cuda"
    return name.parts[0] if len(name.parts) > 1 else None


def includes(header):
    return re.findall(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', header.read_text(), re.MULTILINE)


def check(root):
    """Yields one sentence for every broken rule."""
    below = {}  # header → the headers it includes
    for header in sorted(root.rglob("*.hpp")):
        name = header.relative_to(root)
        folder = folder_of(name)
        if folder is not None and folder not in RANK:
            yield f"{name}: the folder {folder}/ has no layer; give it one in {pathlib.Path(__file__).name}"
            continue
        rank = TOP if folder is None else RANK[folder]
        below[header] = []
        for bracket, target in includes(header):
            if bracket == "<":
                if target.startswith("tess/"):
                    yield f'{name} includes <{target}>: inside the library includes are relative, "../folder/header.hpp"'
                elif rank <= STANDARD_ONLY and not re.fullmatch(r"[a-z_]+", target):
                    yield f"{name} includes <{target}>: {folder}/ needs nothing but the standard library"
                continue
            if target.startswith("emulated_"):  # tests/emulation
                continue
            path = (header.parent / target).resolve()
            if not path.is_file() or root not in path.parents:
                yield f'{name} includes "{target}", which is not a header of the library'
                continue
            below[header].append(path)
            other = folder_of(path.relative_to(root))
            other_rank = TOP if other is None else RANK.get(other, TOP)
            if other is not None and other == folder:
                continue
            if other_rank >= rank and rank < TOP:
                yield f'{name} (layer {folder}) includes "{target}", which is not below it'
    yield from cycles(below, root)
    yield from unreachable(below, root)


def unreachable(below, root):
    whole = [root / name for name in ("tess.hpp", "cuda.hpp")]
    if whole[0] not in below:
        return
    seen, waiting = set(), list(whole)
    while waiting:
        header = waiting.pop()
        if header not in seen:
            seen.add(header)
            waiting += below.get(header, [])
    for header in below:
        if header not in seen and header not in whole:
            yield f"neither tess.hpp nor cuda.hpp reaches {header.relative_to(root)}"


def cycles(below, root):
    state = {}  # absent: not seen; 1: on the path; 2: done

    def visit(header, path):
        if state.get(header) == 2:
            return
        if state.get(header) == 1:
            yield "a cycle: " + " → ".join(str(h.relative_to(root)) for h in [*path[path.index(header):], header])
            return
        state[header] = 1
        for other in below.get(header, []):
            yield from visit(other, [*path, header])
        state[header] = 2

    for header in below:
        yield from visit(header, [])


if __name__ == "__main__":
    faults = list(check(pathlib.Path(sys.argv[1]).resolve()))
    print("\n".join(faults))
    sys.exit(1 if faults else 0)
