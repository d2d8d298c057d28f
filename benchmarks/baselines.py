"""Shows all generators in one picture, after equally many epochs.

Trains an autoencoder with 2 latents and one with more, a VAE, a beta-VAE, a
DCGAN and a VQ-VAE (each of its two stages) for 25 epochs of 800 digits, with
augmentation and all other settings at their defaults. Draws docs/baselines.png:
validation images and their reconstructions, samples in the order of the
classes, and the latents of the narrow autoencoder. Prints a row for each model:
the error of the reconstructions and the seconds of training, including
compilation.

Each run is a folder in --workdir; finished runs are not trained again.

  python benchmarks/baselines.py
"""

import dataclasses
import time

import jax
import matplotlib.figure
import numpy as np
import tyro

from vqvae_jax.config import (
  BaselineConfig,
  Config,
  PriorConfig,
  TokenizerConfig,
)
from vqvae_jax.data import load_data
from vqvae_jax.files import expand
from vqvae_jax.generators import load
from vqvae_jax.runs import train

# Title, --model and changed settings by the name of the run folder.
MODELS = {
  "ae-2": ("autoencoder,\n2 latents", "ae", {"latent_dim": 2}),
  "ae": ("autoencoder", "ae", {}),
  "vae": ("VAE", "vae", {}),
  "beta_vae": ("beta-VAE,\nbeta 4", "beta_vae", {}),
  "dcgan": ("DCGAN", "dcgan", {}),
  "vqvae": ("VQ-VAE\nand prior", "vqvae", {}),
}
# Samples of each class.
SAMPLES = 2


@dataclasses.dataclass(frozen=True)
class Options:
  # Data set; see train.py --help.
  dataset: str = "mnist5k"
  # Folder in which TFDS data sets are prepared.
  data_dir: str | None = None
  # Number of training images, including validation images.
  num_train_images: int = 1000
  # Number of times that each image is seen.
  epochs: int = 25
  # Folder of the run folders.
  workdir: str = "runs/baselines"
  # Path of the picture.
  out: str = "docs/baselines.png"
  # Seed of the runs and of the samples.
  seed: int = 0


def configure(name: str, options: Options) -> Config:
  """Returns the settings of a run."""
  _, model, changes = MODELS[name]
  shared = Config(
    dataset=options.dataset,
    data_dir=options.data_dir,
    num_train_images=options.num_train_images,
    workdir=f"{options.workdir}/{name}",
    model=model,
    seed=options.seed,
  )
  images = options.num_train_images - options.num_train_images // 5
  stage = {"steps": options.epochs * images // shared.batch_size}
  return dataclasses.replace(
    shared,
    baseline=BaselineConfig(**stage, **changes),
    tokenizer=TokenizerConfig(**stage),
    prior=PriorConfig(**stage),
  )


def one_of_each(split, classes):
  """Returns the index of the first image of each class."""
  return [int(np.flatnonzero(split.labels == n)[0]) for n in range(classes)]


def lines(images, columns) -> np.ndarray:
  """Returns images in lines, with a little white between them."""
  count, height, width, channels = images.shape
  padded = np.ones((count, height + 2, width + 2, channels))
  padded[:, :height, :width] = images
  page = padded.reshape(-1, columns, height + 2, width + 2, channels)
  page = page.swapaxes(1, 2).reshape(-1, columns * (width + 2), channels)
  return page[:-2, :-2].squeeze()


def draw(rows, latents, labels, out):
  """Draws a row for each model, and a map of the latents on the right."""
  figure = matplotlib.figure.Figure(figsize=(13, 6), layout="constrained")
  grid = figure.add_gridspec(len(rows), 3, width_ratios=[10, 10, 8])
  titles = "validation images, reconstructions below", "samples"
  columns = len(rows[0][2]) // SAMPLES
  for i, (title, *parts) in enumerate(rows):
    for column, shown in enumerate(parts):
      axes = figure.add_subplot(grid[i, column])
      axes.set_xticks([])
      axes.set_yticks([])
      axes.spines[:].set_visible(False)
      axes.set_anchor("N")
      if shown is not None:
        axes.imshow(lines(shown, columns), cmap="gray", vmin=0, vmax=1)
      if not column:
        axes.set_ylabel(title, rotation=0, ha="right", va="center")
      if not i:
        axes.set_title(titles[column], fontsize=10)
  axes = figure.add_subplot(grid[:, 2])
  points = axes.scatter(*latents.T, c=labels, cmap="tab10", s=6)
  handles, _ = points.legend_elements(num=None)
  axes.legend(
    handles, np.unique(labels), loc="center left", bbox_to_anchor=(1, 0.5)
  )
  axes.set_title("training images in 2 latents", fontsize=10)
  expand(out).parent.mkdir(parents=True, exist_ok=True)
  figure.savefig(expand(out), dpi=110)


def main():
  options = tyro.cli(Options, description=__doc__)
  print(f"device={jax.devices()[0].device_kind}")
  data = load_data(configure("ae", options))
  classes, validation = data.spec.num_classes, data["validation"]
  shown = one_of_each(validation, classes)
  labels = np.tile(np.arange(classes), SAMPLES)
  originals = validation.gather(np.array(shown))["image"] / 255
  rows, table = [], []
  for name, (title, *_) in MODELS.items():
    config = configure(name, options)
    fresh = not (expand(config.workdir) / "config.json").exists()
    start = time.monotonic()
    train(config)
    seconds = f"{time.monotonic() - start:.0f}" if fresh else "resumed"
    loaded = load(config.workdir)
    others = None
    if loaded.generator.has_encoder:
      others = loaded.reconstruct(validation.images, validation.labels)
    if name == "ae-2":
      train_split = data["train"]
      latents = loaded.encode(train_split.images, train_split.labels)
      map_of = latents, train_split.labels
    error = "none"
    if others is not None:
      error = f"{np.mean((others - validation.images / 255) ** 2):.4f}"
      others = np.concatenate([originals, others[shown]])
    rows.append((title, others, loaded.sample(labels, options.seed)))
    table.append((title.replace("\n", " "), error, seconds))
  draw(rows, *map_of, options.out)
  print("| model | validation MSE | seconds |\n|---|---|---|")
  for row in table:
    print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
  main()
