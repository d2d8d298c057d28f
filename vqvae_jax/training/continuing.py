"""Checks that a continued run has the settings and images of the first one."""

import dataclasses
import itertools

from etils import epath

from vqvae_jax.config import Config
from vqvae_jax.config.generators import all_stages, stages_of
from vqvae_jax.errors import RunError
from vqvae_jax.training.checkpoints import latest_step
from vqvae_jax.training.workdir import OF_A_COMMAND, RunInfo, read

# Settings that may change: how long, how often, and where things are. Images
# are compared by their digest, and `augment` by what `auto` stands for.
CHANGEABLE = {
  *OF_A_COMMAND,
  "data_dir",
  "dataset",
  "augment",
  "stage",
  "steps",
  "patience",
  "log_every",
  "eval_every",
  "checkpoint_every",
}
# Differences that a message lists.
_LISTED = 5


def check_same_run(workdir: epath.PathLike, new: RunInfo):
  """Refuses to continue with another model or other images.

  Raises:
    RunError: see `check_settings` and `check_data`.
  """
  check_settings(workdir, new.config)
  check_data(workdir, new)


def check_settings(workdir: epath.PathLike, new: Config):
  """Refuses to continue with another model; needs no data.

  Settings of a stage that has no checkpoint yet may still change.

  Raises:
    RunError: naming the settings that differ.
  """
  workdir = epath.Path(workdir)
  if not (workdir / "config.json").exists():
    found = workdir.iterdir() if workdir.exists() else ()
    foreign = [p.name for p in found if p.name != ".lock"]
    if foreign:
      raise RunError(
        f"{workdir} holds {foreign[0]!r} but no config.json: it is not a run "
        "folder; name a new or an empty one with --workdir"
      )
    return
  old = read(workdir).config
  trained = _trained(workdir)
  if not trained:
    return
  names = old.dataset, new.dataset
  # A name without a colon stands for one set; a path may have moved.
  if names[0] != names[1] and not any(":" in name for name in names):
    raise RunError(_other_images(workdir, *names))
  differences = _differences(
    dataclasses.asdict(old),
    dataclasses.asdict(new),
    skip=set(all_stages()) - set(trained),
  )
  if differences:
    more = len(differences) - _LISTED
    raise RunError(
      f"{workdir} was trained with other settings: "
      f"{'; '.join(differences[:_LISTED])}{f'; and {more} more' * (more > 0)}. "
      f"--resume={workdir} continues with those, or use another --workdir"
    )
  for stage, later in itertools.pairwise(stages_of(new.model)):
    steps = getattr(new, stage).steps
    # A tokenizer that stopped early has fewer steps than were asked for.
    asked = max(trained.get(stage, 0), getattr(old, stage).steps)
    if later in trained and new.stage in ("all", stage) and steps > asked:
      raise RunError(
        f"{workdir}/{later} was trained on the {stage} of step "
        f"{trained.get(stage, 0)}; to train the {stage} to step {steps}, use "
        f"another --workdir or move that {later} away"
      )


def check_data(workdir: epath.PathLike, new: RunInfo):
  """Refuses to continue with other images, wherever they are.

  Raises:
    RunError: naming the data sets.
  """
  workdir = epath.Path(workdir)
  if not (workdir / "config.json").exists() or not _trained(workdir):
    return
  old = read(workdir)
  if old.spec.digest != new.spec.digest:
    raise RunError(_other_images(workdir, old.config.dataset, new.spec.name))
  if old.spec.augment != new.spec.augment:
    raise RunError(
      f"{workdir} was trained with --augment={old.spec.augment}, now it is "
      f"{new.spec.augment}; give --augment={old.spec.augment}"
    )


def _trained(workdir):
  """Returns the newest step of each stage that has checkpoints."""
  found = {s: latest_step(workdir / s) for s in all_stages()}
  return {stage: step for stage, step in found.items() if step is not None}


def _other_images(workdir, old, new):
  if old == new:
    return (
      f"{workdir} was trained on other images than {new} holds now; bring "
      "those back, or use another --workdir"
    )
  return (
    f"{workdir} was trained on {old}, and {new} holds other images; use that "
    "data set, or another --workdir"
  )


def _differences(old, new, skip, prefix=""):
  """Lists settings that differ, but for those in `skip` and changeable ones."""
  found = []
  for name in [n for n in old if n not in skip | CHANGEABLE]:
    if isinstance(old[name], dict):
      found += _differences(old[name], new[name], skip, f"{prefix}{name}.")
    elif old[name] != new[name]:
      found.append(f"{prefix}{name} was {old[name]}, now {new[name]}")
  return found
