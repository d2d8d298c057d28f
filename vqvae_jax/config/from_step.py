"""The flag `--from-step`: which checkpoint of which stage to take."""

from vqvae_jax.config.generators import all_stages
from vqvae_jax.errors import ConfigError

# The last stage that has checkpoints.
LAST = ""


def parse(text: str | None) -> dict[str, int]:
  """Returns steps by the name of the stage.

  Args:
    text: `200`, `tokenizer:200` or `tokenizer:200,prior:400`; None for the
      newest checkpoint of each stage.

  Raises:
    ConfigError: if the text has another form.
  """
  found = {}
  shown = ascii(text[:60])[1:-1] if text is not None else ""
  for part in text.split(",") if text is not None else ():
    stage, _, step = part.strip().rpartition(":")
    fits = step.isascii() and step.isdecimal() and len(step) < 18
    if not fits or stage in found or stage not in (LAST, *all_stages()):
      raise ConfigError(
        f"--from-step {shown} is not of the form 200 or tokenizer:200"
      )
    found[stage] = int(step)
  if LAST in found and len(found) > 1:
    raise ConfigError(f"--from-step {shown} must name the stage of each step")
  return found
