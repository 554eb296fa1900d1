"""How fast images are prepared, opened again and read for training.

    python benchmarks/data_pipeline.py --num_images=2000 --image_size=64

makes JPEGs of 500x375 pixels in a temporary folder, or takes `--data_dir`. The cache is
temporary too. Prints one JSON line.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import measuring
from sagan_tf.start_tensorflow import start_tensorflow


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data_dir", help="folder or archive of images")
    parser.add_argument("--num_images", type=measuring.positive, default=2000)
    parser.add_argument("--image_size", type=measuring.positive, default=64)
    parser.add_argument("--batch_size", type=measuring.positive, default=64)
    parser.add_argument("--batches", type=measuring.positive, default=300)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SAGAN_TF_CACHE"] = f"{folder}/cache"
        data_dir = arguments.data_dir
        if data_dir is None:
            data_dir = f"{folder}/images"
            make_images(Path(data_dir), arguments.num_images)
        measure(arguments, data_dir)


def make_images(folder, count):
    """Writes smooth random pictures, each another one, of about 40 kB."""
    import numpy as np
    from PIL import Image

    folder.mkdir()
    random = np.random.default_rng(0)
    for index in range(count):
        # Coarse colors and fine grain: JPEG takes as long as for photos.
        coarse = random.integers(0, 256, (12, 16, 3), np.uint8)
        picture = Image.fromarray(coarse).resize((500, 375), Image.Resampling.BICUBIC)
        grain = random.normal(0, 4, (375, 500, 1))
        pixels = np.clip(np.asarray(picture) + grain, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:06}.jpg", quality=85)


def measure(arguments, data_dir):
    start_tensorflow()
    from sagan_tf.config import Config
    from sagan_tf.data import load_data, make_dataset

    config = Config(
        dataset="folder",
        data_dir=data_dir,
        image_size=arguments.image_size,
        batch_size=arguments.batch_size,
    )
    prepared, data = _time(lambda: load_data(config))
    opened, data = _time(lambda: load_data(config))
    batches = iter(make_dataset(config, 0, data))
    next(batches)

    def read():
        for _ in range(arguments.batches):
            next(batches)

    read_seconds = min(measuring.time_calls(read, 3, warm_up=1))
    read_images = arguments.batches * arguments.batch_size
    measuring.print_result(
        images=len(data.images),
        image_size=arguments.image_size,
        seconds_to_prepare=round(prepared, 2),
        prepared_per_second=round(len(data.images) / prepared),
        seconds_to_open=round(opened, 3),
        read_per_second=round(read_images / read_seconds),
        peak_memory_gib=measuring.peak_memory_gib(),
    )


def _time(function):
    begin = time.perf_counter()
    result = function()
    return time.perf_counter() - begin, result


if __name__ == "__main__":
    measuring.run_main(main)
