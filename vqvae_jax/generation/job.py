"""The batch job of `sample.py`: blocks of images, encoded as PNG while the
device makes the next block.
"""

import concurrent.futures
from collections.abc import Callable

import jax
import numpy as np
from etils import epath
from jaxtyping import Int
from rich import progress
from rich.console import Console

from vqvae_jax.config import SampleConfig
from vqvae_jax.data import Split, load_data
from vqvae_jax.errors import RunError
from vqvae_jax.generation.labels import labels_of
from vqvae_jax.generation.model import Model, load
from vqvae_jax.generation.writer import Writer
from vqvae_jax.training.pictures import grid, to_uint8

GRID_ROWS = 10
# Columns of the grid: one for each class, unless there are more than these.
MAX_COLUMNS = 16
THREADS = 4

# Images of one block, from the block's numbers (the last ones may be beyond
# the job) and their labels. They may still be on their way from the device.
MakeBlock = Callable[[Int[np.ndarray, " b"], Int[np.ndarray, " b"]], jax.Array]


def generate(config: SampleConfig, console: Console | None = None):
  """Writes the images that the settings ask for; see `writer` for where.

  Image n sits in block n // B of a compiled batch of B images, so its bytes
  depend on the checkpoint, the seed, n and B, and not on how many are asked
  for or where an earlier job stopped.

  Args:
    config: of the job.
    console: where messages go, by default the standard output.

  Raises:
    UserError: in one line, what is wrong with the settings or a folder.
  """
  console = console or Console()
  model = load(config.workdir)
  if config.mode == "reconstruct":
    split = _validation_images(model, config.workdir)
    labels = split.labels[: config.num_images]
    make_block = _reconstructions(model, split)
    weights = {"tokenizer": model.tokenizer_digest}
    drawn_with = {}
  else:
    labels = labels_of(config.labels, np.arange(config.num_images), model.spec)
    guidance = model.resolve_guidance(config.guidance)
    draw = model.sampler(
      config.temperature, config.top_k, config.top_p, guidance
    )

    def make_block(numbers, labels):
      return draw(config.seed, int(numbers[0]), labels)

    weights = {
      "tokenizer": model.tokenizer_digest,
      "prior": model.prior_digest,
    }
    drawn_with = {
      "seed": config.seed,
      "labels_as": config.labels,
      "temperature": config.temperature,
      "top_k": config.top_k,
      "top_p": config.top_p,
      "guidance": guidance,
    }
  settings = {
    "mode": config.mode,
    "weights": weights,
    "step": {
      "tokenizer": model.tokenizer_step,
      **({"prior": model.prior_step} if "prior" in weights else {}),
    },
    "data": model.spec.name,
    **drawn_with,
    "batch_size": config.batch_size,
    "device": model.mesh.devices.flat[0].device_kind,
    "num_images": len(labels),
    "class_names": list(model.spec.class_names),
  }
  writer = Writer(config.out, settings, resume=config.resume)
  block = config.batch_size * model.mesh.size
  _write_blocks(writer, make_block, labels, block, console)
  classes = model.spec.num_classes
  columns = classes if 1 < classes <= MAX_COLUMNS else GRID_ROWS
  shown = [
    writer.read(n, label)
    for n, label in enumerate(labels[: GRID_ROWS * columns])
  ]
  writer.finish(labels, grid(np.stack(shown), columns))
  out = epath.Path(config.out)
  console.print(
    f"{len(labels)} images in {out / 'images'}; the first of them: "
    f"{out / 'grid.png'}",
    highlight=False,
    soft_wrap=True,
  )


def _write_blocks(
  writer: Writer,
  make_block: MakeBlock,
  labels: Int[np.ndarray, " n"],
  block: int,
  console: Console,
):
  """Makes and writes every block of which an image is missing."""
  count = len(labels)
  there = np.array([writer.has(n, label) for n, label in enumerate(labels)])
  if there.any():
    console.print(f"{there.sum()} of {count} images are there already")
  bar = progress.Progress(
    progress.TextColumn("images"),
    progress.BarColumn(bar_width=24),
    progress.MofNCompleteColumn(),
    progress.TextColumn("{task.speed:.0f} images/s"),
    progress.TimeRemainingColumn(),
    console=console,
    disable=not console.is_terminal,
  )
  console.print("compiling the sampler", highlight=False)
  with bar, concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
    task = bar.add_task("images", total=count, completed=int(there.sum()))

    def put(numbers, images):
      """Writes a finished block; the device is at work on the next."""
      images = np.asarray(images)
      rows = [i for i, n in enumerate(numbers) if n < count and not there[n]]
      jobs = [
        pool.submit(
          writer.write, int(numbers[i]), int(labels[numbers[i]]), images[i]
        )
        for i in rows
      ]
      for job in jobs:
        job.result()
      bar.advance(task, len(rows))

    pending = None
    for start in range(0, count, block):
      if there[start : start + block].all():
        continue
      numbers = np.arange(start, start + block)
      # The last block is padded with the labels of its own first images.
      made = make_block(numbers, labels[np.minimum(numbers, count - 1)])
      if pending:
        put(*pending)
      pending = numbers, made
    if pending:
      put(*pending)


def _validation_images(model: Model, workdir: str) -> Split:
  """The run's validation images, read again from where they were."""
  data = load_data(model.config)
  if data.spec.digest != model.spec.digest:
    raise RunError(
      f"{workdir} was trained on other images than {model.config.dataset} "
      "holds now"
    )
  return data["validation"]


def _reconstructions(model: Model, split: Split) -> MakeBlock:
  """Blocks of originals, each with its reconstruction to its right."""

  def make_block(numbers, labels):
    del labels
    originals = split.gather(np.minimum(numbers, len(split) - 1))["image"]
    others = to_uint8(model.decode(model.encode(originals)))
    return np.concatenate([originals, others], axis=2)

  return make_block
