"""The commands: their settings, and what their short help says.

A line of the short help without an explanation is a heading.
"""

import dataclasses

from vqvae_jax.config import Config, SampleConfig, StudyConfig


@dataclasses.dataclass(frozen=True)
class Command:
  """A command.

  Attributes:
    usage: how a clone calls it, such as `python train.py`.
    kind: dataclass of its settings, which become its flags.
    description: text above the flags, in which `{usage}` stands for the call.
    first: flags that people need first, each with an explanation.
    resume: how to continue after an interruption.
  """

  usage: str
  kind: type
  description: str = ""
  first: tuple[tuple[str, str], ...] = ()
  resume: str = "the same command goes on from there"


_DATASET = (
  "--dataset",
  "mnist5k, a TFDS name (mnist, cifar10, ...), folder:DIR, npz:FILE or "
  "tfds-dir:DIR",
)
_IMAGE_SIZE = ("--image-size", "size that images are resized and cropped to")
_CONFIG = ("--config", "takes settings from a YAML or JSON file")

TRAIN = Command(
  "python train.py",
  Config,
  """\
Learns a labelled image set with a VQ-VAE and a prior over its ids.

  {usage}
  {usage} --dataset=folder:photos --image-size=64

After an interruption, the same command continues from the last checkpoint, and
so does {usage} --resume=DIR with the settings of the run in DIR.
""",
  (
    ("data", ""),
    _DATASET,
    _IMAGE_SIZE,
    ("--channels", "1 is grey, 3 is colour; by default as given"),
    ("--augment", "how images vary: none, affine, weak or flip"),
    ("--num-train-images", "uses only this many images"),
    ("run", ""),
    ("--workdir", "run folder; by default a folder in runs/"),
    _CONFIG,
    ("--model", "or ae, vae, beta_vae, dcgan"),
    ("--stage", "or one stage only: tokenizer, prior"),
    ("--seed", "another number gives other splits and weights"),
    ("--batch-size", "number of images in a step"),
    ("--dtype", "or bfloat16, for TPUs and recent GPUs"),
    ("--plan", "only prints the time, memory and disk it takes"),
    ("length and size", ""),
    ("--tokenizer.steps", "a larger number trains a finished run further"),
    ("--prior.steps", "the same for the prior"),
    ("--tokenizer.stride", "pixels per id along each side: 2, 4, 8, ..."),
    ("--tokenizer.codebook-size", "number of codes"),
    (
      "--tokenizer.quantizer",
      "or vq, simvq, residual, product, fsq, lfq, gumbel",
    ),
    ("--prior.kind", "or pixelcnn, maskgit"),
  ),
)

SAMPLE = Command(
  "python sample.py",
  SampleConfig,
  """\
Writes new labelled images from a run of train.py.

  {usage} --workdir=runs/mnist5k --num-images=1000 --out=out

With --resume, the same command continues where it stopped. With --verify, it
only checks the images that are there:

  {usage} --out=out --verify
""",
  (
    ("where", ""),
    ("--workdir", "run folder of train.py"),
    ("--out", "folder for the images, new or empty"),
    ("--format", "or npz, tfds"),
    ("what", ""),
    ("--num-images", "number of images"),
    ("--labels", "or as-data, fill-minority, or classes: cat,dog"),
    ("--seed", "another number gives other images"),
    (
      "--mode",
      "prior makes new images; perturb, mix and inpaint vary training images; "
      "walk is for VAEs; reconstruct shows what the model keeps of an image",
    ),
    ("how", ""),
    (
      "--guidance",
      "higher is more typical of the class and less varied; 0 is off",
    ),
    ("--temperature", "below 1 is safer, above 1 is wilder"),
    ("--top-k", "draws among the k likeliest ids only"),
    ("--top-p", "draws among the likeliest ids of this share"),
    ("job", ""),
    ("--resume", "checks what is there and makes what is missing"),
    ("--verify", "only checks what is there"),
    ("--worker", "share of this process, such as 0/4 up to 3/4"),
    _CONFIG,
  ),
  "--resume goes on from here",
)

STUDY = Command(
  "python -m vqvae_jax.study",
  StudyConfig,
  """\
Compares ways to grow a small labelled image set.

  {usage} --quick
  {usage} --dataset=mnist --num-real=1000 \\
    --num-synthetic=10000 --seeds=5 --out=study

A fifth of the real images validates, and every choice is made there. Test
images are read once, at the end. The report is OUT/report.html. The same
command continues where it stopped.
""",
  (
    ("data", ""),
    _DATASET,
    _IMAGE_SIZE,
    ("--num-real", "real images to start from; 0 takes all"),
    ("study", ""),
    ("--out", "folder of the study"),
    _CONFIG,
    ("--quick", "makes everything shorter"),
    ("--generators", "what makes images, separated by spaces"),
    ("--num-synthetic", "number of images that each generator makes"),
    ("--seeds", "how often the comparison is repeated"),
    ("--classifiers", "classifiers that are compared"),
    ("--filter", "leaves out generated images that look wrong"),
    ("--test", "uses the test images; --no-test puts that off"),
    ("length", ""),
    ("--tokenizer.steps", "steps of the VQ-VAE"),
    ("--prior.steps", "steps of the prior"),
    ("--baseline.steps", "steps of the other generators"),
    ("--classifier-steps", "steps of each classifier"),
  ),
)
