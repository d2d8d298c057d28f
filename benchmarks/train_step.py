"""Our tokenizer's train step beside the same net in PyTorch.

Ours is the jitted step that train.py runs. Theirs is the same network (hidden
128, residual 2 x 32, stride 4) around `vector-quantize-pytorch`'s codebook (512
codes of 64, moving averages), squared error and commitment loss, and Adam, in
four forms: channels first or last, plain or `torch.compile`. Ours also revives
dead codes and measures perplexity and gradient norm. Each side has a process of
its own with all cores, and sleeps while another works. Every round times all of
them, in turn, on the same batch of 128 images; the fastest form of PyTorch, by
its median, is compared. A ratio is our images/s over theirs, the median over
the rounds.

  pip install ".[peers]"
  python benchmarks/train_step.py
"""

import dataclasses
import functools
import multiprocessing
import statistics
import time

import numpy as np
import tyro

BATCH = 128
HIDDEN, RESIDUAL_HIDDEN, RESIDUAL_LAYERS = 128, 32, 2
CODES, CODE_DIM = 512, 64
LEARNING_RATE, DECAY, COMMITMENT = 3e-4, 0.99, 0.25
SHAPES = ((28, 28, 1), (32, 32, 3))
OURS = "vqvae_jax"
FORMS = {
  "torch": (False, False),
  "torch channels_last": (True, False),
  "torch compile": (False, True),
  "torch channels_last compile": (True, True),
}


@dataclasses.dataclass(frozen=True)
class Options:
  # Rounds, of which the median is taken.
  rounds: int = 7
  # Steps that each side takes in a round.
  steps: int = 10
  # Steps of each side before the first round.
  warmup: int = 25


def our_step(images):
  """The step of `vqvae_jax`, and a wait for its end."""
  from vqvae_jax.allocator import keep_freed_memory

  keep_freed_memory()  # As train.py does.
  import jax

  from vqvae_jax.config import Config, TokenizerConfig
  from vqvae_jax.data import DataSpec
  from vqvae_jax.generators.vqvae.tokenizer import TokenizerTask
  from vqvae_jax.training.state import init_state, make_train_step

  config = Config(
    batch_size=BATCH,
    augment="none",
    tokenizer=TokenizerConfig(
      codebook_size=CODES,
      code_dim=CODE_DIM,
      stride=4,
      hidden=HIDDEN,
      residual_layers=RESIDUAL_LAYERS,
      residual_hidden=RESIDUAL_HIDDEN,
      commitment=COMMITMENT,
      codebook_ema=DECAY,
      optimizer="adam",
      learning_rate=LEARNING_RATE,
      schedule="constant",
      warmup_steps=0,
      clip_norm=0,
    ),
  )
  spec = DataSpec(
    name="noise",
    image_shape=images.shape[1:],
    class_names=(),
    class_counts=(BATCH,),
    num_train=BATCH,
    num_validation=BATCH,
    variance=1.0,
    augment=config.augment,
    digest="",
  )
  task = TokenizerTask(config, spec)
  key = jax.random.key(0)
  batch = jax.device_put({"image": images, "label": np.zeros(BATCH, np.int32)})
  init = functools.partial(init_state, task, config.tokenizer)
  state = jax.jit(init)(batch, key)
  train_step = jax.jit(
    make_train_step(task, config.tokenizer), donate_argnums=1
  )

  def step():
    nonlocal state
    state, metrics = train_step((), state, batch, key)
    return metrics

  return step, jax.block_until_ready


def their_step(images, channels_last, compiled):
  """The step of PyTorch and `vector-quantize-pytorch`."""
  import torch
  from torch import nn
  from vector_quantize_pytorch import VectorQuantize

  class Residual(nn.Module):
    def __init__(self):
      super().__init__()
      self.conv3 = nn.Conv2d(HIDDEN, RESIDUAL_HIDDEN, 3, padding=1)
      self.conv1 = nn.Conv2d(RESIDUAL_HIDDEN, HIDDEN, 1)

    def forward(self, x):
      return x + self.conv1(torch.relu(self.conv3(torch.relu(x))))

  class Net(nn.Module):
    def __init__(self, channels):
      super().__init__()
      half = HIDDEN // 2
      self.encoder = nn.Sequential(
        nn.Conv2d(channels, half, 4, 2, 1),
        nn.ReLU(),
        nn.Conv2d(half, HIDDEN, 4, 2, 1),
        nn.ReLU(),
        nn.Conv2d(HIDDEN, HIDDEN, 3, padding=1),
        *[Residual() for _ in range(RESIDUAL_LAYERS)],
        nn.ReLU(),
        nn.Conv2d(HIDDEN, CODE_DIM, 1),
      )
      self.quantizer = VectorQuantize(
        dim=CODE_DIM,
        codebook_size=CODES,
        decay=DECAY,
        commitment_weight=COMMITMENT,
        accept_image_fmap=True,
      )
      self.decoder = nn.Sequential(
        nn.Conv2d(CODE_DIM, HIDDEN, 3, padding=1),
        *[Residual() for _ in range(RESIDUAL_LAYERS)],
        nn.ReLU(),
        nn.ConvTranspose2d(HIDDEN, half, 4, 2, 1),
        nn.ReLU(),
        nn.ConvTranspose2d(half, channels, 4, 2, 1),
      )

    def forward(self, x):
      quantized, _, loss = self.quantizer(self.encoder(x))
      return self.decoder(quantized), loss

  torch.manual_seed(0)
  torch.set_num_threads(multiprocessing.cpu_count())
  layout = torch.channels_last if channels_last else torch.contiguous_format
  x = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
  x = x.contiguous(memory_format=layout)
  net = Net(images.shape[-1]).to(memory_format=layout)
  optimizer = torch.optim.Adam(net.parameters(), lr=LEARNING_RATE)
  forward = torch.compile(net) if compiled else net

  def step():
    optimizer.zero_grad(set_to_none=True)
    pixels = x.float() / 255 - 0.5
    outputs, loss = forward(pixels)
    loss = torch.nn.functional.mse_loss(outputs, pixels) + loss
    loss.backward()
    optimizer.step()
    return loss

  return step, lambda loss: loss.item()


def worker(pipe, name, shape):
  """Builds one side, then takes as many steps as it is asked to."""
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (BATCH, *shape), np.uint8)
  try:
    if name == OURS:
      step, wait = our_step(images)
    else:
      step, wait = their_step(images, *FORMS[name])
    while steps := pipe.recv():
      start = time.perf_counter()
      for _ in range(steps):
        result = step()
      wait(result)
      pipe.send((time.perf_counter() - start) / steps)
  except Exception as error:  # A form that does not work here is left out.
    pipe.send(f"{type(error).__name__}: {error}".splitlines()[0])


def compare(shape, options):
  """Times all sides on images of one shape and prints what came out."""
  spawn = multiprocessing.get_context("spawn")
  title = "x".join(map(str, shape))
  pipes, processes = {}, []
  for name in (OURS, *FORMS):
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=worker, args=(theirs, name, shape))
    process.start()
    processes.append(process)
    pipes[name] = ours

  def measure(name, steps):
    pipes[name].send(steps)
    answer = pipes[name].recv()
    if isinstance(answer, float):
      return answer
    if name == OURS:
      raise RuntimeError(answer)
    print(f"{name} left out: {answer}")
    del pipes[name]
    return None

  # One after the other, so that compilations do not get in the way.
  for name in tuple(pipes):
    measure(name, options.warmup)
  seconds = {name: [] for name in pipes}
  for _ in range(options.rounds):
    for name in tuple(pipes):
      seconds[name].append(measure(name, options.steps))
  for pipe in pipes.values():
    pipe.send(0)
  for process in processes:
    process.join()
  medians = {name: statistics.median(seconds[name]) for name in pipes}
  for name, median in medians.items():
    print(
      f"{name:28s} {median * 1e3:7.1f} ms {BATCH / median:6.0f} images/s "
      f"shape={title}"
    )
  best = min(FORMS.keys() & medians.keys(), key=medians.get)
  ratios = [
    theirs / ours
    for ours, theirs in zip(seconds[OURS], seconds[best], strict=True)
  ]
  print(
    f"fastest PyTorch: {best}; ratios {min(ratios):.2f} to {max(ratios):.2f}"
  )
  print(f"ratio={statistics.median(ratios):.2f} shape={title}", flush=True)


def main():
  options = tyro.cli(Options, description=__doc__)
  for shape in SHAPES:
    compare(shape, options)


if __name__ == "__main__":
  main()
