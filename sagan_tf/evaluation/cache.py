"""What is worked out once and kept: extractors, and features of real images."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np

from sagan_tf.data.sources import describe_source


def cache_dir():
    """The folder of the cache: `$SAGAN_TF_CACHE`, or `~/.cache/sagan_tf`."""
    default = Path.home() / ".cache" / "sagan_tf"
    return Path(os.environ.get("SAGAN_TF_CACHE") or default)


def describe_data(config):
    """What decides which images and labels a config's data set gives, for JSON."""
    names = ("dataset", "image_size", "channels", "crop_size")
    described = {name: getattr(config, name) for name in names}
    return {**described, "source": digest(describe_source(config))}


def digest(value):
    """A short SHA-256 of anything that JSON can hold."""
    return _shorten(hashlib.sha256(json.dumps(value, sort_keys=True).encode()))


def digest_files(path):
    """A short SHA-256 of a file, or of all files in a folder with their names."""
    path = Path(path)
    total = hashlib.sha256()
    files = [path] if path.is_file() else sorted(filter(Path.is_file, path.rglob("*")))
    for file in files:
        if path.is_dir():
            total.update(file.relative_to(path).as_posix().encode())
        with open(file, "rb") as opened:
            total.update(hashlib.file_digest(opened, "sha256").digest())
    return _shorten(total)


def digest_weights(network):
    """A short SHA-256 of a Keras model's weights; its file also has the time in it."""
    total = hashlib.sha256()
    for weight in network.get_weights():
        total.update(np.ascontiguousarray(weight))
    return _shorten(total)


def _shorten(hashed):
    return hashed.hexdigest()[:16]
