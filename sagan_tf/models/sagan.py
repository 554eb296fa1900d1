import functools

import keras
import numpy as np
import tensorflow as tf

from sagan_tf.augmentation import AUGMENTATIONS, augment
from sagan_tf.gradient_penalties import PENALTIES
from sagan_tf.losses import LOSSES

# What is drawn, so that no two draws share a seed: training draws from (seed, step,
# update, replica, this), sampling from (seed, place, this).
_SAMPLING = 0x5A6A
_LABELS, _REAL_AUGMENTATION, _FAKE_AUGMENTATION, _PENALTY = range(1, 5)

LATENT_DISTRIBUTIONS = ("normal", "uniform", "truncated")


@keras.saving.register_keras_serializable(package="sagan_tf")
class SAGAN(keras.Model):
    """A generator and a discriminator trained against each other.

    One step is `discriminator_steps` updates of the discriminator, each on its own
    real batch and its own latents, and then one update of the generator on fresh
    latents. An exponential moving average of the generator follows it; that is the
    one that `generate` uses.

    Everything drawn is a function of `seed` and the step alone, so that a run that
    goes on from a saved model draws what it would have drawn.

    Where the networks have classes, real images come with their labels, and generated
    ones have labels that are drawn uniformly.

    Args:
        generator: Model from latents `[batch, latent_dim]` to images, with the
            attributes `latent_dim`, `image_size` and `channels`; with the attribute
            `num_classes` above 0, from latents and labels `[batch]`.
        discriminator: Model from images, and labels likewise, to logits `[batch]`.
        seed: Integer, what everything is drawn from.
        latent_distribution: `"normal"`, standard normal latents; `"uniform"` ones in
            `[-1, 1)`; or `"truncated"`, normal ones none of which is beyond 2.

    Attributes:
        ema_generator: The averaged generator, of the generator's class.
        num_classes: Integer, 0 where the networks have no classes.
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
        if latent_distribution not in LATENT_DISTRIBUTIONS:
            raise ValueError(
                "`latent_distribution` must be one of "
                f"{', '.join(LATENT_DISTRIBUTIONS)}. "
                f"Received: latent_distribution={latent_distribution}"
            )
        self.generator = generator
        self.discriminator = discriminator
        self.ema_generator = generator.__class__.from_config(generator.get_config())
        self.num_classes = getattr(generator, "num_classes", 0)
        if self.num_classes != getattr(discriminator, "num_classes", 0):
            raise ValueError(
                "Generator and discriminator must have the same classes. Received: "
                f"{self.num_classes} and {discriminator.num_classes} classes"
            )
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
        accumulation_steps=1,
        ema_decay=0.999,
        ema_start_step=0,
        gradient_penalty=None,
        gradient_penalty_weight=10.0,
        gradient_penalty_interval=1,
        augmentation=(),
        **kwargs,
    ):
        """Sets how the networks are trained.

        Args:
            generator_optimizer: Keras optimizer of the generator.
            discriminator_optimizer: Another one, of the discriminator.
            loss: `"hinge"`, `"non_saturating"`, `"lsgan"` or `"wgan"`.
            discriminator_steps: Positive integer, discriminator updates a step.
            accumulation_steps: Positive integer; each update's batch is worked through
                in this many parts, one after the other, to need less memory. Gradients
                are those of the whole batch, but that each part has batch statistics of
                its own, of which the last part's are kept, and that augmentations and
                the points where penalties are taken are drawn for each part.
            ema_decay: Float in `[0, 1)`; the average keeps this share of itself in
                each step, less in the first ones: at step `t` no more than
                `(1 + t) / (10 + t)`.
            ema_start_step: Integer; until this step the average is the generator
                itself, and above 0 there is no other beginning.
            gradient_penalty: None, `"gp"`, `"lp"`, `"dragan"` or `"r1"`: a term of the
                discriminator's loss; see `sagan_tf.gradient_penalties`.
            gradient_penalty_weight: Float, what it is multiplied by.
            gradient_penalty_interval: Positive integer `k`; it is taken in every k-th
                step only, and k times.
            augmentation: Some of `"color"`, `"translation"` and `"cutout"`, done to all
                images that the discriminator sees; see `sagan_tf.augmentation`.
            **kwargs: `jit_compile`, `run_eagerly` and `steps_per_execution` of
                `keras.Model.compile`.

        Raises:
            ValueError: for an unknown loss, or a number out of its range.
        """
        _check_choice("loss", loss, LOSSES)
        if gradient_penalty is not None:
            _check_choice("gradient_penalty", gradient_penalty, PENALTIES)
        for name in augmentation:
            _check_choice("augmentation", name, AUGMENTATIONS)
        for name, value in (
            ("discriminator_steps", discriminator_steps),
            ("accumulation_steps", accumulation_steps),
            ("gradient_penalty_interval", gradient_penalty_interval),
        ):
            if value < 1:
                raise ValueError(f"`{name}` must be positive. Received: {name}={value}")
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
        self.accumulation_steps = accumulation_steps
        self.ema_decay = ema_decay
        self.ema_start_step = ema_start_step
        self.gradient_penalty = gradient_penalty
        self.gradient_penalty_weight = gradient_penalty_weight
        self.gradient_penalty_interval = gradient_penalty_interval
        self.augmentation = tuple(augmentation)
        self._compile_arguments = {
            "loss": loss,
            "discriminator_steps": discriminator_steps,
            "accumulation_steps": accumulation_steps,
            "ema_decay": ema_decay,
            "ema_start_step": ema_start_step,
            "gradient_penalty": gradient_penalty,
            "gradient_penalty_weight": gradient_penalty_weight,
            "gradient_penalty_interval": gradient_penalty_interval,
            "augmentation": self.augmentation,
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

    def train_step(self, data):
        """Does one step; see the class.

        Args:
            data: Real images, float `[discriminator_steps * batch, height, width,
                channels]` in `[-1, 1]`, cut into one batch an update; where there are
                classes, a pair of them and labels `[discriminator_steps * batch]`.

        Returns:
            A dict of the metrics since they were last reset.
        """
        real = self._check_data(data)
        batches = zip(
            *(tf.split(values, self.discriminator_steps) for values in real),
            strict=True,
        )
        for update, batch in enumerate(batches):
            self._train_discriminator(*batch, update=update)
        self._train_generator(tf.shape(batch[0])[0])
        self._update_ema()
        self.step.assign_add(1)
        return {metric.name: metric.result() for metric in self.metrics}

    def _check_data(self, data):
        """The images, and their labels where there are classes, as a tuple."""
        pair = isinstance(data, (tuple, list))
        if not self.num_classes:
            if pair:
                raise ValueError("This model has no classes: train it on images alone")
            return (data,)
        if not pair or len(data) != 2:
            raise ValueError(
                f"This model has {self.num_classes} classes: train it on pairs of "
                "images and labels"
            )
        images, labels = data
        return images, check_labels(labels, self.num_classes)

    def _train_discriminator(self, real_images, *real_labels, update):
        variables = self.discriminator.trainable_variables

        def compute(part, real_images, latents, *labels):
            # Those of the real images and of the generated ones, or none.
            real_class, fake_class = labels[:1], labels[1:]
            # Outside the tape: this update is the discriminator's alone.
            fake_images = self.generator(latents, *fake_class, training=True)
            real_images = self._augment(real_images, update, part, _REAL_AUGMENTATION)
            fake_images = self._augment(fake_images, update, part, _FAKE_AUGMENTATION)
            with tf.GradientTape() as tape:
                real_logits = self.discriminator(
                    real_images, *real_class, training=True
                )
                fake_logits = self.discriminator(
                    fake_images, *fake_class, training=True
                )
                loss = self.adversarial_loss.discriminator(real_logits, fake_logits)
                # A term of this same update, not an update of its own.
                loss += self._penalize(
                    real_images, fake_images, real_class, update, part
                )
            means = loss, tf.reduce_mean(real_logits), tf.reduce_mean(fake_logits)
            return tape.gradient(loss, variables), means

        latents, *fake_labels = self._draw_inputs(tf.shape(real_images)[0], update)
        gradients, (loss, real_logits, fake_logits) = self._accumulate(
            compute, real_images, latents, *real_labels, *fake_labels
        )
        self._apply_gradients(self.discriminator_optimizer, gradients, variables)
        self.discriminator_loss.update_state(loss)
        self.real_logits.update_state(real_logits)
        self.fake_logits.update_state(fake_logits)

    def _train_generator(self, batch_size):
        variables = self.generator.trainable_variables
        update = self.discriminator_steps

        def compute(part, latents, *labels):
            with tf.GradientTape() as tape:
                fake_images = self.generator(latents, *labels, training=True)
                fake_images = self._augment(
                    fake_images, update, part, _FAKE_AUGMENTATION
                )
                # The judge is taken as it is: in training mode, but what it would have
                # noted of this batch (u, batch statistics) is dropped with the scope.
                with keras.StatelessScope():
                    fake_logits = self.discriminator(
                        fake_images, *labels, training=True
                    )
                loss = self.adversarial_loss.generator(fake_logits)
            return tape.gradient(loss, variables), loss

        gradients, loss = self._accumulate(
            compute, *self._draw_inputs(batch_size, update)
        )
        self._apply_gradients(self.generator_optimizer, gradients, variables)
        self.generator_loss.update_state(loss)

    def _penalize(self, real_images, fake_images, labels, update, part):
        """The weighted gradient penalty of a discriminator update."""
        if self.gradient_penalty is None:
            return 0.0

        def discriminate(images):
            # u moves by what the loss itself looks at, as it would without penalty.
            with keras.StatelessScope():
                return self.discriminator(images, *labels, training=True)

        def penalize():
            penalty = PENALTIES[self.gradient_penalty]
            seed = self._step_seed(update, part, _PENALTY)
            weight = self.gradient_penalty_weight * self.gradient_penalty_interval
            return weight * penalty(discriminate, real_images, fake_images, seed)

        if self.gradient_penalty_interval == 1:
            return penalize()
        is_turn = self.step.value % self.gradient_penalty_interval == 0
        return tf.cond(is_turn, penalize, lambda: 0.0)

    def _augment(self, images, update, part, purpose):
        if not self.augmentation:
            return images
        seed = self._step_seed(update, part, purpose)
        return augment(images, self.augmentation, seed)

    def _accumulate(self, compute, *batch):
        """Works through a batch in parts; returns the means of what they give.

        Args:
            compute: Function of a part's number and its tensors to gradients and
                float32 scalars.
            *batch: Tensors of one batch, cut along their first axis.
        """
        if self.accumulation_steps == 1:
            return compute(0, *batch)
        parts = zip(
            *(tf.split(values, self.accumulation_steps) for values in batch),
            strict=True,
        )
        total, last = None, self.accumulation_steps - 1
        for number, part in enumerate(parts):
            # One part after the other, or all would be in memory at once.
            with tf.control_dependencies(tf.nest.flatten(total) if total else []):
                if number < last:
                    # What the layers note (u, batch statistics) counts once a batch:
                    # every part begins with the same, and only the last one's is kept.
                    with keras.StatelessScope():
                        result = compute(number, *part)
                else:
                    result = compute(number, *part)
                result = tf.nest.map_structure(tf.convert_to_tensor, result)
                total = (
                    tf.nest.map_structure(tf.add, total, result) if total else result
                )
        return tf.nest.map_structure(lambda x: x / self.accumulation_steps, total)

    def _apply_gradients(self, optimizer, gradients, variables):
        # Those of tables come as slices, a row as often as it was read, and Adam would
        # square each before it adds them up.
        gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
        # The optimizer adds up what the replicas bring; the batch's loss is a mean.
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        if replicas > 1:
            gradients = [gradient / replicas for gradient in gradients]
        optimizer.apply(gradients, variables)

    def _update_ema(self):
        step = tf.cast(self.step, "float32")
        if self.ema_start_step:
            decay = tf.where(step < self.ema_start_step, 0.0, self.ema_decay)
        else:
            decay = tf.minimum(self.ema_decay, (1.0 + step) / (10.0 + step))
        # Batch statistics are averaged like the weights they belong to.
        for average, value in zip(
            self.ema_generator.variables, self.generator.variables, strict=True
        ):
            average.assign(decay * average + (1.0 - decay) * value)

    def _step_seed(self, update, *parts):
        """A seed that is a function of (seed, step, update, replica, *parts)."""
        seed = tf.stack([tf.cast(self.seed, tf.int64), tf.cast(self.step, tf.int64)])
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        for part in (update, replica, *parts):
            seed = tf.random.experimental.stateless_fold_in(seed, part)
        return seed

    def _draw_inputs(self, batch_size, update):
        """What the generator is trained on: latents, and labels if it has classes."""
        latents = self._draw_latents(batch_size, update)
        if not self.num_classes:
            return (latents,)
        seed = self._step_seed(update, _LABELS)
        return latents, self._draw_labels([batch_size], seed)

    def _draw_latents(self, batch_size, update):
        shape = [batch_size, self.generator.latent_dim]
        return self._draw(shape, self._step_seed(update))

    # Philox gives the same numbers on every device, with XLA or without.

    def _draw(self, shape, seed):
        if self.latent_distribution == "uniform":
            return tf.random.stateless_uniform(shape, seed, -1.0, 1.0, alg="philox")
        if self.latent_distribution == "truncated":
            return tf.random.stateless_truncated_normal(shape, seed, alg="philox")
        return tf.random.stateless_normal(shape, seed, alg="philox")

    def _draw_labels(self, shape, seed):
        return tf.random.stateless_uniform(
            shape, seed, 0, self.num_classes, tf.int32, alg="philox"
        )

    def call(self, latents, labels=None, training=False):
        """Images of the averaged generator, float32 in `[-1, 1]`."""
        inputs = (latents,) if labels is None else (latents, labels)
        return self.ema_generator(*inputs, training=training)

    def sample_latents(self, num_images, seed=0, truncation=1.0):
        """Latents to sample with, each a function of the seed and its own place.

        Args:
            num_images: Integer, or int32 scalar tensor.
            seed: Integer, or int32 scalar tensor.
            truncation: Float, what the drawn latents are multiplied by.

        Returns:
            float32 tensor `[num_images, latent_dim]`.
        """
        latents = tf.map_fn(
            lambda own_seed: self._draw([self.generator.latent_dim], own_seed),
            _sampling_seeds(num_images, seed),
            fn_output_signature=tf.float32,
        )
        return truncation * latents

    def sample_labels(self, num_images, seed=0):
        """Labels to sample with, uniform, each a function of the seed and its place.

        Args:
            num_images: Integer, or int32 scalar tensor.
            seed: Integer, or int32 scalar tensor.

        Returns:
            int32 tensor `[num_images]`.
        """

        def draw(own_seed):
            own_seed = tf.random.experimental.stateless_fold_in(own_seed, _LABELS)
            return self._draw_labels([], own_seed)

        return tf.map_fn(
            draw, _sampling_seeds(num_images, seed), fn_output_signature=tf.int32
        )

    def generate(self, num_images, seed=0, truncation=1.0, labels=None, batch_size=64):
        """Samples the averaged generator in evaluation mode.

        The i-th image of a seed is the same whatever `num_images` is.

        Args:
            num_images: Positive integer.
            seed: Integer.
            truncation: Float, what latents are multiplied by. 1 leaves the
                distribution that was trained on; less is nearer to the mean image.
            labels: Integers, one for each image or one for all; by default
                `sample_labels`. Only where there are classes.
            batch_size: Positive integer, images computed at once.

        Returns:
            uint8 array `[num_images, image_size, image_size, channels]`.

        Raises:
            ValueError: if there are not as many labels as images, if a label is not a
                class, or if there are no classes.
        """
        latents = self.sample_latents(num_images, seed, truncation)
        if not self.num_classes:
            if labels is not None:
                raise ValueError("This model has no classes, and takes no labels")
        elif labels is None:
            labels = self.sample_labels(num_images, seed)
        else:
            labels = self._check_labels(labels, num_images)
        return self.render(latents, labels, batch_size)

    def render(self, latents, labels=None, batch_size=64):
        """Images of given latents, by the averaged generator in evaluation mode.

        Args:
            latents: Float `[N, latent_dim]`.
            labels: Where there are classes, integers `[N]`, or float
                `[N, num_classes]`: how much of each class is in each image.
            batch_size: Positive integer, images computed at once.

        Returns:
            uint8 array `[N, image_size, image_size, channels]`.
        """
        inputs = [tf.convert_to_tensor(latents, tf.float32)]
        if labels is not None:
            inputs.append(tf.convert_to_tensor(labels))
        # Whole batches only: one shape, so one trace, and the same arithmetic for an
        # image whatever its batch.
        count = len(latents)
        batches = -(-count // batch_size)
        inputs = [_pad(x, batches * batch_size) for x in inputs]
        images = [
            self._generate_uint8(*batch)
            for batch in zip(*(tf.split(x, batches) for x in inputs), strict=True)
        ]
        return np.concatenate(images)[:count]

    def take_standing_statistics(self, num_batches, batch_size=64, seed=0):
        """Takes the averaged generator's batch statistics anew, over many batches.

        Its moving statistics become the means of those of `num_batches` batches of
        latents, and labels, drawn as in training: BigGAN's standing statistics.

        Args:
            num_batches: Positive integer.
            batch_size: Positive integer.
            seed: Integer.
        """
        normalizations = [
            layer
            for layer in self.ema_generator._flatten_layers()
            if isinstance(layer, keras.layers.BatchNormalization)
        ]
        momenta = [layer.momentum for layer in normalizations]
        count = num_batches * batch_size
        inputs = [self.sample_latents(count, seed)]
        if self.num_classes:
            inputs.append(self.sample_labels(count, seed))
        batches = zip(*(tf.split(x, num_batches) for x in inputs), strict=True)
        for number, batch in enumerate(batches):
            for layer in normalizations:
                layer.momentum = number / (number + 1)
            # u is to stay as it is.
            us = [v for v in self.ema_generator.variables if v.name == "u"]
            before = [u.numpy() for u in us]
            self.ema_generator(*batch, training=True)
            for u, value in zip(us, before, strict=True):
                u.assign(value)
        for layer, momentum in zip(normalizations, momenta, strict=True):
            layer.momentum = momentum

    def _check_labels(self, labels, num_images):
        labels = np.atleast_1d(np.asarray(labels))
        if not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(f"Labels must be integers. Received: {labels.dtype}")
        if len(labels) not in (1, num_images):
            raise ValueError(
                "There must be one label or as many as images. "
                f"Received: {len(labels)} labels for {num_images} images"
            )
        wrong = sorted({int(x) for x in labels if not 0 <= x < self.num_classes})
        if wrong:
            raise ValueError(
                f"Labels must be from 0 to {self.num_classes - 1}. "
                f"Received: {', '.join(map(str, wrong))}"
            )
        return np.broadcast_to(labels, num_images).astype(np.int32)

    @functools.cached_property
    def _generate_uint8(self):
        generator = self.ema_generator
        return tf.function(lambda *inputs: to_uint8(generator(*inputs, training=False)))

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


def _sampling_seeds(num_images, seed):
    """One seed an image, `[num_images, 2]`, each a function of its own place."""
    seed = tf.stack([tf.cast(seed, tf.int32), _SAMPLING])
    return tf.map_fn(
        lambda place: tf.random.experimental.stateless_fold_in(seed, place),
        tf.range(num_images),
    )


def _pad(x, length):
    """`x`, with zeros after it up to a length."""
    return tf.pad(x, [[0, length - len(x)]] + [[0, 0]] * (len(x.shape) - 1))


def _check_choice(name, value, choices):
    if value not in choices:
        raise ValueError(
            f"`{name}` must be one of {', '.join(choices)}. Received: {name}={value}"
        )


def check_labels(labels, num_classes, lowest=0):
    """The labels, once they are seen to be among the classes, in a graph too.

    Unchecked, -1 would be read from a table as its last row.

    Args:
        labels: Integer tensor.
        num_classes: Positive integer.
        lowest: Integer, the lowest label allowed.

    Returns:
        `labels`.

    Raises:
        tf.errors.InvalidArgumentError: if one is out of range.
    """
    message = f"Labels must be from {lowest} to {num_classes - 1}"
    within = tf.reduce_all((labels >= lowest) & (labels < num_classes))
    # Whatever reads the labels waits for that: its own complaint could come first.
    with tf.control_dependencies([tf.Assert(within, [message, labels])]):
        return tf.identity(labels)


def to_uint8(images):
    """Float images in `[-1, 1]` to uint8 tensors in `[0, 255]`, rounded."""
    return tf.cast(tf.clip_by_value(tf.round((images + 1.0) * 127.5), 0, 255), tf.uint8)
