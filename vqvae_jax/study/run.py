"""Runs a whole study: seed after seed, the test images, the report."""

import contextlib
import dataclasses
import datetime
from typing import Any

from etils import epath
from rich.console import Console

from vqvae_jax.config import StudyConfig
from vqvae_jax.files import expand
from vqvae_jax.progress import Meter
from vqvae_jax.study import checks, method, records
from vqvae_jax.study.arms import GeneratorSpec, arms
from vqvae_jax.study.compare import Trained, best_generator, compare, sweep
from vqvae_jax.study.images import Images, all_images, load
from vqvae_jax.study.measure import Measures
from vqvae_jax.study.report import Report, write_report
from vqvae_jax.study.schedule import Schedule, trainings
from vqvae_jax.study.seed import Seed
from vqvae_jax.study.trials import Trials
from vqvae_jax.study.verdict import Verdict
from vqvae_jax.training import workdir


def study(config: StudyConfig, console: Console | None = None) -> Verdict:
  """Runs a study, and continues where an earlier call stopped.

  Nothing is written before all settings and images were checked, including
  those of the test split. Nothing is set for the whole process. A caller that
  wants to keep compiled programs sets `jax_compilation_cache_dir`.

  Args:
    config: settings of the study.
    console: console for messages, by default the standard output.

  Returns:
    The answer to the primary question.

  Raises:
    UserError: if the settings, the data or the folder cannot be used; the
      message is one line.
    Interrupted: on a signal while a generator is trained, after saving.
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
      # Another study may have begun here in the meantime.
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
    f"checking settings and images of {_count(config.seeds, 'seed')}"
  )
  with schedule.busy("checking settings and images"):
    for seed in seeds:
      checks.check_seed(config, seed)
      # Only the images of the first seed are needed again soon.
      if seed.number:
        seed.forget()
    if records.read(out / "test.json") is None:
      schedule.say(
        "checking that the test images can be read; they are used at the end"
      )
      checks.check_test_images(config, seeds[0])


def _plan(config, num_real, schedule):
  """Says what will be done."""
  classifiers = trainings(config, num_real)
  generators = [GeneratorSpec.parse(name) for name in config.generators]
  models = list(dict.fromkeys(generator.model for generator in generators))
  count = len(arms(generators, 1.0, "none"))
  schedule.say(
    f"plan: {_count(config.seeds, 'seed')}, each with "
    f"{_count(len(models), 'generator')} to train ({', '.join(models)}), "
    f"{config.num_synthetic:,} images to draw from "
    f"{', '.join(config.generators)}, and {count} training sets (arms) for "
    f"each classifier ({', '.join(config.classifiers)}): "
    f"{sum(classifiers.values())} trainings of classifiers in all, including "
    "those for choices and checks"
  )
  drawn = [f"images of {name}" for name in config.generators]
  compared = [f"comparing {name}" for name in config.generators]
  schedule.plan(
    classifiers,
    dict.fromkeys([*models, *drawn], config.seeds),
    dict.fromkeys(compared, config.seeds),
  )


def _count(number, noun):
  return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _study(config, out, settings, seeds, schedule):
  num_real = seeds[0].num_real
  _plan(config, num_real, schedule)
  generators = [GeneratorSpec.parse(name) for name in config.generators]
  all_trials = [Trials(seed) for seed in seeds]
  trained, choices, quality, grids = [], {}, [], {}
  for trials in all_trials:
    seed, measures = trials.seed, Measures(trials)
    of_seed, chosen = compare(config, trials, measures)
    trained += of_seed
    choices[f"seed {seed.number}"] = chosen
    quality += [measures.figures(generator) for generator in generators]
    measures.note_halves()
    if seed.number == 0:
      with schedule.busy("drawing sample grids"):
        grids = measures.grids()
    seed.forget()
  if config.sweep:
    best = best_generator(config, trained)
    name = best.chosen.name if best.chosen else None
    choices["generator of the sweep"] = best._replace(chosen=name).record()
    if best.chosen:
      trained += _sweep(config, all_trials, best.chosen, trained)
  _record_choices(out / "choices.json", choices)
  results = [item.row("validation") for item in trained]
  test = _test(config, out, trained, schedule)
  if test:
    results += test["results"]
  schedule.update("writing the report")
  answer = write_report(
    out,
    Report(
      settings=settings,
      results=results,
      checks=quality,
      choices=choices,
      samples=grids,
      class_names=seeds[0].spec.class_names,
      test_read=test["read"] if test else None,
      multiplier=config.num_synthetic / num_real,
    ),
  )
  for line in (answer, f"report: {out / 'report.html'}"):
    schedule.console.print(str(line), highlight=False, soft_wrap=True)
  return answer


def _sweep(config, all_trials, generator, trained) -> list[Trained]:
  """Trains classifiers on the arms of the sweep in all seeds."""
  found = []
  for trials in all_trials:
    found += sweep(config, trials, generator, trained)
    trials.seed.forget()
  return found


def _record_choices(path: epath.Path, choices: dict[str, Any]):
  """Records what was chosen.

  Raises:
    RunError: if other choices are recorded.
  """
  made_from = {"choices": records.digest(choices)}
  if records.read(path, made_from) is None:
    records.write(path, choices, made_from)


def _test(config, out, trained, schedule) -> dict[str, Any] | None:
  """Returns the scores on test images; None if they are read later."""
  classifiers = [
    [
      item.trials.seed.number,
      item.arm.slug,
      item.classifier,
      item.scores["weights"],
    ]
    for item in trained
  ]
  path = out / "test.json"
  made_from = {"classifiers": records.digest(classifiers)}
  test = records.read(path, made_from)
  if test is None and config.test:
    test = _read_test(config, trained, schedule)
    records.write(path, test, made_from)
  return test


def _read_test(config, trained, schedule) -> dict[str, Any]:
  """Scores all classifiers on the test images."""
  # All seeds have the same test images, but perhaps in another form. The few
  # real images of one seed may all be grey, and those of another seed not, or
  # 16-bit values may be scaled by another range.
  forms, results = {}, []
  schedule.update("reading the test images")
  with Meter(
    schedule.console, "classifiers on test images", len(trained)
  ) as meter:
    for item in trained:
      trials, spec = item.trials, item.trials.seed.spec
      form = spec.image_shape, spec.intensity_range
      if form not in forms:
        forms[form] = _test_images(config, trials.seed.number)
      test = forms[form]
      params = trials.params(item.arm, item.classifier)
      scores = trials.score(item.classifier, params, test)
      scored = dataclasses.replace(item, scores=item.scores | scores)
      results.append(scored.row("test"))
      meter.advance(1)
  read = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
  return {"read": read, "images": len(test), "results": results}


def _test_images(config, number) -> Images:
  data = load(config, number, ("train", "validation", "test"))
  return all_images(data["test"])
