"""One seed of a study: its real images and its generators."""

from contextlib import AbstractContextManager
from functools import cached_property

from etils import epath

from vqvae_jax.config import StudyConfig
from vqvae_jax.data import Data, DataSpec
from vqvae_jax.errors import RunError
from vqvae_jax.study import generators, records
from vqvae_jax.study.arms import GeneratorSpec
from vqvae_jax.study.images import Images, all_images, load
from vqvae_jax.study.schedule import Schedule


class Seed:
  """A choice of real images, and the images generated from them.

  Attributes:
    config: settings of the study.
    number: number of the seed.
    folder: folder of the seed's files.
    schedule: schedule of the study.
  """

  def __init__(
    self,
    config: StudyConfig,
    number: int,
    out: epath.Path,
    schedule: Schedule,
  ):
    self.config = config
    self.number = number
    self.folder = out / f"seed-{number}"
    self.schedule = schedule
    self._drawn: dict[GeneratorSpec, Images] = {}

  @cached_property
  def data(self) -> Data:
    """Training and validation images; test images are not read.

    Raises:
      RunError: if they are not those that this seed began with. The test split
        may then have images that were trained on.
    """
    data = load(self.config, self.number, ("train", "validation"))
    known = records.read(self.folder / "data.json")
    if known and known["images"] != data.spec.digest:
      raise RunError(
        f"{self.folder} was begun with other images than "
        f"{self.config.dataset} holds now; use those, or another --out"
      )
    return data

  @cached_property
  def spec(self) -> DataSpec:
    """The description of the data, which `forget` does not free."""
    return self.data.spec

  @cached_property
  def real(self) -> Images:
    """The training images."""
    return all_images(self.data["train"])

  @cached_property
  def held_out(self) -> Images:
    """The validation images."""
    return all_images(self.data["validation"])

  @property
  def num_classes(self) -> int:
    """The number of classes."""
    return self.spec.num_classes

  @property
  def num_real(self) -> int:
    """The number of training and validation images."""
    return self.spec.num_train + self.spec.num_validation

  def begin(self) -> None:
    """Records which images this seed has."""
    values = {"images": self.spec.digest}
    records.once(self.folder / "data.json", lambda: values)

  def forget(self) -> None:
    """Frees all images; they are read again when they are needed."""
    self._drawn.clear()
    self.spec  # noqa: B018  It is read before the data is freed.
    for name in ("data", "real", "held_out"):
      self.__dict__.pop(name, None)

  def say(self, text: str, left: bool = False) -> None:
    """Prints a line about this seed; see `Schedule.say`."""
    self.schedule.say(f"seed {self.number}: {text}", left)

  def busy(self, what: str) -> AbstractContextManager[None]:
    """Sets what this seed is busy with; see `Schedule.busy`."""
    return self.schedule.busy(f"seed {self.number}: {what}")

  def step(self, what: str, step: int, loss: float) -> None:
    """Sets how far the training of a classifier is."""
    self.schedule.update(
      f"seed {self.number}: {what}: step {step} of "
      f"{self.config.classifier_steps}, loss {loss:.3f}"
    )

  def generated(self, generator: GeneratorSpec, count: int) -> Images:
    """Returns the first `count` images of a generator.

    The generator is trained and the images are drawn if they are not recorded.
    """
    drawn = self._drawn.get(generator)
    if drawn is None or len(drawn) < count:
      drawn = self._drawn[generator] = self._draw(generator, count)
    return drawn.take(slice(count))

  def _draw(self, generator, count):
    model, folder = generator.model, self.folder
    console = self.schedule.console
    with self.busy(f"training {model}"):
      generators.train_generator(
        self.config, model, self.number, folder, console
      )
    with self.busy(f"drawing {count} images of {generator.name}"):
      drawn = generators.draw(
        generator, count, self.number, folder, self.spec, console
      )
    seconds = {
      model: generators.training_seconds(model, folder),
      f"images of {generator.name}": generators.drawing_seconds(
        generator, count, folder
      ),
    }
    for kind, spent in seconds.items():
      self.schedule.done(kind, (self.number, kind), spent)
    return drawn
