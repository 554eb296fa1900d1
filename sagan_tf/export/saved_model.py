import os
import shutil
from pathlib import Path

import keras
import tensorflow as tf

from sagan_tf.models.sagan import check_labels, to_uint8


def export_saved_model(model, path):
    """Writes the averaged generator as a SavedModel with named signatures.

    - `serving_default`(latents float32 `[B, latent_dim]`) gives `images` float32
      `[B, S, S, C]` in `[-1, 1]`.
    - `sample`(num_images int32 `[]`, seed int32 `[]`, truncation float32 `[]`) gives
      `images` uint8: those of `SAGAN.generate`.
    - `attention`(latents) gives `images` and one map a block, such as
      `attention_16x16` float32 `[B, N, M]`.

    Where there are classes, the first and the last take `labels` int32 `[B]` too, and
    `sample` takes `label` int32 `[]`, -1 for random ones.

    It is loaded by `tf.saved_model.load`, or a TensorFlow server, without this
    package and without Keras. An earlier export at `path` is replaced.

    Args:
        model: `SAGAN`.
        path: Folder to write.

    Returns:
        The path.
    """
    generator = model.ema_generator
    inputs = [tf.TensorSpec([None, generator.latent_dim], tf.float32, "latents")]
    controls = [
        tf.TensorSpec([], tf.int32, "num_images"),
        tf.TensorSpec([], tf.int32, "seed"),
        tf.TensorSpec([], tf.float32, "truncation"),
    ]
    if model.num_classes:
        inputs.append(tf.TensorSpec([None], tf.int32, "labels"))
        controls.append(tf.TensorSpec([], tf.int32, "label"))

    def serve(latents, *labels):
        labels = [check_labels(each, model.num_classes) for each in labels]
        return {"images": generator(latents, *labels, training=False)}

    def sample(num_images, seed, truncation, *label):
        inputs = [model.sample_latents(num_images, seed, truncation)]
        if label:
            label = check_labels(label[0], model.num_classes, lowest=-1)
            drawn = model.sample_labels(num_images, seed)
            inputs.append(tf.where(label < 0, drawn, label))
        return {"images": to_uint8(generator(*inputs, training=False))}

    def attention(latents, *labels):
        labels = [check_labels(each, model.num_classes) for each in labels]
        images, scores = generator(
            latents, *labels, training=False, return_attention_scores=True
        )
        return {"images": images, **scores}

    archive = keras.export.ExportArchive()
    archive.add_endpoint("serving_default", serve, inputs)
    archive.add_endpoint("sample", sample, controls)
    archive.add_endpoint("attention", attention, inputs)

    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    archive.write_out(str(partial), verbose=False)
    shutil.rmtree(path, ignore_errors=True)
    os.replace(partial, path)
    return path
