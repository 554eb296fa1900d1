# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Train on your own pictures
#
# From a folder of pictures to a generator that others can use, in Python. The command
# line does the same: each step names its command.
#
# The last step, an export, needs `pip install '.[export]'`. In Colab, upload the wheel
# of this package (`python -m build` writes it to `dist/`), requirements-export.txt and
# your pictures, and run `%pip install sagan_tf-*.whl -r requirements-export.txt` first.
# A runtime with a GPU trains faster.

# %%
import dataclasses
from pathlib import Path

import numpy as np
from PIL import Image

from sagan_tf import load_preset, load_run, train

PICTURES = Path("my_pictures")

# %% [markdown]
# ## Pictures
#
# JPEG, PNG, WebP and more, of any size, in one folder or in sub-folders. A few thousand
# are a start. Set `PICTURES` to your folder. If there is none of this name, the next
# cell draws 2,000 pictures to learn from: bright disks and squares on a dark background
# that fades.

# %%
if not PICTURES.exists():
    PICTURES.mkdir()
    random = np.random.default_rng(0)
    y, x = np.mgrid[:48, :48]
    for number in range(2000):
        sky, ground = random.integers(0, 130, (2, 3))
        color = random.integers(130, 256, 3)
        picture = sky + (ground - sky) * (y / 47)[..., None]
        (u, v), radius = random.uniform(16, 32, 2), random.uniform(9, 15)
        distance = np.maximum(np.abs(y - v), np.abs(x - u))
        if number % 2:  # a disk
            distance = np.hypot(y - v, x - u)
        picture[distance < radius] = color
        Image.fromarray(picture.astype(np.uint8)).save(PICTURES / f"{number}.png")

print(f"{sum(1 for _ in PICTURES.rglob('*.*')):,} files")

# %% [markdown]
# ## Settings
#
# A preset gives the networks and the recipe; what differs is replaced.
#
# - For 64 px on a CPU begin with `load_preset("faces64")` and `crop_size=None`, since
#   its crop is CelebA's; on a GPU with `load_preset("folder")`. 128 and 256 px need it.
# - `augmentation` keeps the discriminator from memorizing a small data set.
# - `horizontal_flip` doubles it, if mirrored pictures make sense.
#
# Command: `sagan-tf train --config=mnist --dataset=folder --data_dir=my_pictures
# --channels=3 --augmentation=translation --steps=1500 --workdir=runs/my_pictures`

# %%
config = dataclasses.replace(
    load_preset("mnist"),  # 32 px, small networks, the R1 penalty
    dataset="folder",
    data_dir=str(PICTURES),
    channels=3,
    augmentation=("translation",),
    steps=1500,
    sample_interval=500,
    workdir="runs/my_pictures",
)
run = train(config)

# %% [markdown]
# Training prints where it writes. Interrupted, the same call resumes it. So does this
# one, which trains longer. The drawn shapes have edges and corners after 2,000 steps,
# about a minute on two CPU cores; photos take some ten thousand.

# %%
run = train(dataclasses.replace(config, steps=2000))

# %% [markdown]
# ## Pictures that it makes
#
# Command: `sagan-tf sample --workdir=runs/my_pictures`

# %%
run = load_run("runs/my_pictures")
run.sample("samples.png", num_images=64)
Image.open("samples.png")

# %% [markdown]
# In memory: uint8 `[num_images, height, width, channels]`. A seed gives the same
# pictures each time.

# %%
images = run.generate(16, seed=7)
print(images.shape, images.dtype)

# %% [markdown]
# ## Does it copy?
#
# Each row has a generated picture and its nearest training pictures. If generated ones
# are much nearer than training pictures are to one another, they are copies.
#
# Command: `sagan-tf neighbors --workdir=runs/my_pictures`

# %%
found = run.neighbors("neighbors.png")
print(
    f"Distance to the nearest training picture: {found.sample_distance:.1f}; "
    f"between training pictures: {found.real_distance:.1f}"
)
Image.open("neighbors.png")

# %% [markdown]
# ## Where it attends
#
# `attention/attention.html` opens in any browser: click a pixel to see what it attends
# to.
#
# Command: `sagan-tf attend --workdir=runs/my_pictures`

# %%
effects, folder = run.attend("attention")
print({name: round(effect, 3) for name, effect in effects.items()})
print(sorted(path.name for path in folder.iterdir()))

# %% [markdown]
# ## For others
#
# ONNX runs without TensorFlow and without this package.
#
# Command: `sagan-tf export --workdir=runs/my_pictures --format=onnx`

# %%
folder = run.export(format="onnx")
print(*sorted(folder.iterdir()), sep="\n")
