"""The quantizers beside each other on CIFAR-10, and beside Sonnet's recipe.

--table=sonnet trains the tokenizer as Sonnet's VQ-VAE notebook does: 40,000
training images, batch 32, Adam 3e-4, 512 codes of width 64, EMA 0.99, beta
0.25, hidden 128, residual 2x32, 10,000 steps. As there, error over variance and
perplexity are means over the last 100 training batches (there: 0.056 and 326).

--table=schemes trains one smaller net, from one seed, with every quantizer,
near 512 and near 4,096 codes. Where a latent has two ids, the codes are counted
as the pairs they can form. Quality is that of the validation images (a fifth of
the training images, which no step learns from); perplexity and usage are over
all of them, the mean over the ids of a latent.

Each row is a run folder under --workdir, whose config.json has its settings.
Runs that are finished there are not trained again.

  python benchmarks/quantizers.py --table=schemes --data-dir=DIR
"""

import dataclasses
import json
import math
import statistics
from typing import Literal

import jax
import tyro

from vqvae_jax.config import Config, TokenizerConfig
from vqvae_jax.files import expand
from vqvae_jax.runs import train

SONNET = {
  "ema": TokenizerConfig(
    codebook_size=512,
    hidden=128,
    optimizer="adam",
    learning_rate=3e-4,
    schedule="constant",
    warmup_steps=0,
    clip_norm=0.0,
    steps=10_000,
    batch_size=32,
    log_every=1,
    eval_every=2000,
    checkpoint_every=1000,
  )
}
# Neither k-means nor revival: the recipe as it stands.
SONNET["ema, plain"] = dataclasses.replace(
  SONNET["ema"], kmeans=0, revive_below=0.0
)


@dataclasses.dataclass(frozen=True)
class Options:
  # Which table.
  table: Literal["sonnet", "schemes"] = "schemes"
  # Where TFDS's cifar10 is prepared.
  data_dir: str | None = None
  # Where the run folders are.
  workdir: str = "runs/quantizers"
  # Steps of each run of the schemes, at batch 64.
  steps: int = 1000


def schemes(steps: int) -> dict[str, TokenizerConfig]:
  """The settings of each row."""
  rows = {}
  for size, levels, bits, pair in (
    (512, (8, 8, 8), 9, 23),
    (4096, (8, 8, 8, 8), 12, 64),
  ):
    book = {"codebook_size": size}
    for name, options in {
      "ema": book,
      "ema, no revival": book | {"revive_below": 0.0},
      "ema, l2": book | {"codebook_norm": "l2"},
      "ema, rotation": book | {"gradient": "rotation"},
      "ema, width 8": book | {"code_dim": 8},
      "vq": book | {"quantizer": "vq"},
      "simvq": book | {"quantizer": "simvq"},
      "residual": {"quantizer": "residual", "codebook_size": pair, "depth": 2},
      "product": {"quantizer": "product", "codebook_size": pair, "groups": 2},
      "fsq": {"quantizer": "fsq", "levels": levels},
      "lfq": {"quantizer": "lfq", "bits": bits},
      "gumbel": book | {"quantizer": "gumbel"},
    }.items():
      rows[f"{name}, near {size}"] = TokenizerConfig(
        hidden=64, steps=steps, eval_every=steps, log_every=1, **options
      )
  return rows


def measure(name: str, tokenizer: TokenizerConfig, options: Options):
  """Trains a row and returns its lines of metrics.jsonl."""
  folder = expand(options.workdir) / name.replace(", ", "_")
  train(
    Config(
      dataset="cifar10",
      data_dir=options.data_dir,
      workdir=str(folder),
      stage="tokenizer",
      augment="none",
      tokenizer=tokenizer,
    )
  )
  lines = (folder / "metrics.jsonl").read_text().splitlines()
  return [json.loads(line) for line in lines]


def codes(tokenizer: TokenizerConfig) -> int:
  match tokenizer.quantizer:
    case "fsq":
      sizes = tokenizer.levels
    case "lfq":
      sizes = (2,) * tokenizer.bits
    case "residual" | "product":
      sizes = (tokenizer.codebook_size,) * 2
    case _:
      sizes = (tokenizer.codebook_size,)
  return math.prod(sizes)


def sonnet_row(name, tokenizer, lines):
  last = lines[-100:]
  error, perplexity = (
    statistics.mean(line[key] for line in last)
    for key in ("reconstruction", "perplexity")
  )
  end = lines[-1]
  return {
    "scheme": name,
    "training error over variance": f"{error:.4f}",
    "batch perplexity": f"{perplexity:.0f}",
    "validation error over variance": (
      f"{end['validation_mse_over_variance']:.4f}"
    ),
    "codes in use": f"{round(end['validation_usage'] * codes(tokenizer))}",
  }


def scheme_row(name, tokenizer, lines):
  end = lines[-1]
  speed = statistics.median(
    line["images_per_second"] for line in lines if "images_per_second" in line
  )
  return {
    "scheme": name.rsplit(",", 1)[0],
    "codes": f"{codes(tokenizer):,}",
    "MSE": f"{end['validation_mse']:.5f}",
    "PSNR": f"{end['validation_psnr']:.2f}",
    "SSIM": f"{end['validation_ssim']:.3f}",
    "usage": f"{end['validation_usage']:.1%}",
    "perplexity": f"{end['validation_perplexity']:.0f}",
    "images/s": f"{speed:.0f}",
  }


def main():
  options = tyro.cli(Options, description=__doc__)
  sonnet = options.table == "sonnet"
  settings = SONNET if sonnet else schemes(options.steps)
  row = sonnet_row if sonnet else scheme_row
  print(f"device={jax.devices()[0].device_kind}")
  rows = []
  for name, tokenizer in settings.items():
    rows.append(row(name, tokenizer, measure(name, tokenizer, options)))
    print("  ".join(f"{k}={v}" for k, v in rows[-1].items()), flush=True)
  print("| " + " | ".join(rows[0]) + " |")
  print("|---" * len(rows[0]) + "|")
  for values in rows:
    print("| " + " | ".join(values.values()) + " |")


if __name__ == "__main__":
  main()
