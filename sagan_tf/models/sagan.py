import functools

import keras
import numpy as np
import tensorflow as tf

from sagan_tf.losses import LOSSES

# Latents that share a seed with nothing else: training draws from (seed, step, ...),
# sampling from (seed, image, this).
_SAMPLING = 0x5A6A


@keras.saving.register_keras_serializable(package="sagan_tf")
class SAGAN(keras.Model):
    """A generator and a discriminator trained against each other.

    One step is `discriminator_steps` updates of the discriminator, each on its own
    real batch and its own latents, and then one update of the generator on fresh
    latents. An exponential moving average of the generator follows it; that is the
    one that `generate` uses.

    Latents are a function of `seed` and the step alone, so that a run that goes on
    from a saved model draws what it would have drawn.

    Args:
        generator: Model from latents `[batch, latent_dim]` to images, with the
            attributes `latent_dim`, `image_size` and `channels`.
        discriminator: Model from images to logits `[batch]`.
        seed: Integer, what the latents are drawn from.
        latent_distribution: `"normal"`, standard normal latents, or `"uniform"` ones
            in `[-1, 1)`.

    Attributes:
        ema_generator: The averaged generator, of the generator's class.
        step: Variable, the number of steps done.

    Example:

    ```python
    model = SAGAN(DCGANGenerator(image_size=32), DCGANDiscriminator(image_size=32))
    model.compile(keras.optimizers.Adam(1e-4, 0.0, 0.9),
                  keras.optimizers.Adam(4e-4, 0.0, 0.9))
    model.fit(images, steps_per_epoch=1000)  # a tf.data.Dataset in [-1, 1]
    pictures = model.generate(num_images=16, seed=0)
    ```

    Reference:
        [Zhang et al., 2018](https://arxiv.org/abs/1805.08318)
    """

    def __init__(
        self,
        generator,
        discriminator,
        seed=0,
        latent_distribution="normal",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if latent_distribution not in ("normal", "uniform"):
            raise ValueError(
                '`latent_distribution` must be "normal" or "uniform". '
                f"Received: latent_distribution={latent_distribution}"
            )
        self.generator = generator
        self.discriminator = discriminator
        self.ema_generator = generator.__class__.from_config(generator.get_config())
        self.seed = seed
        self.latent_distribution = latent_distribution
        self.step = self.add_weight(
            name="step",
            shape=(),
            dtype="int64",
            initializer="zeros",
            trainable=False,
            aggregation="only_first_replica",
        )
        self.generator_loss = keras.metrics.Mean(name="generator_loss")
        self.discriminator_loss = keras.metrics.Mean(name="discriminator_loss")
        self.real_logits = keras.metrics.Mean(name="real_logits")
        self.fake_logits = keras.metrics.Mean(name="fake_logits")
        # Built here, before any traced step: optimizers and a distribution strategy
        # both need the variables to be there.
        self.build()
        self.ema_generator.set_weights(self.generator.get_weights())

    def build(self, input_shape=None):
        image_shape = (
            self.generator.image_size,
            self.generator.image_size,
            self.generator.channels,
        )
        for generator in (self.generator, self.ema_generator):
            if not generator.built:
                generator.build((None, generator.latent_dim))
        if not self.discriminator.built:
            self.discriminator.build((None, *image_shape))
        self.built = True

    def compile(
        self,
        generator_optimizer,
        discriminator_optimizer,
        loss="hinge",
        discriminator_steps=1,
        ema_decay=0.999,
        **kwargs,
    ):
        """Sets how the networks are trained.

        Args:
            generator_optimizer: Keras optimizer of the generator.
            discriminator_optimizer: Another one, of the discriminator.
            loss: `"hinge"`, `"non_saturating"`, `"lsgan"` or `"wgan"`.
            discriminator_steps: Positive integer, discriminator updates a step.
            ema_decay: Float in `[0, 1)`; the average keeps this share of itself in
                each step, less in the first ones: at step `t` no more than
                `(1 + t) / (10 + t)`.
            **kwargs: `jit_compile`, `run_eagerly` and `steps_per_execution` of
                `keras.Model.compile`.

        Raises:
            ValueError: for an unknown loss, or a number out of its range.
        """
        if loss not in LOSSES:
            raise ValueError(
                f"`loss` must be one of {', '.join(LOSSES)}. Received: loss={loss}"
            )
        if discriminator_steps < 1:
            raise ValueError(
                "`discriminator_steps` must be positive. "
                f"Received: discriminator_steps={discriminator_steps}"
            )
        if not 0 <= ema_decay < 1:
            raise ValueError(
                f"`ema_decay` must be in [0, 1). Received: ema_decay={ema_decay}"
            )
        # Without `optimizer=None` Keras adds an RMSprop of its own.
        super().compile(optimizer=None, **kwargs)
        self.generator_optimizer = generator_optimizer
        self.discriminator_optimizer = discriminator_optimizer
        self.adversarial_loss = LOSSES[loss]
        self.discriminator_steps = discriminator_steps
        self.ema_decay = ema_decay
        self._compile_arguments = {
            "loss": loss,
            "discriminator_steps": discriminator_steps,
            "ema_decay": ema_decay,
            **kwargs,
        }
        # An optimizer that is not built is silently left out of a saved model.
        generator_optimizer.build(self.generator.trainable_variables)
        discriminator_optimizer.build(self.discriminator.trainable_variables)

    def get_compile_config(self):
        if not self.compiled:
            return None
        serialize = keras.optimizers.serialize
        return {
            "generator_optimizer": serialize(self.generator_optimizer),
            "discriminator_optimizer": serialize(self.discriminator_optimizer),
            **self._compile_arguments,
        }

    def compile_from_config(self, config):
        deserialize = keras.optimizers.deserialize
        for name in ("generator_optimizer", "discriminator_optimizer"):
            config[name] = deserialize(config[name])
        self.compile(**config)

    @property
    def metrics(self):
        return [
            self.generator_loss,
            self.discriminator_loss,
            self.real_logits,
            self.fake_logits,
        ]

    def train_step(self, real_images):
        """Does one step; see the class.

        Args:
            real_images: Float `[discriminator_steps * batch, height, width,
                channels]` in `[-1, 1]`, cut into one batch an update.

        Returns:
            A dict of the metrics since they were last reset.
        """
        batches = tf.split(real_images, self.discriminator_steps)
        for update, real_batch in enumerate(batches):
            self._train_discriminator(real_batch, update)
        self._train_generator(tf.shape(batches[0])[0])
        self._update_ema()
        self.step.assign_add(1)
        return {metric.name: metric.result() for metric in self.metrics}

    def _train_discriminator(self, real_images, update):
        latents = self._draw_latents(tf.shape(real_images)[0], update)
        # Outside the tape: this update is the discriminator's alone.
        fake_images = self.generator(latents, training=True)
        with tf.GradientTape() as tape:
            real_logits = self.discriminator(real_images, training=True)
            fake_logits = self.discriminator(fake_images, training=True)
            # A gradient penalty is a term of this sum, in this same update.
            loss = self.adversarial_loss.discriminator(real_logits, fake_logits)
        self._apply_gradients(
            self.discriminator_optimizer, tape, loss, self.discriminator
        )
        self.discriminator_loss.update_state(loss)
        self.real_logits.update_state(real_logits)
        self.fake_logits.update_state(fake_logits)

    def _train_generator(self, batch_size):
        latents = self._draw_latents(batch_size, self.discriminator_steps)
        with tf.GradientTape() as tape:
            fake_images = self.generator(latents, training=True)
            # The judge is taken as it is: in training mode, but what it would have
            # noted of this batch (u, batch statistics) is dropped with the scope.
            with keras.StatelessScope():
                fake_logits = self.discriminator(fake_images, training=True)
            loss = self.adversarial_loss.generator(fake_logits)
        self._apply_gradients(self.generator_optimizer, tape, loss, self.generator)
        self.generator_loss.update_state(loss)

    def _apply_gradients(self, optimizer, tape, loss, network):
        variables = network.trainable_variables
        gradients = tape.gradient(loss, variables)
        # The optimizer adds up what the replicas bring; the batch's loss is a mean.
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        if replicas > 1:
            gradients = [gradient / replicas for gradient in gradients]
        optimizer.apply(gradients, variables)

    def _update_ema(self):
        step = tf.cast(self.step, "float32")
        decay = tf.minimum(self.ema_decay, (1.0 + step) / (10.0 + step))
        # Batch statistics are averaged like the weights they belong to.
        for average, value in zip(
            self.ema_generator.variables, self.generator.variables, strict=True
        ):
            average.assign(decay * average + (1.0 - decay) * value)

    def _draw_latents(self, batch_size, update):
        """Latents to train with, a function of (seed, step, update, replica)."""
        seed = tf.stack([tf.cast(self.seed, tf.int64), tf.cast(self.step, tf.int64)])
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        for part in (update, replica):
            seed = tf.random.experimental.stateless_fold_in(seed, part)
        return self._draw([batch_size, self.generator.latent_dim], seed)

    def _draw(self, shape, seed):
        # Philox gives the same numbers on every device, with XLA or without.
        if self.latent_distribution == "uniform":
            return tf.random.stateless_uniform(shape, seed, -1.0, 1.0, alg="philox")
        return tf.random.stateless_normal(shape, seed, alg="philox")

    def call(self, latents, training=False):
        """Images of the averaged generator, float32 in `[-1, 1]`."""
        return self.ema_generator(latents, training=training)

    def sample_latents(self, num_images, seed=0, truncation=1.0):
        """Latents to sample with, each a function of the seed and its own place.

        Args:
            num_images: Integer, or int32 scalar tensor.
            seed: Integer, or int32 scalar tensor.
            truncation: Float, what the drawn latents are multiplied by.

        Returns:
            float32 tensor `[num_images, latent_dim]`.
        """
        seed = tf.stack([tf.cast(seed, tf.int32), _SAMPLING])

        def draw(place):
            own_seed = tf.random.experimental.stateless_fold_in(seed, place)
            return self._draw([self.generator.latent_dim], own_seed)

        latents = tf.map_fn(draw, tf.range(num_images), fn_output_signature=tf.float32)
        return truncation * latents

    def generate(self, num_images, seed=0, truncation=1.0, batch_size=64):
        """Samples the averaged generator in evaluation mode.

        The i-th image of a seed is the same whatever `num_images` is.

        Args:
            num_images: Positive integer.
            seed: Integer.
            truncation: Float, what latents are multiplied by. 1 leaves the
                distribution that was trained on; less is nearer to the mean image.
            batch_size: Positive integer, images computed at once.

        Returns:
            uint8 array `[num_images, image_size, image_size, channels]`.
        """
        # Whole batches only: one shape, so one trace, and the same arithmetic for an
        # image whatever its batch.
        batches = -(-num_images // batch_size)
        latents = self.sample_latents(batches * batch_size, seed, truncation)
        images = [self._render(batch) for batch in tf.split(latents, batches)]
        return np.concatenate(images)[:num_images]

    @functools.cached_property
    def _render(self):
        generator = self.ema_generator
        return tf.function(lambda latents: to_uint8(generator(latents, training=False)))

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "generator": serialize(self.generator),
            "discriminator": serialize(self.discriminator),
            "seed": self.seed,
            "latent_distribution": self.latent_distribution,
        }

    @classmethod
    def from_config(cls, config):
        deserialize = keras.saving.deserialize_keras_object
        for name in ("generator", "discriminator"):
            config[name] = deserialize(config[name])
        return cls(**config)


def to_uint8(images):
    """Float images in `[-1, 1]` to uint8 tensors in `[0, 255]`, rounded."""
    return tf.cast(tf.clip_by_value(tf.round((images + 1.0) * 127.5), 0, 255), tf.uint8)
