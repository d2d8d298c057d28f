"""How the tests execute the annotations of the package."""

import beartype

# As in PEP 484, an int may be given where a float is expected.
typechecked = beartype.beartype(
  conf=beartype.BeartypeConf(is_pep484_tower=True)
)
