#!/usr/bin/env python3
"""tests/data/{grok,hf}.tar.xz from the goldens of ../shared, byte for byte.

pack_goldens.py [--shared FOLDER] [--out FOLDER]   (numpy; tests unpack with CMake alone)

Weights, configurations and what tests compare element by element stay as they are. What tests need one number of is
that number:

grok  `error/<stage>` is the error of the reference's `forward/stage/<stage>` against float64 (the model below, with the
      reference's experts) over the tokens that are no padding. float64 itself is kept at every fourth token,
      `truth/positions` (b * T + t), as [positions, ...]: enough to tell whether the float64 model of the tests
      (support/grok1_truth.hpp) is the reference's. Of tiny-grok it is kept at every eighth.
hf    `error/logits` is [max, rms] of transformers' own logits less `logits_f64`. mixtral_bf16's weights are mixtral's,
      rounded.
"""
import argparse
import io
import json
import lzma
import pathlib
import pickle
import sys
import tarfile

import numpy as np

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
DTYPES = {"F64": "<f8", "F32": "<f4", "BF16": "<u2", "I32": "<i4", "I64": "<i8"}
MODELS = {"mixtral", "qwen2_moe", "qwen3_moe", "qwen3_moe_nonorm", "deepseek_v3", "gpt_oss"}


# ---- safetensors, as plain as the format: tensors are (dtype, array), bf16 as its bits
def read(path):
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    metadata = header.pop("__metadata__", {})
    arrays = {name: (t["dtype"], np.frombuffer(data, DTYPES[t["dtype"]], int(np.prod(t["shape"])),
                                               start + t["data_offsets"][0]).reshape(t["shape"]))
              for name, t in header.items()}
    return arrays, metadata


def written(arrays, metadata):
    header, at = {"__metadata__": metadata}, 0
    for name, (dtype, a) in arrays.items():
        header[name] = {"dtype": dtype, "shape": list(a.shape), "data_offsets": [at, at + a.nbytes]}
        at += a.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([len(text).to_bytes(8, "little"), text] + [a.tobytes() for _, a in arrays.values()])


def f64(tensor):
    dtype, a = tensor
    return (a.astype(np.uint32) << 16).view(np.float32).astype(np.float64) if dtype == "BF16" else a.astype(np.float64)


def to_bf16(a):
    """Bits of the nearest bf16, ties to even."""
    bits = a.view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def error(found, truth):
    return np.linalg.norm(found - truth) / np.linalg.norm(truth)


# ---- Grok-1 in float64, every stage
class Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        if name == "QuantizedWeight8bit":
            return type(name, (), {})
        if name == "bfloat16":
            return np.uint16
        return super().find_class(module, name)


def weights_of(folder):
    """{module/parameter: float64}: int8 times its group's scale, unrounded."""
    weights = {}
    leaves = json.loads((folder / "config.json").read_text())["leaves"]
    for i, leaf in enumerate(leaves):
        with open(folder / f"ckpt-0/tensor{i:05}_000", "rb") as file:
            value = Unpickler(file).load()
        if not isinstance(value, np.ndarray):
            scales = f64(("BF16", value.scales.view(np.uint16)))
            value = value.weight * np.repeat(scales, value.weight.shape[-2] // scales.shape[-2], axis=-2)
        weights[leaf] = value.astype(np.float64)
    return weights


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def grok_stages(config, weights, tokens, experts):
    """{the reference's module path: [B, T, ...]}, and "logits"."""
    stages, (B, T), K = {}, tokens.shape, config["key_size"]
    bf16 = lambda v: float(f64(("BF16", to_bf16(np.array([v], np.float32))))[0])
    norm = lambda x, module: x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * weights[module + "/scale"]
    gelu = lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))

    def keep(name, x):
        stages[name] = x
        return x

    def rotated(x):
        angle = np.arange(T)[:, None] / 10000.0 ** (np.arange(0, K, 2) / K)
        a, b, cos, sin = x[..., :K // 2], x[..., K // 2:], np.cos(angle)[:, None], np.sin(angle)[:, None]
        return np.concatenate([a * cos - b * sin, b * cos + a * sin], -1)

    table = weights["language_model/in_out_embed/embeddings"]
    h = keep("language_model/in_out_embed", table[tokens]) * bf16(config["embedding_multiplier_scale"])
    for l in range(config["num_layers"]):
        layer = f"transformer/decoder_layer_{l}"
        mha = layer + "/multi_head_attention"
        x = keep(layer + "/rms_norm", norm(h, layer + "/rms_norm"))
        q, k, v = (keep(f"{mha}/{name}", x @ weights[f"{mha}/{name}/w"]) for name in ("query", "key", "value"))
        q, k = (keep(f"{mha}/rotary_embedding/{name}", rotated(y.reshape(B, T, -1, K)))
                for name, y in (("query", q), ("key", k)))
        group = config["num_q_heads"] // config["num_kv_heads"]
        scores = np.einsum("bthd,bshd->bhts", q, np.repeat(k, group, 2)) * config["attn_output_multiplier"]
        scores = np.where(np.tril(np.ones((T, T), bool)), 30 * np.tanh(scores / 30), -np.inf)
        values = np.repeat(v.reshape(B, T, -1, K), group, 2)
        attended = np.einsum("bhts,bshd->bthd", softmax(scores), values).reshape(B, T, -1)
        o = keep(mha, attended @ weights[mha + "/linear/w"])
        h = h + keep(layer + "/rms_norm_1", norm(o, layer + "/rms_norm_1"))

        x = keep(layer + "/rms_norm_2", norm(h, layer + "/rms_norm_2"))
        if experts is None:
            gate, up = (keep(f"{layer}/{name}", x @ weights[f"{layer}/{name}/w"]) for name in ("linear", "linear_v"))
            fed = keep(layer + "/linear_1", (gelu(gate) * up) @ weights[layer + "/linear_1/w"])
        else:
            p = keep(layer + "/router/probs", softmax(keep(layer + "/router/logits", x @ weights[layer + "/router/w"])))
            gate, up, down = (weights[f"{layer}/moe/{name}/w"] for name in ("linear", "linear_v", "linear_1"))
            fed = sum((p[..., e] * (experts[l] == e).any(-1))[..., None] * ((gelu(x @ gate[e]) * (x @ up[e])) @ down[e])
                      for e in range(p.shape[-1]))
            keep(layer + "/moe", fed)
        h = keep(layer, h + keep(layer + "/rms_norm_3", norm(fed, layer + "/rms_norm_3")))
    x = keep("language_model/rms_norm", norm(h, "language_model/rms_norm"))
    keep("logits", x @ table.T * bf16(config["output_multiplier_scale"]))
    return stages


def grok_golden(folder):
    golden, metadata = read(folder / "golden.safetensors")
    config = json.loads((folder / "config.json").read_text())["config"]
    tokens = golden["forward/tokens"][1]
    real = tokens > 0
    kept = np.flatnonzero(real & (np.arange(tokens.shape[1]) % 4 == 3))
    experts = golden["forward/experts"][1] if "forward/experts" in golden else None
    truth = grok_stages(config, weights_of(folder), tokens, experts)
    packed = {"truth/positions": ("I32", kept.astype(np.int32))}
    for name, tensor in golden.items():
        dtype, a = tensor
        kind, _, stage = name.partition("/stage/")
        if kind == "truth" or name == "truth/logits":
            stage = stage or "logits"
            assert error(truth[stage][real], a[real]) < 1e-12, (folder.name, stage)
            packed[name] = dtype, a.reshape(tokens.size, -1)[kept]
        elif kind == "forward" and stage:
            if stage in truth:
                theirs = f64(tensor).reshape(truth[stage].shape)
                packed["error/" + stage] = "F64", np.array(error(theirs[real], truth[stage][real]))
            if stage.endswith(("in_out_embed", "router/probs")):  # compared element by element
                packed[name] = tensor
        elif name == "forward/logits":
            packed[name] = dtype, np.where(real[..., None], a, 0).astype(a.dtype)
        else:
            packed[name] = tensor
    return written(packed, metadata)


def tiny_golden(path):
    golden, metadata = read(path)
    dtype, truth = golden.pop("truth/logits")
    kept = np.arange(7, truth.shape[0] * truth.shape[1], 8, dtype=np.int32)
    golden["truth/positions"] = "I32", kept
    golden["truth/logits"] = dtype, truth.reshape(-1, truth.shape[-1])[kept]
    return written(golden, metadata)


# ---- Hugging Face
def hf_golden(folder):
    golden, metadata = read(folder / "golden.safetensors")
    away = f64(golden.pop("logits")) - f64(golden["logits_f64"])
    golden["error/logits"] = "F64", np.array([np.abs(away).max(), np.sqrt((away * away).mean())])
    del golden["logits_f64_casts"], golden["generate_logits"]
    return written(golden, metadata)


# ---- archives: no times, no owners; the literal coder knows numbers of four bytes
def pack(path, files):
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(files):
            member = tarfile.TarInfo(name)
            member.size = len(files[name])
            archive.addfile(member, io.BytesIO(files[name]))
    of_numbers = {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 1, "lp": 2, "pb": 2}
    path.write_bytes(lzma.compress(tar.getvalue(), lzma.FORMAT_XZ, lzma.CHECK_CRC64, filters=[of_numbers]))
    print(f"{path.name}: {len(files)} files, {sum(map(len, files.values()))} bytes in {path.stat().st_size}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shared", type=pathlib.Path, default=REPOSITORY.parent / "shared")
    parser.add_argument("--out", type=pathlib.Path, default=REPOSITORY / "tests/data")
    args = parser.parse_args()

    grok = args.shared / "goldens/grok"
    files = {"tiny-grok.safetensors": tiny_golden(grok / "tiny-grok.safetensors"),
             "tiny-grok-samples.jsonl": (grok / "tiny-grok-samples.jsonl").read_bytes()}
    for folder in ("moe12", "moe2", "dense", "dense_f32_2x4"):
        for path in [grok / folder / "config.json", *(grok / folder / "ckpt-0").iterdir()]:
            files[str(path.relative_to(grok))] = path.read_bytes()
        files[folder + "/golden.safetensors"] = grok_golden(grok / folder)
    pack(args.out / "grok.tar.xz", files)

    hf, files = args.shared / "goldens/hf", {}
    for folder in sorted(MODELS | {"mixtral_bf16"}):
        for name in ("config.json", "generation_config.json"):
            files[f"{folder}/{name}"] = (hf / folder / name).read_bytes()
        files[folder + "/golden.safetensors"] = hf_golden(hf / folder)
        if folder in MODELS:
            files[folder + "/model.safetensors"] = (hf / folder / "model.safetensors").read_bytes()
    whole, rounded = read(hf / "mixtral/model.safetensors")[0], read(hf / "mixtral_bf16/model.safetensors")[0]
    assert whole.keys() == rounded.keys()
    assert all(np.array_equal(to_bf16(a), rounded[name][1]) for name, (_, a) in whole.items())
    pack(args.out / "hf.tar.xz", files)


if __name__ == "__main__":
    sys.exit(main())
