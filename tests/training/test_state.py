"""The step as a function: what batch, mesh and accumulation may not change."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqvae_jax.config import Config, PriorConfig, StageConfig, TokenizerConfig
from vqvae_jax.data import DataSpec
from vqvae_jax.sharding import make_mesh, replicated, to_global
from vqvae_jax.training import state as st
from vqvae_jax.training.prior import PriorTask
from vqvae_jax.training.tokenizer import TokenizerTask

CODES = 24
DECAY = 0.8
STAGE = {"learning_rate": 3e-3, "warmup_steps": 3, "steps": 30}
TOKENIZER = TokenizerConfig(
  codebook_size=CODES,
  code_dim=4,
  stride=2,
  hidden=6,
  residual_layers=1,
  residual_hidden=4,
  codebook_ema=DECAY,
  # High, so that many codes are revived.
  revive_below=0.3,
  **STAGE,
)
PRIOR = PriorConfig(
  layers=1, width=8, heads=2, dropout=0.3, label_dropout=0.0, **STAGE
)
SPEC = DataSpec(
  name="bars",
  image_shape=(8, 8, 1),
  class_names=("a", "b", "c"),
  class_counts=(10, 10, 10),
  num_train=30,
  num_validation=6,
  variance=0.05,
  augment="none",
  digest="",
)
KEY = 7


@pytest.fixture
def float64():
  with jax.enable_x64(True):
    yield


@pytest.fixture(autouse=True)
def drawn_weights(monkeypatch):
  """Weights by numpy: compiled, the initializers would take most of the time.

  In float64 where that is on, so that sums in another order agree.
  """
  true_init = nn.Module.init

  def init(self, *args):
    rng = np.random.default_rng(1)

    def draw(leaf):
      scale = 1.2 / np.prod(leaf.shape[:-1]) ** 0.5
      return jnp.asarray(scale * rng.normal(size=leaf.shape))

    shapes = jax.eval_shape(functools.partial(true_init, self), *args)
    return jax.tree.map(draw, shapes)

  monkeypatch.setattr(nn.Module, "init", init)


def draw_batch(seed, size=16):
  """Bright bars, one place for each of three classes."""
  rng = np.random.default_rng(seed)
  labels = rng.integers(0, 3, size).astype(np.int32)
  images = rng.integers(0, 90, (size, 8, 8, 1))
  for image, label in zip(images, labels, strict=True):
    image[2 * label : 2 * label + 2] += 150
  return {"image": images.astype(np.uint8), "label": labels}


def tokenizer_task(config=TOKENIZER, spec=SPEC, dtype=None):
  return TokenizerTask(Config(tokenizer=config), spec, dtype)


def prior_task(spec=SPEC, dtype=None, config=PRIOR):
  tokenizer = tokenizer_task(dtype=dtype).init(
    jax.random.key(0), jax.tree.map(jnp.asarray, draw_batch(99))
  )
  config = Config(tokenizer=TOKENIZER, prior=config)
  return PriorTask(config, spec, tokenizer, dtype)


def snapshot(tree):
  """A copy: on CPU, a view of a buffer would keep it from being donated."""
  return jax.tree.map(lambda x: np.array(jax.device_get(x), copy=True), tree)


def run(task, config, batches, mesh=None):
  """The states before each step and after the last, and each step's metrics."""
  mesh = mesh or make_mesh(jax.devices()[:1])
  init = jax.jit(
    lambda batch, key: st.init_state(task, config, batch, key),
    out_shardings=replicated(mesh),
  )
  key = jax.device_put(jax.random.key(KEY), replicated(mesh))
  frozen = jax.device_put(task.frozen, replicated(mesh))
  state = init(to_global(batches[0], mesh), key)
  step = jax.jit(st.make_train_step(task, config), donate_argnums=1)
  states, metrics = [snapshot(state)], []
  for batch in batches:
    before = state
    state, measured = step(frozen, state, to_global(batch, mesh), key)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(before))
    states.append(snapshot(state))
    metrics.append(snapshot(measured))
  assert step._cache_size() == 1
  return states, metrics


def assert_same(a, b, tolerance=1e-9):
  for (path, x), y in zip(
    jax.tree_util.tree_leaves_with_path(a), jax.tree.leaves(b), strict=True
  ):
    np.testing.assert_allclose(
      x,
      y,
      rtol=tolerance,
      atol=tolerance,
      err_msg=jax.tree_util.keystr(path),
    )


def largest_difference(a, b):
  pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
  return max(np.abs(x - y).max() for x, y in pairs)


def count_revived(states):
  """Codes whose running count is neither kept nor raised by whole latents."""
  total = 0
  for before, after in zip(states[:-1], states[1:], strict=True):
    old, new = (s.codebook["quantizer"]["count"] for s in (before, after))
    chosen = (new - DECAY * old) / (1 - DECAY)
    total += (np.abs(chosen - np.round(chosen)) > 1e-6).sum()
  return total


def with_quantizer(quantizer, **changes):
  return dataclasses.replace(TOKENIZER, quantizer=quantizer, **changes)


QUANTIZERS = pytest.mark.parametrize("quantizer", ["ema", "vq"])


@QUANTIZERS
def test_one_device_equals_eight_after_twenty_steps(quantizer, float64):
  config = with_quantizer(quantizer)
  spec = dataclasses.replace(SPEC, augment="affine")
  batches = [draw_batch(n) for n in range(20)]
  task = tokenizer_task(config, spec, jnp.float64)
  one, metrics_one = run(task, config, batches)
  eight, metrics_eight = run(task, config, batches, make_mesh())
  for leaf in jax.tree.leaves(one[-1].params | one[-1].codebook):
    assert leaf.dtype == np.float64
  assert int(one[-1].step) == 20
  assert_same(one[-1], eight[-1])
  assert_same(metrics_one, metrics_eight)
  # It went somewhere, and codes were revived on the way.
  assert largest_difference(one[-1].params, one[0].params) > 0.02
  assert count_revived(one) >= 5
  assert metrics_one[-1]["loss"] < metrics_one[0]["loss"]


def test_one_device_equals_eight_for_the_prior(float64):
  spec = dataclasses.replace(SPEC, augment="affine")
  task = prior_task(spec=spec, dtype=jnp.float64)
  batches = [draw_batch(n) for n in range(8)]
  one, metrics_one = run(task, PRIOR, batches)
  eight, metrics_eight = run(task, PRIOR, batches, make_mesh())
  assert_same(one[-1], eight[-1])
  assert_same(metrics_one, metrics_eight)
  assert largest_difference(one[-1].params, one[0].params) > 0.01


@QUANTIZERS
def test_four_micro_batches_equal_one_batch(quantizer, float64):
  config = with_quantizer(quantizer)
  batches = [draw_batch(n) for n in range(6)]
  task = tokenizer_task(config, dtype=jnp.float64)
  whole, metrics_whole = run(task, config, batches)
  parts, metrics_parts = run(
    task, dataclasses.replace(config, accumulate=4), batches
  )
  assert_same(whole, parts)
  assert count_revived(whole) >= 2
  for a, b in zip(metrics_whole, metrics_parts, strict=True):
    for name in ("loss", "reconstruction", "commitment", "gradient_norm"):
      np.testing.assert_allclose(a[name], b[name], rtol=1e-9, err_msg=name)


def test_codebook_follows_once_per_step(float64):
  config = with_quantizer("ema", accumulate=4, revive_below=0.0)
  task = tokenizer_task(config, dtype=jnp.float64)
  states, _ = run(task, config, [draw_batch(0), draw_batch(1)])
  latents = 16 * 4 * 4
  expected = CODES
  for state in states[1:]:
    expected = DECAY * expected + (1 - DECAY) * latents
    np.testing.assert_allclose(
      state.codebook["quantizer"]["count"].sum(), expected, rtol=1e-12
    )


@QUANTIZERS
def test_a_batch_twice_gives_the_same_update(quantizer, float64):
  config = with_quantizer(quantizer, revive_below=0.0)
  once = draw_batch(0)
  twice = {name: np.concatenate([x, x]) for name, x in once.items()}
  task = tokenizer_task(config, dtype=jnp.float64)
  state = jax.jit(functools.partial(st.init_state, task, config))(
    once, jax.random.key(KEY)
  )
  step = jax.jit(st.make_train_step(task, config))
  results = [step((), state, b, jax.random.key(KEY)) for b in (once, twice)]
  (a, metrics_a), (b, metrics_b) = jax.device_get(results)
  assert largest_difference(a.params, jax.device_get(state.params)) > 5e-4
  assert_same(
    (a.params, a.opt_state, metrics_a), (b.params, b.opt_state, metrics_b)
  )


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@QUANTIZERS
def test_types_of_the_state_never_change(quantizer, dtype):
  """Else the second step would compile anew, and a restored one too."""
  config = with_quantizer(
    quantizer, accumulate=2, weights_ema=0.9, schedule="plateau"
  )
  task = tokenizer_task(config, dtype=dtype)
  batch, key = draw_batch(0), jax.random.key(KEY)
  init = functools.partial(st.init_state, task, config)
  state = jax.eval_shape(init, batch, key)
  stepped, _ = jax.eval_shape(
    st.make_train_step(task, config), (), state, batch, key
  )
  loss = jax.ShapeDtypeStruct((), jnp.float32)
  selected = jax.eval_shape(st.make_select(config), stepped, loss)

  def types(tree):
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return [(path, x.shape, x.dtype, x.weak_type) for path, x in leaves]

  assert types(state) == types(stepped) == types(selected)
  for path, _, kind, weak in types(state):
    assert kind in (jnp.float32, jnp.int32), path
    assert not weak, path


def test_first_codes_are_latents_and_depend_on_the_key():
  # Without k-means, which moves them.
  task = tokenizer_task(dataclasses.replace(TOKENIZER, kmeans=0))
  batch = jax.tree.map(jnp.asarray, draw_batch(0))

  @jax.jit
  def first(key):
    variables = task.init(key, batch)
    latents = task.model.apply(
      variables, batch["image"] / 255, method="latents"
    )
    return latents, variables["codebook"]["quantizer"]["vectors"]

  latents, codes = first(jax.random.key(0))
  latents, codes = np.asarray(latents).reshape(-1, 4), np.asarray(codes)
  distances = np.abs(latents[:, None] - codes).max(axis=-1)
  np.testing.assert_allclose(distances.min(axis=0), 0, atol=1e-6)
  assert len(set(distances.argmin(axis=0))) == CODES
  _, others = first(jax.random.key(1))
  assert np.abs(np.asarray(others) - codes).max() > 1e-3


class Line:
  """The simplest task: y = w x, mean squared error."""

  frozen = ()

  def init(self, key, batch):
    del key, batch
    return {"params": {"w": jnp.array([1.0, -2.0])}, "codebook": {}}

  def prepare(self, frozen, batch, key):
    del frozen, key
    return batch

  def loss(self, params, codebook, inputs, key):
    del codebook, key
    error = inputs["x"] @ params["w"] - inputs["y"]
    loss = jnp.mean(error**2)
    return loss, ({"loss": loss}, ())

  def update_codes(self, variables, arrays, key):
    del arrays, key
    return variables


SGD = StageConfig(
  optimizer="sgd",
  momentum=0.0,
  clip_norm=0.0,
  schedule="plateau",
  learning_rate=0.1,
  warmup_steps=4,
  plateau_patience=2,
  plateau_factor=0.5,
)


def line(config, steps=1, **changes):
  """States and metrics of a few steps on one batch, and that batch."""
  rng = np.random.default_rng(0)
  batch = {
    "x": jnp.asarray(rng.normal(size=(8, 2)), jnp.float32),
    "y": jnp.asarray(rng.normal(size=8), jnp.float32),
  }
  state = st.init_state(Line(), config, batch, jax.random.key(0))
  state = state.replace(**changes)
  step = jax.jit(st.make_train_step(Line(), config))
  states, metrics = [state], []
  for _ in range(steps):
    state, measured = step((), state, batch, jax.random.key(0))
    states.append(state)
    metrics.append(measured)
  return states, metrics, batch


def test_step_against_numpy():
  states, metrics, batch = line(SGD, steps=3)
  x, y = np.asarray(batch["x"]), np.asarray(batch["y"])
  w = np.array([1.0, -2.0])
  for n, (state, measured) in enumerate(zip(states[1:], metrics, strict=True)):
    error = x @ w - y
    gradient = 2 * x.T @ error / 8
    np.testing.assert_allclose(measured["loss"], np.mean(error**2), rtol=1e-5)
    np.testing.assert_allclose(
      measured["gradient_norm"], np.linalg.norm(gradient), rtol=1e-5
    )
    rate = 0.1 * (n + 1) / 4
    np.testing.assert_allclose(measured["learning_rate"], rate, rtol=1e-6)
    w = w - rate * gradient
    np.testing.assert_allclose(state.params["w"], w, rtol=1e-5)
    assert int(state.step) == n + 1


def test_plateau_scales_every_update():
  plateau = line(SGD)[0][0].plateau
  whole, _, _ = line(SGD)
  scaled, metrics, _ = line(
    SGD, plateau=plateau._replace(scale=jnp.float32(0.25))
  )
  start = np.asarray(whole[0].params["w"])
  np.testing.assert_allclose(
    scaled[1].params["w"] - start,
    0.25 * (whole[1].params["w"] - start),
    rtol=1e-4,
  )
  np.testing.assert_allclose(
    metrics[0]["learning_rate"], 0.25 * 0.1 / 4, rtol=1e-6
  )


def test_no_two_leaves_of_the_first_state_share_a_buffer():
  """Else they could not both be donated."""
  config = dataclasses.replace(SGD, weights_ema=0.9)
  leaves = jax.tree.leaves(line(config, steps=0)[0][0])
  assert len({leaf.unsafe_buffer_pointer() for leaf in leaves}) == len(leaves)


@pytest.mark.parametrize("decay", [0.2, 0.9])
def test_average_of_the_weights(decay):
  states, _, _ = line(dataclasses.replace(SGD, weights_ema=decay), steps=6)
  average = np.asarray(states[0].params["w"])
  for n, state in enumerate(states[1:]):
    share = min(decay, (1 + n) / (10 + n))
    average = share * average + (1 - share) * np.asarray(state.params["w"])
    np.testing.assert_allclose(state.average["w"], average, rtol=1e-5)
  used = st.weights_to_use(states[-1])["params"]["w"]
  np.testing.assert_array_equal(used, states[-1].average["w"])
  plain, _, _ = line(SGD)
  assert plain[1].average == {}
  np.testing.assert_array_equal(
    st.weights_to_use(plain[1])["params"]["w"], plain[1].params["w"]
  )


def select_all(config, losses, steps=None):
  """The states after each of these validation losses, one step apart."""
  states, _, _ = line(config, steps=len(losses))
  select = jax.jit(st.make_select(config))
  kept, selected = None, []
  for state, loss in zip(states[1:], losses, strict=True):
    if kept is not None:
      state = state.replace(
        **{
          name: getattr(kept, name)
          for name in ("plateau", "best", "best_loss", "best_step", "stale")
        }
      )
    kept = select(state, jnp.float32(loss))
    selected.append(kept)
  return states[1:], selected


LOSSES = [5.0, 4.0, 4.5, 4.0, 3.0, 3.5, np.nan, 3.1]


@pytest.mark.parametrize("weights_ema", [0.0, 0.5])
def test_select_keeps_the_best(weights_ema):
  config = dataclasses.replace(SGD, weights_ema=weights_ema)
  states, selected = select_all(config, LOSSES)
  assert [int(s.best_step) for s in selected] == [1, 2, 2, 2, 5, 5, 5, 5]
  assert [int(s.stale) for s in selected] == [0, 0, 1, 2, 0, 1, 2, 3]
  np.testing.assert_allclose(
    [float(s.best_loss) for s in selected], [5, 4, 4, 4, 3, 3, 3, 3]
  )
  for state in selected:
    best = states[int(state.best_step) - 1]
    weights = best.average if weights_ema else best.params
    np.testing.assert_array_equal(state.best["params"]["w"], weights["w"])


def test_select_moves_the_plateau_only_when_it_is_chosen():
  _, selected = select_all(SGD, LOSSES)
  scales = [float(s.plateau.scale) for s in selected]
  assert scales == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25]
  for schedule in ("constant", "cosine", "exponential"):
    config = dataclasses.replace(SGD, schedule=schedule)
    _, selected = select_all(config, LOSSES)
    assert float(selected[-1].plateau.scale) == 1
    assert int(selected[-1].stale) == 3


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_all_finite(bad, dtype):
  good = {"w": jnp.ones((2, 3), dtype), "n": [jnp.arange(3)], "none": {}}
  assert st.all_finite(good)
  assert not st.all_finite(good | {"b": jnp.array([1.0, bad], dtype)})


def test_tokenizer_measures_the_split_and_not_its_padding():
  task = tokenizer_task()
  evaluate = jax.jit(task.evaluate)
  whole = draw_batch(0, size=12)
  variables = task.init(
    jax.random.key(0), jax.tree.map(jnp.asarray, draw_batch(1))
  )
  rows = np.minimum(np.arange(16), 11).reshape(2, 8)
  sums = None
  for places, mask in zip(rows, [np.ones(8), np.arange(8) < 4], strict=True):
    batch = {name: x[places] for name, x in whole.items()}
    part = evaluate(variables, (), batch | {"mask": mask.astype(np.float32)})
    sums = part if sums is None else jax.tree.map(jnp.add, sums, part)
  measured = task.summarize(sums)
  images = whole["image"] / np.float32(255)

  @jax.jit
  def encode_and_decode(variables, images):
    ids = task.model.apply(variables, images, method="encode")
    return ids, task.model.apply(variables, ids, method="decode")

  ids, pixels = encode_and_decode(variables, images)
  mse = ((np.asarray(pixels) - images) ** 2).mean(axis=(1, 2, 3))
  np.testing.assert_allclose(measured["mse"], mse.mean(), rtol=1e-4)
  np.testing.assert_allclose(
    measured["mse_over_variance"], mse.mean() / 0.05, rtol=1e-4
  )
  np.testing.assert_allclose(
    measured["psnr"], (-10 * np.log10(mse)).mean(), rtol=1e-4
  )
  assert measured["loss"] == measured["reconstruction"]
  counts = np.bincount(np.asarray(ids).ravel(), minlength=CODES)
  np.testing.assert_array_equal(sums["codes"], counts[None])
  np.testing.assert_allclose(measured["usage"], (counts > 0).mean(), rtol=1e-6)
  p = counts[counts > 0] / counts.sum()
  np.testing.assert_allclose(
    measured["perplexity"], np.exp(-(p * np.log(p)).sum()), rtol=1e-4
  )
  # A code is in use from its first id on.
  rare = task.summarize(
    sums | {"codes": jnp.zeros((1, CODES)).at[0, 3].set(1.0)}
  )
  np.testing.assert_allclose(rare["usage"], 1 / CODES, rtol=1e-6)
  np.testing.assert_allclose(rare["perplexity"], 1, rtol=1e-6)


@pytest.mark.parametrize(
  ("options", "flag"),
  [
    ({"quantizer": "ema"}, "--tokenizer.codebook-size"),
    ({"quantizer": "ema", "revive_below": 0.0}, "--tokenizer.revive-below"),
    ({"quantizer": "fsq"}, "--tokenizer.levels"),
    ({"quantizer": "lfq"}, "--tokenizer.entropy"),
    ({"quantizer": "gumbel"}, "--tokenizer.divergence"),
  ],
)
def test_unused_codes_are_warned_of(options, flag):
  task = tokenizer_task(dataclasses.replace(TOKENIZER, **options))
  assert task.warning({"usage": 0.5}) is None
  warning = task.warning({"usage": 0.41})
  assert "41% of the codes are in use" in warning
  assert flag in warning


def test_prior_learns_the_ids_of_the_tokenizer():
  task = prior_task()
  batch = jax.tree.map(jnp.asarray, draw_batch(0, size=8))
  params = task.init(jax.random.key(0), batch)["params"]

  @jax.jit
  def run(params, frozen, batch):
    inputs = task.prepare(frozen, batch, jax.random.key(0))
    ids = task.tokenizer.apply(frozen, batch["image"] / 255, method="encode")
    logits = task.model.apply({"params": params}, inputs["ids"], batch["label"])
    mask = jnp.arange(8) < 5
    sums = task.evaluate({"params": params}, frozen, batch | {"mask": mask})
    losses = jax.vmap(lambda key: task.loss(params, {}, inputs, key)[0])(
      jax.random.split(jax.random.key(0))
    )
    return inputs, ids, logits, task.summarize(sums), losses

  inputs, ids, logits, measured, losses = run(params, task.frozen, batch)
  # In raster order.
  np.testing.assert_array_equal(inputs["ids"], np.asarray(ids).reshape(8, 16))
  np.testing.assert_array_equal(inputs["label"], batch["label"])
  log_p = np.asarray(jax.nn.log_softmax(logits))
  chosen = np.take_along_axis(
    log_p, np.asarray(inputs["ids"])[..., None], axis=-1
  )
  nats = -chosen[..., 0].sum(axis=1)
  np.testing.assert_allclose(
    measured["nats_per_image"], nats[:5].mean(), rtol=1e-5
  )
  np.testing.assert_allclose(
    measured["loss"], measured["nats_per_image"] / 16, rtol=1e-6
  )
  # Per id in training, and with dropout.
  np.testing.assert_allclose(losses, np.full(2, nats.mean() / 16), rtol=0.1)
  assert abs(float(losses[0] - losses[1])) > 1e-5


@pytest.mark.parametrize("classes", [3, 1])
def test_labels_are_hidden_where_there_are_some(classes):
  names = SPEC.class_names if classes > 1 else ()
  task = prior_task(
    spec=dataclasses.replace(SPEC, class_names=names),
    config=dataclasses.replace(PRIOR, label_dropout=0.25),
  )
  batch = jax.tree.map(jnp.asarray, draw_batch(0))
  batch["label"] = batch["label"] % classes

  @jax.jit
  def labels(frozen, batch):
    prepare = functools.partial(task.prepare, frozen, batch)
    return jax.vmap(prepare)(jax.random.split(jax.random.key(0), 100))["label"]

  got = np.asarray(labels(task.frozen, batch))
  hidden = got != np.asarray(batch["label"])
  assert (got[hidden] == classes).all()
  expected = 0.25 if classes > 1 else 0
  # Six standard deviations of a share of 1,600 draws.
  assert abs(hidden.mean() - expected) <= 0.065
