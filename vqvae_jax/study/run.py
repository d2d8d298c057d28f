"""The whole study: seed after seed, then the test images, then the report."""

import dataclasses
import datetime
import importlib.metadata
import os
import platform
from typing import Any

import jax
import numpy as np
from etils import epath
from rich.console import Console

from vqvae_jax.config import StudyConfig
from vqvae_jax.data import load_data
from vqvae_jax.study import generators, inspect, records
from vqvae_jax.study.arms import Arm, Images, arms
from vqvae_jax.study.classical import STRENGTHS
from vqvae_jax.study.judges import CANDIDATES, JUDGES
from vqvae_jax.study.report import write_report
from vqvae_jax.study.seed import Seed
from vqvae_jax.training import workdir

# What may change when a study goes on.
CHANGEABLE = {"out", "data_dir", "test"}


def study(config: StudyConfig, console: Console | None = None):
  """Compares ways to grow a small set; goes on where an earlier call stopped.

  Args:
    config: of the study.
    console: where messages go, by default the standard output.

  Raises:
    UserError: in one line, what is wrong with settings, data or folder.
  """
  console = console or Console()
  config = config.resolved()
  out = epath.Path(config.out)
  out.mkdir(parents=True, exist_ok=True)
  with workdir.lock(out):
    _keep_programs(out)
    settings = {
      name: value
      for name, value in dataclasses.asdict(config).items()
      if name not in CHANGEABLE
    } | _method(config)
    records.open_study(out, settings)
    machine = records.once(out / "machine.json", _machine)
    _study(config, out, settings | machine, console)


def _study(config, out, settings, console):
  seeds = [Seed(config, n, out, console) for n in range(config.seeds)]
  for seed in seeds:
    inspect.check(config, seed)
  trained, choices, gates, sheets = [], {}, [], {}
  for seed in seeds:
    found, chosen = _compare(config, seed)
    trained += found
    choices[f"seed {seed.number}"] = chosen
    for generator in config.generators:
      gates.append(inspect.gates(config, seed, generator))
    if seed.number == 0:
      sheets = inspect.sheets(config, seed)
    seed.forget()
  if config.sweep:
    best, chosen = _best(config, trained)
    choices["generator of the sweep"] = chosen
    for seed in seeds if best else []:
      trained += _sweep(config, seed, best, choices[f"seed {seed.number}"])
  records.write(out / "choices.json", choices)
  results = [_row(item, "validation") for item in trained]
  test = records.read(out / "test.json")
  if config.test and test is None:
    test = _read_test(config, trained, console)
    records.write(out / "test.json", test)
  if test:
    results += test["results"]
  write_report(
    out,
    settings,
    results,
    gates,
    choices,
    sheets,
    list(seeds[0].data.spec.class_names),
    test["read"] if test else None,
    config.num_synthetic / _num_real(seeds[0]),
  )
  console.print(f"report: {out / 'report.html'}", highlight=False)


@dataclasses.dataclass(frozen=True)
class Trained:
  """A judge that was trained on an arm, and how.

  Attributes:
    seed: whose.
    arm: what it learnt from.
    judge: its name.
    strength: of the classical augmentation.
    real_share: of a batch, where there are generated images.
    scores: on validation images.
  """

  seed: Seed
  arm: Arm
  judge: str
  strength: str
  real_share: float
  scores: dict[str, Any]


def _compare(config, seed) -> tuple[list[Trained], dict[str, Any]]:
  """All arms of one seed; what was chosen on its validation images."""
  first = config.judges[0]
  strength, losses = seed.choose_strength(first)
  chosen = {"classical": {"chosen": strength, "among": losses}}
  for judge in config.judges:
    settings, accuracies = seed.choose_settings(judge)
    if accuracies:
      chosen[f"settings of the {judge} judge"] = {
        "chosen": settings.settings,
        "among": accuracies,
      }
  images = {
    generator: inspect.kept(config, seed, generator)
    for generator in config.generators
  }
  multiplier = config.num_synthetic / _num_real(seed)
  found = []
  for arm in arms(list(config.generators), multiplier):
    generated = images.get(arm.generator)
    if generated is not None and not len(generated):
      seed.say(f"{arm.name}: left out, no generated image passed the filter")
      continue
    share = 1.0
    if arm.kind.endswith("+"):
      share, losses = seed.choose_share(
        arm, first, generated, strength, config.real_shares
      )
      if losses:
        chosen[f"real share, {arm.name}"] = {
          "chosen": share,
          "among": {str(k): v for k, v in losses.items()},
        }
    found += _judge(config, seed, arm, generated, strength, share)
  return found, chosen


def _judge(config, seed, arm, generated, strength, share) -> list[Trained]:
  return [
    Trained(
      seed,
      arm,
      judge,
      strength,
      share,
      seed.judge(arm, judge, generated, strength, share),
    )
    for judge in config.judges
  ]


def _best(config, trained) -> tuple[str | None, dict[str, Any]]:
  """The generator that adds most to real and classically augmented images."""
  losses = {}
  for item in trained:
    if item.arm.kind == "classical+" and item.judge == config.judges[0]:
      of_arm = losses.setdefault(item.arm.generator, [])
      of_arm.append(item.scores["loss"])
  # None where the filter left no generator an image.
  losses = {name: float(np.mean(found)) for name, found in losses.items()}
  best = min(losses, key=losses.get, default=None)
  return best, {"chosen": best, "among": losses}


def _sweep(config, seed, generator, chosen) -> list[Trained]:
  """The best generator's arms at several multipliers."""
  num_real = _num_real(seed)
  strength = chosen["classical"]["chosen"]
  found = []
  # The largest first: the others are its first images.
  for multiplier in sorted(config.sweep, reverse=True):
    count = multiplier * num_real
    if count == config.num_synthetic:
      continue
    generated = inspect.kept(config, seed, generator, count)
    if not len(generated):
      continue
    for kind in ("alone", "classical+"):
      arm = Arm(kind, generator, multiplier)
      name = f"real share, {kind}{generator}"
      share = chosen.get(name, {"chosen": config.real_shares[0]})["chosen"]
      found += _judge(config, seed, arm, generated, strength, share)
  return found


def _read_test(config, trained, console) -> dict[str, Any]:
  """Reads the test images and scores all judges with them."""
  console.print("reading the test images, once", highlight=False)
  # The same images for all seeds, in the form that each seed's have: of few
  # real images, one seed's may all be grey and another's not, or of 16-bit
  # values scaled by another range.
  forms, results = {}, []
  for item in trained:
    spec = item.seed.data.spec
    form = spec.image_shape, spec.intensity_range
    if form not in forms:
      forms[form] = _test_images(config, item.seed.number)
    test = forms[form]
    item.seed.say(f"{item.arm.name}, {item.judge}: reading the test images")
    scores = item.seed.score_test(
      item.arm, item.judge, item.strength, item.real_share, test
    )
    results.append(
      _row(dataclasses.replace(item, scores=item.scores | scores), "test")
    )
  read = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
  return {"read": read, "images": len(test), "results": results}


def _test_images(config, number):
  parts = "train", "validation", "test"
  split = load_data(config.run_config(number, ""), parts)["test"]
  rows = split.gather(np.arange(len(split)))
  return Images(rows["image"], rows["label"])


def _row(item: Trained, split: str) -> dict[str, Any]:
  """A line of the results."""
  scores = {
    name: item.scores[name]
    for name in ("accuracy", "balanced_accuracy", "auroc", "recall")
  }
  made = 0.0
  if item.arm.generator:
    count = round(item.arm.multiplier * _num_real(item.seed))
    made = generators.seconds(item.arm.generator, count, item.seed.folder)
  return {
    "arm": item.arm.name,
    "generator": item.arm.generator,
    "multiplier": item.arm.multiplier,
    "judge": item.judge,
    "seed": item.seed.number,
    "split": split,
    **scores,
    "seconds": made + item.scores["seconds"],
  }


def _num_real(seed):
  return len(seed.data["train"]) + len(seed.data["validation"])


def _method(config) -> dict[str, Any]:
  """What no flag sets and every number depends on."""
  return {
    "prior_guidance": generators.GUIDANCE,
    "strengths": {k: v._asdict() for k, v in STRENGTHS.items()},
    "judge_settings": {
      name: [
        f"{judge.settings}, batch {judge.batch_size}, "
        f"learning rate {judge.learning_rate:g}"
        for judge in CANDIDATES.get(name, [JUDGES[name]])
      ]
      for name in config.judges
    },
    "jax": jax.__version__,
    "device": jax.devices()[0].device_kind,
  }


def _machine() -> dict[str, Any]:
  """Where and when the study was begun."""
  packages = ("flax", "optax")
  now = datetime.datetime.now(datetime.UTC)
  return {
    "started": now.isoformat(timespec="seconds"),
    "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    "devices": len(jax.devices()),
    "versions": ", ".join(
      [f"Python {platform.python_version()}"]
      + [f"{name} {importlib.metadata.version(name)}" for name in packages]
    ),
  }


def _keep_programs(out):
  """Compiled programs are the same for all seeds; compiles them once."""
  if jax.config.jax_compilation_cache_dir is None and "://" not in str(out):
    jax.config.update("jax_compilation_cache_dir", str(out / "programs"))
