"""The types of files in image folders, and what to do about other types."""

import os
import shlex
import stat

from vqvae_jax.data.notes import shown

# JPEG and PNG have more names than the usual ones.
IMAGE_SUFFIXES = (".png", ".apng", ".jpg", ".jpeg", ".webp") + (
  ".jpe",
  ".jif",
  ".jfi",
  ".jfif",
  ".pjpeg",
  ".pjp",
)
# The reason why a companion is skipped.
COMPANION = "beside the images"
# Files beside the images of published sets; any other file is a mistake.
_COMPANION_SUFFIXES = frozenset(
  (".txt", ".md", ".rst", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml")
  + (".yml", ".html", ".pdf", ".ini", ".db", ".log", ".py", ".sh", ".zip")
  + (".tar", ".gz", ".tgz")
)
_COMPANION_NAMES = ("license", "readme", "notice", "copying", "checksums")
# Files that systems and programs leave behind, besides names with a dot.
_SYSTEM_NAMES = frozenset(
  ("__macosx", "__pycache__", "thumbs.db", "ehthumbs.db", "desktop.ini")
  + ("@eadir", "@__thumb", "@recycle", "#recycle", "$recycle.bin", "icon\r")
  + ("system volume information", "lost+found", "picasa.ini")
)
# Formats that ImageMagick converts.
_CONVERTIBLE = {
  **dict.fromkeys((".heic", ".heif", ".hif"), "HEIC"),
  **dict.fromkeys((".tif", ".tiff"), "TIFF"),
  **dict.fromkeys((".jp2", ".j2k", ".jpx"), "JPEG 2000"),
  **dict.fromkeys((".ppm", ".pgm", ".pbm", ".pnm"), "Netpbm"),
  **dict.fromkeys((".cr2", ".cr3", ".nef", ".arw", ".dng", ".raw"), "raw"),
  ".avif": "AVIF",
  ".bmp": "BMP",
  ".dib": "BMP",
  ".gif": "GIF",
  ".ico": "ICO",
  ".jxl": "JPEG XL",
  ".psd": "Photoshop",
  ".svg": "SVG",
  ".tga": "TGA",
}
_DICOM = (".dcm", ".dicom", ".ima")
# Suffixes that the files of a set may have had before they were converted.
CONVERTED_SUFFIXES = (*IMAGE_SUFFIXES, *_DICOM, *_CONVERTIBLE)
_VOLUMES = (".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".mgz")
_COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
_MAGIC = (
  (b"\x89PNG\r\n\x1a\n", "PNG", ".png"),
  (b"\xff\xd8\xff", "JPEG", ".jpg"),
)


def is_system(name: str) -> bool:
  """Returns whether a system or program left a file or folder behind."""
  return name.lower() in _SYSTEM_NAMES


def is_companion(name: str) -> bool:
  """Returns whether a file is not an image, but common beside images."""
  name = name.lower()
  stem, suffix = os.path.splitext(name)
  inner = os.path.splitext(stem)[1]
  if name.endswith(_VOLUMES) or (
    suffix in _COMPRESSED and inner in CONVERTED_SUFFIXES
  ):
    return False
  return suffix in _COMPANION_SUFFIXES or stem in _COMPANION_NAMES


def mistake(path: str, root: str | os.PathLike) -> str:
  """Returns what is wrong with a file that is neither read nor skipped.

  Args:
    path: path of the file.
    root: path of the data set.

  Returns:
    One line that names the file and says what to do next.
  """
  name, suffix = shown(path), os.path.splitext(path)[1].lower()
  try:
    kind = os.stat(path).st_mode
  except FileNotFoundError:
    if os.path.islink(path):
      return f"{name} is a link to nothing; mend it or remove it"
    return f"{name} was listed, but is gone; is something moving the images?"
  except OSError as error:
    return f"{name} cannot be read: {error.strerror}"
  if not stat.S_ISREG(kind):
    return f"{name} is neither a file nor a folder; move it away"
  start = _start(path)
  if suffix in _DICOM or start[128:132] == b"DICM":
    return (
      f"{name} is a DICOM file; convert the folder first with the command in "
      "docs/xrays.md"
    )
  if path.lower().endswith(_VOLUMES):
    return (
      f"{name} is a volume of many slices, not a PNG, JPEG or WebP image; save "
      "its slices first: pip install med2image && med2image -i "
      f"{shlex.quote(name)} -d slices -o slice.png"
    )
  if suffix in _CONVERTIBLE:
    return _convert(name, suffix, os.fspath(root))
  if suffix in _COMPRESSED:
    return f"{name} is compressed; unpack it, or move it away"
  if suffix == ".partial":
    return (
      f"{name} is a file that was being written when a job stopped; finish "
      "the job with sample.py --resume"
    )
  for magic, format_name, right in _MAGIC:
    if start.startswith(magic):
      return f"{name} is a {format_name} image; rename it to end in {right}"
  if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
    return f"{name} is a WebP image; rename it to end in .webp"
  return f"{name} is not a PNG, JPEG or WebP image; convert it or move it away"


def _convert(name, suffix, root):
  """Returns a message with a command that converts a copy of the folder.

  The command deletes the files that it has converted.
  """
  if os.path.basename(root) in ("", ".", ".."):
    root = os.path.abspath(root)
  copy = shown(shlex.quote(root + "_png"))
  return (
    f"{name} is not a PNG, JPEG or WebP image but {_CONVERTIBLE[suffix]}; "
    "convert a copy of the folder with ImageMagick, and use the copy: "
    f"cp -r {shown(shlex.quote(root))} {copy} && find {copy} -iname "
    f"'*{suffix}' -exec magick '{{}}[0]' '{{}}.png' ';' -delete"
  )


def _start(path):
  try:
    with open(path, "rb") as file:
      return file.read(132)
  except OSError:
    return b""
