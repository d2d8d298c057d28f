"""The whole study: seed after seed, then the test images, then the report."""

import contextlib
import dataclasses
import datetime
from typing import Any

from rich.console import Console

from vqvae_jax.config import StudyConfig
from vqvae_jax.files import expand
from vqvae_jax.progress import Meter
from vqvae_jax.study import checks, compare, measure, method, records
from vqvae_jax.study.arms import arms
from vqvae_jax.study.images import all_images, load
from vqvae_jax.study.report import Report, write_report
from vqvae_jax.study.schedule import Schedule, trainings
from vqvae_jax.study.seed import Seed
from vqvae_jax.study.verdict import Verdict
from vqvae_jax.training import workdir


def study(config: StudyConfig, console: Console | None = None) -> Verdict:
  """Compares ways to grow a small set; goes on where an earlier call stopped.

  Nothing is written before all settings and images were checked, those of the
  test split, too. Nothing is set for the whole process: a caller who wants
  compiled programs kept sets `jax_compilation_cache_dir`.

  Args:
    config: settings of the study.
    console: where messages go, by default the standard output.

  Returns:
    The answer to the primary question.

  Raises:
    UserError: in one line, what is wrong with settings, data or folder.
    Interrupted: on a signal while a generator was trained, after saving.
  """
  config = config.resolved()
  out = expand(config.out)
  settings = method.settings(config)
  with (
    Schedule(console or Console()) as schedule,
    contextlib.ExitStack() as held,
  ):
    records.check_study(out, settings)
    begun = (out / records.STUDY).exists()
    if begun:
      held.enter_context(workdir.lock(out, "--out"))
    seeds = [Seed(config, n, out, schedule) for n in range(config.seeds)]
    _check(config, out, seeds)
    if not begun:
      out.mkdir(parents=True, exist_ok=True)
      held.enter_context(workdir.lock(out, "--out"))
      # Another study may have begun here by now.
      records.check_study(out, settings)
    records.once(out / records.STUDY, lambda: settings)
    machine = records.once(out / "machine.json", method.machine)
    for seed in seeds:
      seed.begin()
    return _study(config, out, settings | machine, seeds, schedule)


def _check(config, out, seeds):
  """Refuses what would fail later; nothing is trained or written."""
  schedule = seeds[0].schedule
  schedule.say(
    f"checking settings and images of {config.seeds} "
    f"seed{'s' * (config.seeds > 1)}"
  )
  with schedule.busy("checking settings and images"):
    for seed in seeds:
      checks.check_seed(config, seed)
      # The images of one seed at a time; the first goes on with its own.
      if seed.number:
        seed.forget()
    if records.read(out / "test.json") is None:
      schedule.say(
        "checking that the test images can be read; they are used at the end"
      )
      checks.check_test_images(config, seeds[0])


def _plan(config, seeds, schedule):
  """Says what will be done."""
  judges = trainings(config, seeds[0].num_real)
  models = dict.fromkeys(name.partition("-")[0] for name in config.generators)
  drawn = [f"images of {name}" for name in config.generators]
  compared = [f"comparing {name}" for name in config.generators]
  count = len(arms(list(config.generators), 1.0))
  schedule.say(
    f"plan: {config.seeds} seed{'s' * (config.seeds > 1)}, each with "
    f"{len(models)} generator{'s' * (len(models) > 1)} to train "
    f"({', '.join(models)}), {config.num_synthetic:,} images to draw from "
    f"{', '.join(config.generators)}, and {count} training sets (arms) for "
    f"each classifier ({', '.join(config.judges)}): {sum(judges.values())} "
    "trainings of classifiers in all, choices and checks included"
  )
  schedule.plan(
    judges,
    dict.fromkeys([*models, *drawn], config.seeds),
    dict.fromkeys(compared, config.seeds),
  )


def _study(config, out, settings, seeds, schedule):
  _plan(config, seeds, schedule)
  trained, choices, gates, sheets = [], {}, [], {}
  for seed in seeds:
    found, chosen = compare.compare(config, seed)
    trained += found
    choices[f"seed {seed.number}"] = chosen
    for generator in config.generators:
      gates.append(measure.gates(config, seed, generator))
    measure.note_halves(seed)
    if seed.number == 0:
      with schedule.busy("drawing pages of images"):
        sheets = measure.sheets(config, seed)
    seed.forget()
  if config.sweep:
    best, chosen = compare.best_generator(config, trained)
    choices["generator of the sweep"] = chosen
    for seed in seeds if best else []:
      chosen = choices[f"seed {seed.number}"]
      trained += compare.sweep(config, seed, best, chosen)
      seed.forget()
  _record_choices(out / "choices.json", choices)
  results = [compare.row(item, "validation") for item in trained]
  test = _test(config, out, trained, schedule)
  if test:
    results += test["results"]
  schedule.update("writing the report")
  answer = write_report(
    out,
    Report(
      settings=settings,
      results=results,
      checks=gates,
      choices=choices,
      samples=sheets,
      class_names=seeds[0].spec.class_names,
      test_read=test["read"] if test else None,
      multiplier=config.num_synthetic / seeds[0].num_real,
    ),
  )
  schedule.console.print(str(answer), highlight=False, soft_wrap=True)
  schedule.console.print(
    f"report: {out / 'report.html'}", highlight=False, soft_wrap=True
  )
  return answer


def _record_choices(path, choices):
  """Puts on record what was chosen; it is what it was, or nothing is.

  Raises:
    RunError: if the record holds other choices.
  """
  made = records.digest(choices)
  known = records.read(path, {"judges": made})
  if known is None:
    records.write(path, choices, {"judges": made})


def _test(config, out, trained, schedule):
  """The scores on test images; None where they wait for a later command."""
  judges = [
    [item.seed.number, item.arm.slug, item.judge, item.scores["weights"]]
    for item in trained
  ]
  path, made_from = out / "test.json", {"judges": records.digest(judges)}
  test = records.read(path, made_from)
  if test is None and config.test:
    test = _read_test(config, trained, schedule)
    records.write(path, test, made_from)
  return test


def _read_test(config, trained, schedule) -> dict[str, Any]:
  """Scores all judges with the test images."""
  # The same images for all seeds, in the form that each seed's have: of few
  # real images, one seed's may all be grey and another's not, or of 16-bit
  # values scaled by another range.
  forms, results = {}, []
  schedule.update("reading the test images")
  with Meter(
    schedule.console, "classifiers on test images", len(trained)
  ) as meter:
    for item in trained:
      spec = item.seed.spec
      form = spec.image_shape, spec.intensity_range
      if form not in forms:
        forms[form] = _test_images(config, item.seed.number)
      test = forms[form]
      scores = item.seed.score_test(
        item.arm, item.judge, item.strength, item.real_share, test
      )
      scored = dataclasses.replace(item, scores=item.scores | scores)
      results.append(compare.row(scored, "test"))
      meter.advance(1)
  read = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
  return {"read": read, "images": len(test), "results": results}


def _test_images(config, number):
  return all_images(
    load(config, number, ("train", "validation", "test"))["test"]
  )
