"""What is known of a data set once it is read: the part that is recorded."""

import dataclasses
from collections.abc import Mapping
from typing import Any

# JSON has lists only.
_TUPLES = ("image_shape", "class_names", "class_counts", "intensity_range")


@dataclasses.dataclass(frozen=True)
class DataSpec:
  """What models, writers and a resumed run need to know of the data."""

  # As given by --dataset.
  name: str
  # Height, width, channels.
  image_shape: tuple[int, int, int]
  # One name for each label; empty if the images have no labels.
  class_names: tuple[str, ...]
  # Training images of each class.
  class_counts: tuple[int, ...]
  num_train: int
  num_validation: int
  # Of all training pixels, scaled to [0, 1].
  variance: float
  # The kind of augmentation that `auto` came to.
  augment: str
  # Of the pixels and labels of the training and validation images, wherever
  # and in whatever files they are.
  digest: str
  # The values that became 0 and 255; None if those of 8 bits were kept.
  intensity_range: tuple[int, int] | None = None

  @property
  def num_classes(self) -> int:
    return max(1, len(self.class_names))

  def to_dict(self) -> dict[str, Any]:
    """The same as plain JSON values."""
    values = dataclasses.asdict(self)
    for name in _TUPLES:
      if values[name] is not None:
        values[name] = list(values[name])
    return values

  @classmethod
  def from_dict(cls, values: Mapping[str, Any]) -> "DataSpec":
    """Inverse of `to_dict`."""
    values = dict(values)
    for name in _TUPLES:
      # Runs of old have no range.
      if values.get(name) is not None:
        values[name] = tuple(values[name])
    return cls(**values)
