"""Compares ways to grow a small labelled image set.

  python -m vqvae_jax.study --quick
  python -m vqvae_jax.study --dataset=mnist --num-real=1000 \\
    --num-synthetic=10000 --seeds=5 --out=study

Of the real images a fifth validates, and every choice is made there. Test
images are read once, at the end. The report is OUT/report.html. The same
command goes on where it stopped.
"""

import os
import pathlib

from vqvae_jax import stops


def main() -> int:
  # The imports are in here, so that Ctrl-C is one line during them, and --help
  # and mistakes answer at once.
  with stops.OneLine():
    from vqvae_jax import cli
    from vqvae_jax.commands import first
    from vqvae_jax.config import StudyConfig

    def action(config):
      print("starting: loading JAX and the images", flush=True)
      from vqvae_jax.study.run import study

      keep_programs()
      study(config)

    return cli.run(
      StudyConfig,
      action,
      __doc__,
      first=first.STUDY,
      prog="python -m vqvae_jax.study",
    )


def keep_programs():
  """Keeps compiled programs, which are the same for all seeds, for next time.

  They are executed, so they lie in the user's own cache and not in the folder
  of the study, which is handed on with its results. A directory that was set
  otherwise (JAX_COMPILATION_CACHE_DIR) stays.
  """
  import jax

  if jax.config.jax_compilation_cache_dir is None:
    jax.config.update("jax_compilation_cache_dir", str(programs_folder()))


def programs_folder() -> pathlib.Path:
  """Where compiled programs are kept, by the XDG convention."""
  caches = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
  return caches.expanduser() / "vqvae_jax" / "programs"


if __name__ == "__main__":
  stops.leave(main())
