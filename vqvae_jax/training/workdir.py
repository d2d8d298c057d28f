"""The run folder: its configuration, its lock, what may change on resuming.

config.json      settings, and what is known of the data
tokenizer/       checkpoints of stage 1; train/ and validation/ for TensorBoard
prior/           the same of stage 2
baseline/        in the place of both, of a model with one stage
metrics.jsonl    one line for each reported step
pictures/        reconstructions, samples, usage of the codebook
"""

import contextlib
import dataclasses
import json
from typing import Any

import filelock
from etils import epath

from vqvae_jax import config as cfg
from vqvae_jax.data import DataSpec
from vqvae_jax.errors import RunError, UserError
from vqvae_jax.files import replace
from vqvae_jax.training.checkpoints import latest_step

# What a resumed run may change: how long, how often, and where things are.
CHANGEABLE = {
  "workdir",
  "data_dir",
  "multihost",
  "coordinator",
  "num_processes",
  "process_index",
  "stage",
  "steps",
  "patience",
  "log_every",
  "eval_every",
  "checkpoint_every",
}
# Of a VQ-VAE.
STAGES = ("tokenizer", "prior")
# Of every other model.
BASELINE = "baseline"


@dataclasses.dataclass(frozen=True)
class RunInfo:
  """What `config.json` holds."""

  config: cfg.Config
  spec: DataSpec


def stages(model: str) -> tuple[str, ...]:
  """The stages of a model: names of settings, of folders, of metrics."""
  return STAGES if model == "vqvae" else (BASELINE,)


@contextlib.contextmanager
def lock(workdir: epath.PathLike):
  """Holds the folder for this process; the system frees it if that dies.

  Remote folders (`gs://...`) have no locks and are not locked.

  Raises:
    RunError: if another run holds it.
  """
  if "://" in str(workdir):
    yield
    return
  held = filelock.FileLock(str(epath.Path(workdir) / ".lock"))
  try:
    held.acquire(timeout=0)
  except filelock.Timeout:
    raise RunError(
      f"another run is at work in {workdir}; wait for it or use another "
      "--workdir"
    ) from None
  try:
    yield
  finally:
    held.release()


def read(workdir: epath.PathLike) -> RunInfo:
  """The configuration of a run.

  Raises:
    RunError: if the folder is no run of ours.
  """
  path = epath.Path(workdir) / "config.json"
  if not path.exists():
    raise RunError(f"{workdir} is no run folder: it has no config.json")
  try:
    values = json.loads(path.read_text())
    return RunInfo(
      cfg.from_dict(values["config"]), DataSpec.from_dict(values["data"])
    )
  except (KeyError, TypeError, ValueError, UserError) as error:
    raise RunError(f"{path} cannot be read: {error}") from None


def write(workdir: epath.PathLike, info: RunInfo):
  """Puts the configuration on record, whole or not at all."""
  path = epath.Path(workdir) / "config.json"
  values = {
    "config": dataclasses.asdict(info.config),
    "data": info.spec.to_dict(),
  }
  replace(path, (json.dumps(values, indent=2) + "\n").encode())


def check_same_run(workdir: epath.PathLike, new: RunInfo):
  """Refuses to go on with other data or another model.

  Settings of a stage that has no checkpoint yet may still change.

  Raises:
    RunError: naming the fields that differ.
  """
  workdir = epath.Path(workdir)
  if not (workdir / "config.json").exists():
    foreign = [p.name for p in workdir.iterdir() if p.name != ".lock"]
    if foreign:
      raise RunError(
        f"{workdir} holds {foreign[0]!r} but no config.json: it is no run "
        "folder; name a new or an empty one with --workdir"
      )
    return
  trained = {s: latest_step(workdir / s) for s in (*STAGES, BASELINE)}
  if not any(step is not None for step in trained.values()):
    return
  old = read(workdir)
  differences = _differences(
    {**dataclasses.asdict(old.config), "data": old.spec.to_dict()},
    {**dataclasses.asdict(new.config), "data": new.spec.to_dict()},
    skip={stage for stage, step in trained.items() if step is None},
  )
  if differences:
    raise RunError(
      f"{workdir} was trained with other settings: {'; '.join(differences)}. "
      "Use those, or another --workdir"
    )
  tokenizer_steps = trained["tokenizer"] or 0
  # One that stopped early has fewer steps than it was asked for.
  asked = max(tokenizer_steps, old.config.tokenizer.steps)
  more = new.config.tokenizer.steps > asked
  if trained["prior"] is not None and new.config.stage != "prior" and more:
    raise RunError(
      f"{workdir}/prior was trained on the tokenizer of step "
      f"{tokenizer_steps}; to train the tokenizer to step "
      f"{new.config.tokenizer.steps}, use another --workdir or move that "
      "prior away"
    )


def _differences(
  old: dict[str, Any], new: dict[str, Any], skip: set[str], prefix: str = ""
) -> list[str]:
  found = []
  for name in old:
    if name in skip or name in CHANGEABLE:
      continue
    if isinstance(old[name], dict):
      found += _differences(old[name], new[name], skip, f"{prefix}{name}.")
    elif old[name] != new[name]:
      found.append(f"{prefix}{name} was {old[name]}, now {new[name]}")
  return found
