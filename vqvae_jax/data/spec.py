"""The description of a data set that a run records."""

import dataclasses
from collections.abc import Mapping
from typing import Any

# Fields that JSON stores as lists.
_TUPLES = ("image_shape", "class_names", "class_counts", "intensity_range")


@dataclasses.dataclass(frozen=True)
class DataSpec:
  """What models, writers and a resumed run need to know of the data.

  Attributes:
    name: name of the data set, as given by --dataset.
    image_shape: height, width and channels.
    class_names: one name for each label; empty if the images have no labels.
    class_counts: number of training images of each class.
    num_train: number of training images.
    num_validation: number of validation images.
    variance: variance of all training pixels, scaled to [0, 1].
    augment: kind of augmentation, where `auto` is resolved.
    digest: digest of the pixels and labels of the training and validation
      images; it does not depend on the files that hold them.
    intensity_range: values that became 0 and 255; None if those of 8 bits were
      left as they are.
  """

  name: str
  image_shape: tuple[int, int, int]
  class_names: tuple[str, ...]
  class_counts: tuple[int, ...]
  num_train: int
  num_validation: int
  variance: float
  augment: str
  digest: str
  intensity_range: tuple[int, int] | None = None

  @property
  def num_classes(self) -> int:
    return max(1, len(self.class_names))

  def to_dict(self) -> dict[str, Any]:
    """Returns the fields as plain JSON values."""
    return {
      name: list(value) if isinstance(value, tuple) else value
      for name, value in dataclasses.asdict(self).items()
    }

  @classmethod
  def from_dict(cls, values: Mapping[str, Any]) -> "DataSpec":
    """Returns the specification that `to_dict` wrote."""
    values = dict(values)
    for name in _TUPLES:
      # Old runs have no range.
      if values.get(name) is not None:
        values[name] = tuple(values[name])
    return cls(**values)
