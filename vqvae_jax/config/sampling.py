"""The settings of a batch job, the flags of `sample.py`."""

import dataclasses
from typing import ClassVar, Literal

from vqvae_jax.config import checks, from_step
from vqvae_jax.config.fields import Means, Values, setting
from vqvae_jax.config.shared import ClusterSettings
from vqvae_jax.errors import ConfigError
from vqvae_jax.files import is_remote

Mode = Literal["prior", "perturb", "mix", "inpaint", "walk", "reconstruct"]
Format = Literal["png", "npz", "tfds"]

_DRAWN = ("prior", "inpaint")
_VARIED = ("perturb", "mix", "inpaint", "walk")
_NOT_AT_0 = {"temperature": Values("above 0", lambda value: value > 0)}


@dataclasses.dataclass(frozen=True)
class SampleConfig(ClusterSettings):
  """A job that writes new labelled images from a trained run."""

  HEADING: ClassVar[str] = "job"

  # The run folder of train.py.
  workdir: str | None = setting(None, unit="dir")
  # Uses this checkpoint instead of the newest one. 200 is step 200 of the last
  # stage, and tokenizer:200 names the stage.
  from_step: str | None = setting(None, unit="step")
  # The folder for the images, README.md (what they are and how to load them),
  # manifest.json and grid.png. It must be new or empty, unless --resume or
  # --worker is given.
  out: str = setting("out", filled=True, unit="dir")
  # The place of the training images if they have moved. By default they are
  # where they were in training.
  dataset: str | None = setting(
    None, filled=True, only={"mode": (*_VARIED, "reconstruct")}
  )
  # The number of images to write; reconstruct writes at most the validation
  # split.
  num_images: int = setting(1000, "[1, 1000000000]")
  # The format: png writes images/<class>/<number>.png, and sorted folders are
  # in the order of the labels; npz writes files of images [n, h, w, c] and
  # labels [n]; tfds writes a TFDS data set in ArrayRecord, for as_data_source()
  # (as_dataset() needs TFRecord) and for train.py --dataset=tfds-dir:DIR.
  format: Format = "png"
  # The number of images of a shard, which is what an interruption may cost and,
  # for npz and tfds, what a file holds.
  shard_size: int = setting(1000, "[1, 10000000]", unit="images")
  # What each image shows: balanced (all classes in turn), as-data (classes as
  # often as in the training images), fill-minority (each time the class with
  # the fewest images so far, training images included), or names of classes,
  # which are taken in turn: cat,dog. A name with a comma stands in double
  # quotes. Numbers are positions from 0 on, unless a class is called by a
  # number.
  labels: str = setting(
    "balanced", filled=True, only={"mode": ("prior", *_VARIED)}
  )
  # How images are made: prior makes new images; perturb replaces ids of
  # training images by near codes; mix lies between two training images of a
  # class; inpaint draws a rectangle of training images again with the prior;
  # walk moves from training images at random through the latents of a vae or
  # beta_vae; reconstruct encodes and decodes validation images. Models other
  # than vqvae know prior, walk and reconstruct. sources.jsonl names the images
  # that each image was made from.
  mode: Mode = "prior"
  # The seed. Image n depends on the checkpoint, the seed, n and these settings.
  seed: int = setting(0, "[0, 2147483647]", only={"mode": ("prior", *_VARIED)})
  # The temperature of the distribution of ids: values below 1 are safer, values
  # above 1 are wilder, and 0 takes the likeliest id each time (with perturb the
  # nearest). For models other than vqvae it multiplies the standard deviation
  # of the latents.
  temperature: float = setting(
    1.0, "[0, inf)", only={"mode": (*_DRAWN, "perturb")}
  )
  # Draws among this many likeliest ids only. By default all ids can be drawn.
  top_k: int | None = setting(
    None, "[1, 1048576]", only={"mode": _DRAWN, **_NOT_AT_0}
  )
  # Draws among the fewest ids that together have this probability.
  top_p: float = setting(1.0, "(0, 1]", only={"mode": _DRAWN, **_NOT_AT_0})
  # How far each image is pushed towards its class; 0 turns it off, and any
  # other value doubles the work. Sets without labels are never guided.
  guidance: float | None = setting(
    None, "[0, inf)", only={"mode": _DRAWN}, none_means=Means(0.3)
  )
  # The number of steps in which a maskgit prior draws the ids of an image, at
  # most as many as there are ids.
  decode_steps: int | None = setting(
    None,
    "[1, 1048576]",
    only={"mode": _DRAWN},
    none_means=Means(12),
  )
  # The approximate share of the ids that inpaint draws again.
  share: float = setting(0.5, "(0, 1]", only={"mode": ("inpaint",)})
  # The number of steps of each walk.
  walk_steps: int = setting(10, "[1, 100000]", only={"mode": ("walk",)})
  # About how far a step of a walk moves the image along each latent: a
  # Euclidean distance between images with pixels in [0, 1].
  step_size: float = setting(0.3, "(0, inf)", only={"mode": ("walk",)})
  # The number of images that one device makes at a time.
  batch_size: int = setting(250, "[1, 1048576]")
  # The share of the shards that this process writes: 0/4, 1/4, 2/4 or 3/4 for
  # four processes, which may run at any time with otherwise the same flags.
  worker: str = "0/1"
  # Checks the images that are there, and makes those that an interrupted job
  # with the same settings left undone.
  resume: bool = False
  # Makes again what is missing or changed. Files that do not belong to the job
  # stay and are named.
  repair: bool = setting(False, only={"resume": (True,)})
  # Only checks the files of --out one by one, and changes nothing.
  verify: bool = False

  def check_together(self):
    super().check_together()
    if self.workdir is None and not self.verify:
      raise ConfigError("--workdir is missing: the run folder of train.py")
    from_step.parse(self.from_step)
    if self.format == "tfds" and is_remote(self.out):
      raise ConfigError(
        f"--format tfds writes to local folders only, not to {self.out}; copy "
        "the set there when it is whole"
      )
    self.worker_share()
    if self.multihost and self.worker != "0/1":
      raise ConfigError(
        f"--worker {self.worker} and --multihost both share the shards; "
        "choose one"
      )
    if self.repair and (self.verify or not self.resume):
      raise ConfigError(
        "--repair is for --resume: it makes again what is missing or changed"
      )

  def limit(self, path: str) -> str | None:
    """Returns why a flag is idle beside --verify, or None; see `Settings`."""
    if self.verify and path not in ("verify", "out"):
      return "with --verify, which reads the files of --out only"
    return None

  def worker_share(self) -> tuple[int, int]:
    """Returns the index of this worker and the number of workers.

    Raises:
      ConfigError: if `worker` is not I/N with I below N.
    """
    index, _, workers = self.worker.partition("/")
    if not (index.isdecimal() and workers.isdecimal()):
      raise ConfigError(
        f"--worker {checks.shown(repr(self.worker))} is not of the form 0/4"
      )
    # Python refuses to read integers of thousands of digits.
    if len(self.worker) > 20:
      raise ConfigError(f"--worker {checks.shown(self.worker)} is too large")
    index, workers = int(index), int(workers)
    if index >= workers:
      raise ConfigError(
        f"--worker {self.worker}: workers are numbered from 0 to {workers - 1}"
      )
    return index, workers
