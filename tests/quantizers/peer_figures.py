"""What vector-quantize-pytorch 1.32 makes of inputs drawn by seed.

`peer_figures.npz` holds these arrays, so that the tests need no torch. To
record them again:

  pip install ".[peers]"
  python tests/quantizers/peer_figures.py
"""

import pathlib

import numpy as np

RECORDED = pathlib.Path(__file__).with_suffix(".npz")
SHAPE = 4, 25
CODES, WIDTH, DEPTH = 32, 6, 3
LEVELS = 8, 5, 4
BITS = 5
DECAY, COMMITMENT, ENTROPY, DIVERSITY, SHARPNESS = 0.9, 0.25, 0.1, 0.7, 2.0


def latents(width: int) -> np.ndarray:
  """[4, 25, width], the same at every call."""
  return np.random.default_rng(0).normal(size=(*SHAPE, width)).astype("f4")


def codes(level: int = 0) -> np.ndarray:
  """[32, 6], those of later levels smaller."""
  values = np.random.default_rng(level + 1).normal(size=(CODES, WIDTH))
  return (values * 0.6**level).astype("f4")


def unit(x: np.ndarray) -> np.ndarray:
  return x / np.linalg.norm(x, axis=-1, keepdims=True)


def weights(width: int) -> np.ndarray:
  """What vectors are multiplied by, for a gradient to compare."""
  return np.random.default_rng(99).normal(size=(*SHAPE, width)).astype("f4")


def compute() -> dict[str, np.ndarray]:
  """The figures by name, "scheme/figure"."""
  import torch
  from vector_quantize_pytorch.vector_quantize_pytorch import (
    orthogonal_loss_fn,
  )

  figures = {}
  for scheme, module in _modules().items():
    width = {"fsq": len(LEVELS), "lfq": BITS}.get(scheme, WIDTH)
    z = torch.from_numpy(latents(width)).requires_grad_()
    options = {"inv_temperature": SHARPNESS} if scheme == "lfq" else {}
    out = module.train()(z, **options)
    # FSQ has no loss.
    here = dict(zip(("vectors", "ids", "loss"), out, strict=scheme != "fsq"))
    (here["vectors"] * torch.from_numpy(weights(width))).sum().backward()
    here["gradient"] = z.grad
    if scheme in ("ema", "cosine"):
      book = module._codebook
      here |= {"count": book.cluster_size[0], "codes": book.embed[0]}
    for name, value in here.items():
      figures[f"{scheme}/{name}"] = value.detach().numpy()
  figures["orthogonality"] = orthogonal_loss_fn(
    torch.from_numpy(codes())[None]
  ).numpy()
  return figures


def _modules():
  import torch
  from vector_quantize_pytorch import FSQ, LFQ, ResidualVQ, VectorQuantize

  def place(module, values):
    values = torch.from_numpy(values)[None]
    module._codebook.embed.data.copy_(values)
    module._codebook.embed_avg.data.copy_(values)
    return module

  def nearest(values, **options):
    return place(
      VectorQuantize(
        WIDTH, CODES, decay=DECAY, commitment_weight=COMMITMENT, **options
      ),
      values,
    )

  residual = ResidualVQ(
    dim=WIDTH,
    num_quantizers=DEPTH,
    codebook_size=CODES,
    decay=DECAY,
    commitment_weight=COMMITMENT,
    rotation_trick=False,
  )
  for level, layer in enumerate(residual.layers):
    place(layer, codes(level))
  return {
    "ema": nearest(codes(), rotation_trick=False),
    "rotation": nearest(codes(), rotation_trick=True),
    "cosine": nearest(unit(codes()), use_cosine_sim=True, rotation_trick=False),
    "residual": residual,
    "fsq": FSQ(list(LEVELS)),
    "lfq": LFQ(
      dim=BITS,
      codebook_size=2**BITS,
      entropy_loss_weight=ENTROPY,
      commitment_loss_weight=COMMITMENT,
      diversity_gamma=DIVERSITY,
    ),
  }


if __name__ == "__main__":
  np.savez_compressed(RECORDED, **compute())
