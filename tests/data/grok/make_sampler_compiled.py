"""Tokens of the reference's sampler as its runner compiles it: tests/data/grok/sampler_compiled.json.

usage: make_sampler_compiled.py REFERENCE_DIR OUT.json   (xai-org/grok-1 at 7050ed2, JAX 0.4.25, Haiku 0.0.12, a CPU)
The part of `sample_step` behind the output projection, on the runner's mesh of 1 x 8: bfloat16 products [1, 1, V], the
output multiplier, `sample_token`. XLA's default flags: it keeps some intermediate results in float32.
"""
import json, os, sys

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"
sys.path.insert(0, sys.argv[1])
import numpy as np, jax, jax.numpy as jnp
from jax.experimental import mesh_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
import ml_dtypes
from model import LanguageModelOutput
from runners import SampleSettings, sample_token

MULTIPLIER = 0.5773502691896257
mesh = Mesh(mesh_utils.create_device_mesh((1, 8)), ("data", "model"))


def products(vocab, scale, seed):
    """bfloat16 numbers in (-scale, scale), few of them large: the test computes the same ones."""
    state, out = seed, np.empty(vocab, np.float32)
    for i in range(vocab):
        state = (state * 1664525 + 1013904223) % 2**32
        out[i] = (state >> 8) / np.float32(2**23) - np.float32(1)
    return (np.float32(scale) * out * out * out).astype(ml_dtypes.bfloat16)


@jax.jit
def step(rngs, x, settings):
    rngs, rngs_ = jax.vmap(jax.random.split, out_axes=1)(rngs)
    x *= MULTIPLIER
    x = jax.lax.with_sharding_constraint(x, NamedSharding(mesh, P("data", None, "model")))
    return rngs, sample_token(rngs_, LanguageModelOutput(logits=x, model_state=None), settings)


cases = []
for vocab, scale, count in ((1024, 2, 100), (1024, 6, 60), (1024, 24, 40), (131072, 6, 6), (131072, 24, 6)):
    x = [products(vocab, scale, i + 1) for i in range(count)]
    for temperature in (0.01, 0.7, 1.0, 1.3):
        for nucleus_p in (1.0, 0.95, 0.9):
            first_seed, tokens = 1000 * len(cases), []
            for i in range(count):
                settings = SampleSettings(np.full(1, temperature, np.float32), np.full(1, nucleus_p, np.float32),
                                          np.ones((1, vocab), np.int32), np.ones(1, np.int32))
                _, out = step(jax.random.PRNGKey(first_seed + i)[None], jnp.asarray(x[i])[None, None], settings)
                tokens.append(int(out.token_id[0, 0]))
            cases.append(dict(vocab=vocab, scale=scale, temperature=temperature, nucleus_p=nucleus_p,
                              first_seed=first_seed, tokens=tokens))
    print(vocab, scale, flush=True)
with open(sys.argv[2], "w") as f:
    f.write("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")
