"""Settings: every rule, and the round trip through JSON."""

import dataclasses
import json
import math
import re

import pytest

from vqvae_jax.config import (
  BaselineConfig,
  Config,
  PriorConfig,
  SampleConfig,
  StageConfig,
  StudyConfig,
  TokenizerConfig,
  from_dict,
)
from vqvae_jax.errors import ConfigError

NAN, INF = math.nan, math.inf

STAGE = {
  "steps": [0, -1],
  "batch_size": [0, -8],
  "learning_rate": [NAN, INF, -INF, 0.0, -1e-3],
  "warmup_steps": [-1],
  "decay_rate": [NAN, INF, 0.0, -0.5, 1.01],
  "decay_steps": [0, -1],
  "plateau_patience": [0, -1],
  "plateau_factor": [NAN, INF, 0.0, -0.5, 1.0],
  "weight_decay": [NAN, INF, -1e-4],
  "momentum": [NAN, INF, -0.1, 1.0],
  "adam_b1": [NAN, INF, -0.1, 1.0],
  "clip_norm": [NAN, INF, -1.0],
  "accumulate": [0, -1],
  "weights_ema": [NAN, INF, -0.1, 1.0],
  "patience": [-1],
  "log_every": [0, -1],
  "eval_every": [0, -1],
  "checkpoint_every": [0, -1],
  "optimizer": ["lion"],
  "schedule": ["linear"],
}
TOKENIZER = STAGE | {
  "quantizer": ["gvq"],
  "depth": [0, -1],
  "quantizer_dropout": [NAN, INF, -0.1, 1.0],
  "groups": [0, -1],
  "bits": [0, -1, 21],
  "codebook_norm": ["l1"],
  "gradient": ["reinforce"],
  "code_temperature": [NAN, INF, -0.1],
  "entropy": [NAN, INF, -0.1],
  "orthogonality": [NAN, INF, -0.1],
  "kmeans": [-1],
  "divergence": [NAN, INF, -0.1],
  "final_temperature": [NAN, INF, 0.0, -0.1, 1.5],
  "codebook_size": [1, 0, -1],
  "code_dim": [0, -1],
  "stride": [0, 1, 3, 6, -2, -4],
  "hidden": [0, -1],
  "residual_layers": [-1],
  "residual_hidden": [0, -1],
  "likelihood": ["normal"],
  "commitment": [NAN, INF, -0.25],
  "codebook_ema": [NAN, INF, -0.1, 1.0],
  "revive_below": [NAN, INF, -0.1, 1.0],
}
PRIOR = STAGE | {
  "kind": ["rnn"],
  "kernel": [0, -1, 2],
  "layers": [0, -1],
  "width": [0, -1],
  "heads": [0, -1, 3],
  "dropout": [NAN, INF, -0.1, 1.0],
  "label_dropout": [NAN, INF, -0.1, 1.0],
}
BASELINE = STAGE | {
  "latent_dim": [0, -1],
  "hidden": [0, -1],
  "likelihood": ["laplace"],
  "pixel_std": [NAN, INF, 0.0, -0.1],
  "beta": [NAN, INF, 0.0, -1.0],
}
PROCESS = {
  # All of these are for --multihost, which is off.
  "coordinator": ["a:1"],
  "num_processes": [2],
  "process_index": [0],
}
RUN = PROCESS | {
  "from_step": ["x", "-1", "prior:", "vae:3", "3,4", "1.5"],
  "dataset": [""],
  "model": ["gan"],
  "stage": ["both"],
  "seed": [-1, 2**31],
  "batch_size": [0, -1],
  "dtype": ["float16"],
  "num_train_images": [0, -1],
  "image_size": [0, -1],
  "augment": ["mixup"],
  "group_regex": ["(", "*"],
  "labels_csv": [""],
}
SAMPLE = PROCESS | {
  "from_step": ["x", "-1", "prior:", "vae:3", "3,4", "1.5"],
  "format": ["gif"],
  "shard_size": [0, -1],
  "share": [NAN, INF, 0.0, -0.1, 1.01],
  "walk_steps": [0, -1],
  "step_size": [NAN, INF, 0.0, -0.1],
  "decode_steps": [0, -1],
  "worker": ["", "1", "1/1", "0/0", "-1/2", "a/b"],
  "num_images": [0, -1],
  "labels": [""],
  "out": [""],
  "dataset": [""],
  "mode": ["draw"],
  "seed": [-1, 2**31],
  "temperature": [NAN, INF, -0.1],
  "top_k": [0, -1],
  "top_p": [NAN, INF, 0.0, -0.5, 1.01],
  "guidance": [NAN, INF, -0.1],
  "batch_size": [0, -1],
}
BAD = [
  (kind, name, value)
  for kind, rules in (
    (StageConfig, STAGE),
    (TokenizerConfig, TOKENIZER),
    (PriorConfig, PRIOR),
    (BaselineConfig, BASELINE),
    (Config, RUN),
    (SampleConfig, SAMPLE),
  )
  for name, values in rules.items()
  for value in values
]
REQUIRED = {SampleConfig: {"workdir": "runs/x"}}


@pytest.mark.parametrize(
  "kind, name, value",
  BAD,
  ids=[f"{kind.__name__}-{name}-{value}" for kind, name, value in BAD],
)
def test_bad_value_names_flag_and_value(kind, name, value):
  with pytest.raises(ConfigError) as caught:
    kind(**REQUIRED.get(kind, {}) | {name: value})
  message = str(caught.value)
  assert f"--{kind.PREFIX}{name}".replace("_", "-") in message
  assert str(value) in message or value == ""
  assert "\n" not in message


@pytest.mark.parametrize(
  "kind, name, value",
  [
    (StageConfig, "clip_norm", 0.0),
    (StageConfig, "weight_decay", 0.0),
    (StageConfig, "warmup_steps", 0),
    (StageConfig, "momentum", 0.0),
    (StageConfig, "decay_rate", 1.0),
    (TokenizerConfig, "revive_below", 0.0),
    (TokenizerConfig, "commitment", 0.0),
    (TokenizerConfig, "residual_layers", 0),
    (TokenizerConfig, "stride", 2),
    (TokenizerConfig, "stride", 64),
    (PriorConfig, "dropout", 0.0),
    (PriorConfig, "label_dropout", 0.0),
    (SampleConfig, "guidance", 0.0),
    (Config, "seed", 2**31 - 1),
    (SampleConfig, "temperature", 0.0),
    (SampleConfig, "top_p", 1.0),
    (SampleConfig, "top_k", 1),
  ],
)
def test_the_border_is_allowed(kind, name, value):
  config = kind(**REQUIRED.get(kind, {}) | {name: value})
  assert getattr(config, name) == value


def test_rules_are_complete():
  """Every field but free text and nested settings has a bad value above."""
  free = {
    Config: {
      "data_dir",
      "workdir",
      "resume",
      "plan",
      "channels",
      "intensity_range",  # See test_an_intensity_range_has_an_order.
      "tokenizer",
      "prior",
      "baseline",
      "multihost",
    },
    SampleConfig: {
      "workdir",
      "resume",
      "repair",
      "verify",
      "multihost",
    },
    # See test_levels_and_groups for the first.
    TokenizerConfig: {"levels", "shared_codebook"},
  }
  for kind in dict.fromkeys(kind for kind, _, _ in BAD):
    names = {field.name for field in dataclasses.fields(kind)}
    tested = {name for k, name, _ in BAD if k is kind}
    assert names - tested == free.get(kind, set())


def test_micro_batches_are_equally_large():
  Config(batch_size=12, tokenizer=TokenizerConfig(accumulate=4))
  with pytest.raises(ConfigError, match="--prior.batch-size 10 .*accumulate 4"):
    PriorConfig(batch_size=10, accumulate=4)
  # A stage without a batch size of its own takes the run's.
  with pytest.raises(ConfigError, match="batch-size 10 .*accumulate 4"):
    Config(batch_size=10, tokenizer=TokenizerConfig(accumulate=4))
  Config(batch_size=10, tokenizer=TokenizerConfig(accumulate=4, batch_size=8))


@pytest.mark.parametrize(
  "options, message",
  [
    ({"levels": ()}, "--tokenizer.levels is empty; the default is 8 5 5 5"),
    ({"levels": (8, 1)}, "--tokenizer.levels 1 must be at least 2"),
    ({"levels": (1024, 2048)}, "1024 2048 give 2097152 codes, more than"),
    (
      {"groups": 3},
      "--tokenizer.groups 3 does not divide --tokenizer.code-dim",
    ),
  ],
)
def test_levels_and_groups(options, message):
  with pytest.raises(ConfigError, match=re.escape(message)):
    TokenizerConfig(quantizer="product", **options)


@pytest.mark.parametrize(
  "values, message",
  [
    ((-1, 5), "--intensity-range -1 must be at least 0"),
    ((0, 65536), "--intensity-range 65536 is too large"),
    ((5, 5), "--intensity-range 5 5: the first value must be below"),
    ((9, 2), "--intensity-range 9 2: the first value must be below"),
  ],
)
def test_an_intensity_range_has_an_order(values, message):
  for kind in (Config, StudyConfig):
    with pytest.raises(ConfigError, match=message):
      kind(intensity_range=values)
  config = StudyConfig(intensity_range=(0, 4095)).run_config(0, "")
  assert config.intensity_range == (0, 4095)


def test_round_trip_through_json():
  config = Config(
    dataset="npz:a b.npz",
    stage="prior",
    num_train_images=1000,
    channels=3,
    intensity_range=(0, 4095),
    group_regex=r"(p\d+)_",
    tokenizer=TokenizerConfig(
      stride=8, learning_rate=3e-4, steps=7, quantizer="fsq", levels=(7, 5)
    ),
    prior=PriorConfig(dropout=0.3, batch_size=64),
    baseline=BaselineConfig(latent_dim=2, learning_rate=1e-4),
  )
  assert config != Config()
  text = json.dumps(dataclasses.asdict(config), allow_nan=False)
  assert from_dict(json.loads(text)) == config
  # Fields that an older file lacks take their defaults.
  assert from_dict({"prior": {"layers": 2}}) == Config(
    prior=PriorConfig(layers=2)
  )


@pytest.mark.parametrize(
  "values, name",
  [
    ({"colour": 1}, "colour"),
    ({"tokenizer": {"layers": 1}}, "tokenizer.layers"),
    ({"prior": {"steps": 5, "stride": 1}}, "prior.stride"),
  ],
)
def test_unknown_field(values, name):
  with pytest.raises(ConfigError, match=f"unknown field {name}$"):
    from_dict(values)


def test_bad_values_in_json_are_refused():
  with pytest.raises(ConfigError, match="--prior.learning-rate nan"):
    from_dict({"prior": {"learning_rate": NAN}})
