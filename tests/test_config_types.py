"""Every setting holds what its type says, and no number is beyond use."""

import dataclasses
import json
import math
from typing import Literal, get_args, get_origin

import pytest

from vqvae_jax import commands
from vqvae_jax.config import (
  BaselineConfig,
  Config,
  PriorConfig,
  SampleConfig,
  StageConfig,
  StudyConfig,
  TokenizerConfig,
  checks,
  fields,
  from_dict,
  generators,
)
from vqvae_jax.errors import ConfigError

KINDS = (
  StageConfig,
  TokenizerConfig,
  PriorConfig,
  BaselineConfig,
  Config,
  SampleConfig,
  StudyConfig,
)
FIELDS = [
  (kind, field, fields.hints_of(kind)[field.name])
  for kind in KINDS
  for field in dataclasses.fields(kind)
]
SETTINGS = [
  (kind, one) for kind in KINDS for one in fields.settings_of(kind).values()
]
# Of every type that JSON or Python code may bring.
VALUES = (
  None,
  True,
  3,
  3.0,
  math.pi,
  "3",
  "x",
  (),
  (3,),
  ("x",),
  [3],
  {},
  b"x",
)


def fits(value, kind) -> bool:
  """Returns whether a value is of a type, decided in another way than there."""
  options = get_args(kind)
  if value is None:
    return type(None) in options
  kind = fields.bare_type(kind)
  if get_origin(kind) is Literal:
    return value in [o for o in get_args(kind) if type(o) is type(value)]
  if get_origin(kind) is tuple:
    element = get_args(kind)[0]
    return type(value) is tuple and all(fits(x, element) for x in value)
  return type(value) in {float: (int, float)}.get(kind, (kind,))


def refused(kind, field, value) -> str:
  required = {"workdir": "x"} if kind is SampleConfig else {}
  with pytest.raises(ConfigError) as caught:
    kind(**required | {field.name: value})
  message = str(caught.value)
  assert "\n" not in message and len(message) < 400
  return message


def test_every_field_refuses_every_other_type():
  tried = 0
  for kind, field, hint in FIELDS:
    flag = f"--{kind.PREFIX}{field.name}".replace("_", "-")
    for value in VALUES:
      if field.name == "model" and isinstance(value, str):
        continue  # Generators can be added, so the type does not list them.
      if not fits(value, hint):
        message = refused(kind, field, value)
        assert message.startswith(f"{flag} "), message
        assert " is not " in message, message
        tried += 1
  assert tried > 1500


def test_every_whole_number_has_a_largest_value_that_is_told():
  for kind, one in SETTINGS:
    if one.element is not int:
      continue
    largest = one.rule.bounds[1]
    if largest == math.inf:
      largest = checks.LARGEST_COUNT
    assert largest <= 2**31 - 1
    for value in (int(largest) + 1, 10**12, 10**5000):
      message = refused(kind, one, (value,) if one.is_list else value)
      assert f"at most {largest:,.10g} is allowed" in message
    low = -(10**5000)
    assert "-1e5000 must" in refused(kind, one, (low,) if one.is_list else low)


def test_every_number_has_a_largest_value():
  for kind, one in SETTINGS:
    if one.kind is float:
      for value in (1e10, 10**400):
        assert "is too large: at most" in refused(kind, one, value)
      assert "must be" in refused(kind, one, -1e300)


@pytest.mark.parametrize(
  ("within", "words", "inside", "outside"),
  [
    ("[0, 1)", "at least 0 and below 1", (0, 0.5), (-0.1, 1, math.nan)),
    ("(0, 1]", "above 0 and at most 1", (1e-9, 1), (0, 1.1, math.inf)),
    ("[2, inf)", "at least 2", (2, 1e9), (1, -math.inf, math.nan)),
    ("(0, 1)", "above 0 and below 1", (0.5,), (0, 1)),
  ],
)
def test_intervals(within, words, inside, outside):
  rule = fields.Rule(within)
  assert rule.range == words
  assert all(map(rule.allows, inside)) and not any(map(rule.allows, outside))


@pytest.mark.parametrize(
  ("values", "said"),
  [
    ({"tokenizer": []}, "tokenizer is not a group of settings"),
    ({"prior": None}, "prior is not a group of settings"),
    ({"tokenizer": {"levels": [8, "5"]}}, "--tokenizer.levels '5' is not a"),
    ({"tokenizer": {"levels": 8}}, "--tokenizer.levels 8 is not a list"),
    ({"tokenizer": {"steps": True}}, "--tokenizer.steps True is not a whole"),
    ({"tokenizer": {"steps": 5.0}}, "--tokenizer.steps 5.0 is not a whole"),
    ({"channels": True}, "--channels True is not one of 1, 3"),
    ({"channels": 1.0}, "--channels 1.0 is not one of 1, 3"),
    ({"model": ["vqvae"]}, "--model vqvae is not one of"),
    ({"dataset": None}, "--dataset None is not text"),
    ({"multihost": 1}, "--multihost 1 is not true or false"),
    ({"group_regex": 6000 * "("}, "is not a regular expression"),
  ],
)
def test_a_stored_configuration_of_other_types_is_refused(values, said):
  with pytest.raises(ConfigError) as caught:
    from_dict(json.loads(json.dumps(values)))
  assert said in str(caught.value)
  assert len(str(caught.value)) < 300


def test_the_address_of_a_cluster():
  def config(address):
    return Config(
      multihost=True, coordinator=address, num_processes=2, process_index=0
    )

  for good in ("localhost:1", "10.0.0.1:65535", "[::1]:1234", "a-b.c:80"):
    assert config(good).coordinator == good
  for bad in (
    *("localhost", ":1234", "localhost:", "localhost:99999", "localhost:0"),
    *("a b:1", "::1:1234", "http://a:80", "a:8x", "a:٣", "a:1 ", "[]:1", ""),
  ):
    with pytest.raises(ConfigError, match="HOST:PORT"):
      config(bad)


def test_a_generator_that_is_registered_later_can_be_chosen(monkeypatch):
  registered = {"mine": generators.Registered(("baseline",), "mine:Mine")}
  with pytest.raises(ConfigError, match="--model mine is not one of vqvae, ae"):
    Config(model="mine")
  monkeypatch.setattr(
    generators, "REGISTERED", generators.REGISTERED | registered
  )
  config = commands.parse(
    Config, ["--model=mine", "--baseline.hidden=8"], "train.py"
  )
  assert (config.model, config.baseline.hidden) == ("mine", 8)
  assert config.baseline.resolve("mine").learning_rate == 3e-3
  with pytest.raises(ConfigError, match="with --model=mine; it needs"):
    commands.parse(Config, ["--model=mine", "--prior.heads=2"], "train.py")
