import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from sagan_tf import losses, replicas
from sagan_tf.augmentation import AUGMENTATIONS, augment
from sagan_tf.gradient_penalties import PENALTIES
from sagan_tf.models.network import check_choice, check_least
from sagan_tf.sampling import (
    LABELS,
    check_distribution,
    check_labels,
    draw_labels,
    draw_latents,
)
from sagan_tf.types import Shape, Tensor

# Every random draw of training has its own seed: a function of (seed, step, update,
# micro-batch, purpose). Latents are drawn without the last two.
_REAL_AUGMENTATION, _FAKE_AUGMENTATION, _PENALTY = range(LABELS + 1, LABELS + 4)


@keras.saving.register_keras_serializable(package="sagan_tf")
class SAGAN(keras.Model):
    """Trains a generator and a discriminator against each other.

    One step consists of

    1. `discriminator_steps` updates of the discriminator, each on its own batch of real
       images and its own latents,
    2. one update of the generator on new latents,
    3. an update of the EMA generator, an exponential moving average of the generator.

    All random draws are functions of `seed` and the step, so a model that is saved and
    loaded continues with the draws it would have made. If the networks have classes,
    real images come with labels, and labels of generated images are drawn uniformly.

    Under a `tf.distribute` strategy each replica computes an equal share of every
    batch, with the draws that one device would have made. Losses, logits and gradients
    are means over the whole batch, and all replicas keep the same variables.

    Args:
        generator: Model from latents `[batch, latent_dim]` to images, with the
            attributes `latent_dim`, `image_size` and `channels`; if its attribute
            `num_classes` is positive, from latents and labels `[batch]`.
        discriminator: Model from images, and labels likewise, to logits `[batch]`.
        seed: Integer, the random seed.
        latent_distribution: `"normal"`, `"uniform"` or `"truncated"`; see
            `sagan_tf.Sampler`.

    Attributes:
        ema_generator: The EMA generator, a model of the generator's class.
        num_classes: Integer, 0 if the networks have no classes.
        step: Variable, the number of completed steps.
        scales_loss: Boolean, whether the networks compute in float16, whose range is
            small. Each optimizer then has a dynamic loss scale of its own. An update
            whose gradients are not finite is skipped: it changes nothing but the scale.
        skipped_in_a_row: With loss scaling, a variable: in how many of the last steps
            there was such an update.

    Raises:
        ValueError: if the networks do not have the same classes, or there is no such
            distribution of latents.

    Example:

    ```python
    model = SAGAN(DCGANGenerator(image_size=32), DCGANDiscriminator(image_size=32))
    model.compile(
        keras.optimizers.Adam(1e-4, beta_1=0.0, beta_2=0.9),
        keras.optimizers.Adam(4e-4, beta_1=0.0, beta_2=0.9),
    )
    model.fit(dataset, steps_per_epoch=1000)  # a tf.data.Dataset of images in [-1, 1]
    images = Sampler(model.ema_generator).generate(16, seed=0)
    ```

    Reference:
        [Zhang et al., 2018](https://arxiv.org/abs/1805.08318)
    """

    def __init__(
        self,
        generator: Any,
        discriminator: Any,
        seed: int = 0,
        latent_distribution: str = "normal",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        check_distribution(latent_distribution)
        self.generator = generator
        self.discriminator = discriminator
        self.ema_generator = generator.__class__.from_config(generator.get_config())
        self.num_classes: int = getattr(generator, "num_classes", 0)
        if self.num_classes != getattr(discriminator, "num_classes", 0):
            raise ValueError(
                "Generator and discriminator must have the same classes. Received: "
                f"{self.num_classes} and {discriminator.num_classes} classes"
            )
        self.seed = seed
        self.latent_distribution = latent_distribution
        self.step = self._add_counter("step")
        self.scales_loss = generator.compute_dtype == "float16"
        if self.scales_loss:
            self.skipped_steps = _Sum(name="skipped_steps")
            self.skipped_in_a_row = self._add_counter("skipped_in_a_row")
        self.generator_loss = _Mean(name="generator_loss")
        self.discriminator_loss = _Mean(name="discriminator_loss")
        self.real_logits = _Mean(name="real_logits")
        self.fake_logits = _Mean(name="fake_logits")
        # Optimizers and distribution strategies need the variables before any step is
        # traced.
        self.build()
        self.ema_generator.set_weights(self.generator.get_weights())

    def build(self, input_shape: Shape | None = None) -> None:
        size, channels = self.generator.image_size, self.generator.channels
        for generator in (self.generator, self.ema_generator):
            if not generator.built:
                generator.build((None, generator.latent_dim))
        if not self.discriminator.built:
            self.discriminator.build((None, size, size, channels))
        self.built = True

    def compile(
        self,
        generator_optimizer: Any,
        discriminator_optimizer: Any,
        loss: Any = "hinge",
        discriminator_steps: int = 1,
        accumulation_steps: int = 1,
        ema_decay: float = 0.999,
        ema_start_step: int = 0,
        ema_warm_up: bool = True,
        gradient_penalty: str | None = None,
        gradient_penalty_weight: float = 10.0,
        gradient_penalty_interval: int = 1,
        augmentation: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        """Configures the model for training.

        Args:
            generator_optimizer: Keras optimizer of the generator. In float16 each of
                the two gets a `keras.optimizers.LossScaleOptimizer` around it.
            discriminator_optimizer: Another one, of the discriminator.
            loss: A key of `sagan_tf.losses.LOSSES`, or an `AdversarialLoss`.
            discriminator_steps: Positive integer, discriminator updates per step.
            accumulation_steps: Positive integer, micro-batches per batch. They are
                computed one after the other to save memory, and their gradients are
                averaged. Each micro-batch has its own batch statistics, of which the
                last ones are kept, and its own augmentations and penalty points.
            ema_decay: Float in `[0, 1)`, decay of the EMA generator.
            ema_start_step: Integer. Before this step the EMA copies the generator. If
                positive, it replaces the warm-up.
            ema_warm_up: Boolean. At step `t` the decay is at most
                `(1 + t) / (10 + t)`, to forget the initial weights.
            gradient_penalty: None, `"gp"`, `"lp"`, `"dragan"` or `"r1"`: a term of the
                discriminator's loss; see `sagan_tf.gradient_penalties`.
            gradient_penalty_weight: Float, its weight.
            gradient_penalty_interval: Positive integer `k`. The penalty is computed
                every k-th step and scaled by k (lazy regularization).
            augmentation: Some of `"color"`, `"translation"` and `"cutout"`, applied to
                all images that the discriminator sees; see `sagan_tf.augmentation`.
            **kwargs: `jit_compile`, `run_eagerly` and `steps_per_execution` of
                `keras.Model.compile`.

        Raises:
            ValueError: if there is no such loss, penalty or augmentation, or a number
                is out of its range.
        """
        if gradient_penalty is not None:
            check_choice("gradient_penalty", gradient_penalty, PENALTIES)
        for name in augmentation:
            check_choice("augmentation", name, AUGMENTATIONS)
        check_least("discriminator_steps", discriminator_steps, 1)
        check_least("accumulation_steps", accumulation_steps, 1)
        check_least("gradient_penalty_interval", gradient_penalty_interval, 1)
        if not 0 <= ema_decay < 1:
            raise ValueError(
                f"`ema_decay` must be in [0, 1). Received: ema_decay={ema_decay}"
            )
        self._check_lazy_penalty(gradient_penalty, gradient_penalty_interval)
        adversarial_loss = losses.get(loss)
        # Without `optimizer=None` Keras adds an RMSprop of its own.
        super().compile(optimizer=None, **kwargs)
        if self.scales_loss:
            generator_optimizer, discriminator_optimizer = map(
                _scale_loss, (generator_optimizer, discriminator_optimizer)
            )
        self.generator_optimizer = generator_optimizer
        self.discriminator_optimizer = discriminator_optimizer
        self.adversarial_loss = adversarial_loss
        self.discriminator_steps = discriminator_steps
        self.accumulation_steps = accumulation_steps
        self.ema_decay = ema_decay
        self.ema_start_step = ema_start_step
        self.ema_warm_up = ema_warm_up
        self.gradient_penalty = gradient_penalty
        self.gradient_penalty_weight = gradient_penalty_weight
        self.gradient_penalty_interval = gradient_penalty_interval
        self.augmentation = tuple(augmentation)
        self._keras_compile_arguments = kwargs
        # A saved model silently leaves out optimizers that are not built.
        generator_optimizer.build(self.generator.trainable_variables)
        discriminator_optimizer.build(self.discriminator.trainable_variables)

    def get_compile_config(self) -> dict[str, Any] | None:
        if not self.compiled:
            return None
        names = (
            *("discriminator_steps", "accumulation_steps", "ema_decay"),
            *("ema_start_step", "ema_warm_up", "gradient_penalty"),
            *("gradient_penalty_weight", "gradient_penalty_interval", "augmentation"),
        )
        serialize = keras.optimizers.serialize
        return {
            "generator_optimizer": serialize(self.generator_optimizer),
            "discriminator_optimizer": serialize(self.discriminator_optimizer),
            "loss": losses.serialize(self.adversarial_loss),
            **{name: getattr(self, name) for name in names},
            **self._keras_compile_arguments,
        }

    def compile_from_config(self, config: dict[str, Any]) -> None:
        for name in ("generator_optimizer", "discriminator_optimizer"):
            config[name] = keras.optimizers.deserialize(config[name])
        self.compile(**config)

    @property
    def metrics(self) -> list[Any]:
        return [
            self.generator_loss,
            self.discriminator_loss,
            self.real_logits,
            self.fake_logits,
            *([self.skipped_steps] if self.scales_loss else []),
        ]

    def train_step(self, data: Any) -> dict[str, Tensor]:
        """Runs one step; see the class.

        Args:
            data: Real images, float `[discriminator_steps * batch, height, width,
                channels]` in `[-1, 1]`, split into one batch per discriminator update.
                With classes, a pair of them and labels `[discriminator_steps * batch]`.
                Of several replicas each gets its share of the batches.

        Returns:
            A dict of the metrics since they were last reset.
        """
        real = self._check_data(data)
        batches = list(
            zip(
                *(tf.split(values, self.discriminator_steps) for values in real),
                strict=True,
            )
        )
        updates = [
            self._train_discriminator(*batch, update=update)
            for update, batch in enumerate(batches)
        ]
        updates.append(self._train_generator(*batches[-1]))
        self._synchronize(updates)
        self._count_skipped([is_finite for _, is_finite in updates])
        self._update_ema()
        self.step.assign_add(1)
        return {metric.name: metric.result() for metric in self.metrics}

    def call(
        self, latents: Tensor, labels: Tensor | None = None, training: bool = False
    ) -> Tensor:
        """Returns images of the EMA generator, float32 in `[-1, 1]`."""
        inputs = (latents,) if labels is None else (latents, labels)
        return self.ema_generator(*inputs, training=training)

    def get_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "generator": serialize(self.generator),
            "discriminator": serialize(self.discriminator),
            "seed": self.seed,
            "latent_distribution": self.latent_distribution,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "SAGAN":
        deserialize = keras.saving.deserialize_keras_object
        for name in ("generator", "discriminator"):
            config[name] = deserialize(config[name])
        return cls(**config)

    def _add_counter(self, name: str) -> Any:
        return self.add_weight(
            name=name,
            shape=(),
            dtype="int64",
            initializer="zeros",
            trainable=False,
            aggregation="only_first_replica",
        )

    def _check_lazy_penalty(self, gradient_penalty: str | None, interval: int) -> None:
        """Refuses exchanges between replicas in steps that only some penalties need."""
        if gradient_penalty is None or interval == 1 or replicas.count() == 1:
            return
        synchronized = getattr(self.discriminator, "synchronized_batch_norm", False)
        if gradient_penalty == "dragan" or synchronized:
            raise ValueError(
                "On several devices a dragan penalty, and any penalty with "
                "synchronized batch normalization in the discriminator, needs "
                "gradient_penalty_interval=1. "
                f"Received: gradient_penalty={gradient_penalty}, "
                f"gradient_penalty_interval={interval}"
            )

    def _check_data(self, data: Any) -> tuple[Tensor, ...]:
        """Returns the images, and their labels if there are classes."""
        is_pair = isinstance(data, (tuple, list))
        if not self.num_classes:
            if is_pair:
                raise ValueError("This model has no classes: train it on images alone")
            return (data,)
        if not is_pair or len(data) != 2:
            raise ValueError(
                f"This model has {self.num_classes} classes: train it on pairs of "
                "images and labels"
            )
        images, labels = data
        return images, check_labels(labels, self.num_classes)

    def _train_discriminator(
        self, real_images: Tensor, *real_labels: Tensor, update: int
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Updates the discriminator; see `_update`."""
        optimizer = self.discriminator_optimizer
        variables = self.discriminator.trainable_variables

        def compute(
            micro_batch: int, real_images: Tensor, latents: Tensor, *labels: Tensor
        ) -> Any:
            # One tensor of labels each, or none without classes.
            real_labels, fake_labels = labels[:1], labels[1:]
            # Outside the tape: this update trains the discriminator alone.
            fake_images = self.generator(latents, *fake_labels, training=True)
            seeds = (update, micro_batch)
            real_images = self._augment(real_images, *seeds, _REAL_AUGMENTATION)
            fake_images = self._augment(fake_images, *seeds, _FAKE_AUGMENTATION)
            with tf.GradientTape() as tape:
                real_logits = self.discriminator(
                    real_images, *real_labels, training=True
                )
                fake_logits = self.discriminator(
                    fake_images, *fake_labels, training=True
                )
                loss = self.adversarial_loss.discriminator(real_logits, fake_logits)
                # A term of this update's loss, not an update of its own.
                loss += self._penalize(real_images, fake_images, real_labels, *seeds)
                scaled_loss = optimizer.scale_loss(loss)
            means = {
                "discriminator_loss": loss,
                "real_logits": tf.reduce_mean(real_logits),
                "fake_logits": tf.reduce_mean(fake_logits),
            }
            return tape.gradient(scaled_loss, variables), means

        latents, *fake_labels = self._draw_inputs(tf.shape(real_images)[0], update)
        batch = (real_images, latents, *real_labels, *fake_labels)
        return self._update(optimizer, variables, compute, *batch)

    def _train_generator(
        self, real_images: Tensor, *real_labels: Tensor
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Updates the generator; see `_update`.

        A relativistic loss also uses the real images.
        """
        optimizer = self.generator_optimizer
        variables = self.generator.trainable_variables
        update = self.discriminator_steps
        uses_real = self.adversarial_loss.generator_uses_real_logits
        real = (real_images, *real_labels) if uses_real else ()
        latents, *fake_labels = self._draw_inputs(tf.shape(real_images)[0], update)

        def compute(micro_batch: int, latents: Tensor, *others: Tensor) -> Any:
            labels, real = others[: len(fake_labels)], others[len(fake_labels) :]
            seeds = (update, micro_batch)
            with tf.GradientTape() as tape:
                fake_images = self.generator(latents, *labels, training=True)
                fake_images = self._augment(fake_images, *seeds, _FAKE_AUGMENTATION)
                logits: tuple[Tensor, ...]
                logits = (self._discriminate(fake_images, *labels),)
                if real:
                    real_images, *real_labels = real
                    real_images = self._augment(real_images, *seeds, _REAL_AUGMENTATION)
                    logits = (self._discriminate(real_images, *real_labels), *logits)
                loss = self.adversarial_loss.generator(*logits)
                scaled_loss = optimizer.scale_loss(loss)
            return tape.gradient(scaled_loss, variables), {"generator_loss": loss}

        batch = (latents, *fake_labels, *real)
        return self._update(optimizer, variables, compute, *batch)

    def _update(
        self,
        optimizer: Any,
        variables: Sequence[Any],
        compute: Callable,
        *batch: Tensor,
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Updates a network.

        Args:
            optimizer: Its optimizer.
            variables: Its trainable variables.
            compute: As in `_accumulate`.
            *batch: Tensors of one batch.

        Returns:
            - A dict of means over this replica's share of the batch, by metric.
            - Boolean tensor, whether the gradients were finite. If not, the update was
              skipped; without loss scaling none is.
        """
        networks = (self.generator, self.discriminator) if self.scales_loss else ()
        former = [
            (variable, tf.identity(variable.value))
            for network in networks
            for variable in network.non_trainable_variables
        ]
        gradients, means = self._accumulate(compute, *batch)
        is_finite = self._apply_gradients(optimizer, gradients, variables)
        # Batch statistics and u of a forward pass that has overflowed.
        for variable, value in former:
            variable.assign(tf.where(is_finite, variable.value, value))
        return means, is_finite

    def _discriminate(self, images: Tensor, *labels: Tensor) -> Tensor:
        """Runs the discriminator in training mode but discards its state updates.

        They are u of spectral normalization and batch statistics.
        """
        with keras.StatelessScope():
            return self.discriminator(images, *labels, training=True)

    def _penalize(
        self,
        real_images: Tensor,
        fake_images: Tensor,
        labels: Sequence[Tensor],
        update: int,
        micro_batch: int,
    ) -> Tensor:
        """Returns the weighted gradient penalty of a discriminator update."""
        if self.gradient_penalty is None:
            return 0.0
        penalty = PENALTIES[self.gradient_penalty]

        def penalize() -> Tensor:
            seed = self._step_seed(update, micro_batch, _PENALTY)
            weight = self.gradient_penalty_weight * self.gradient_penalty_interval
            return weight * penalty(
                lambda images: self._discriminate(images, *labels),
                real_images,
                fake_images,
                seed,
            )

        if self.gradient_penalty_interval == 1:
            return penalize()
        is_turn = self.step.value % self.gradient_penalty_interval == 0
        return tf.cond(is_turn, penalize, lambda: 0.0)

    def _augment(
        self, images: Tensor, update: int, micro_batch: int, purpose: int
    ) -> Tensor:
        if not self.augmentation:
            return images
        seed = self._step_seed(update, micro_batch, purpose)
        return augment(images, self.augmentation, seed)

    def _accumulate(self, compute: Callable, *batch: Tensor) -> Any:
        """Averages what a function returns over the micro-batches of a batch.

        Args:
            compute: Function of a micro-batch's number and its tensors. It returns
                gradients and a dict of float32 scalars.
            *batch: Tensors of one batch, split along their first axis.
        """
        if self.accumulation_steps == 1:
            return compute(0, *batch)
        micro_batches = zip(
            *(tf.split(values, self.accumulation_steps) for values in batch),
            strict=True,
        )
        total, last = None, self.accumulation_steps - 1
        for number, micro_batch in enumerate(micro_batches):
            # In sequence: computed in parallel, all would be in memory at once.
            with tf.control_dependencies(tf.nest.flatten(total) if total else []):
                if number < last:
                    # Layer state advances once per batch: only the last micro-batch's
                    # update is kept.
                    with keras.StatelessScope():
                        result = compute(number, *micro_batch)
                else:
                    result = compute(number, *micro_batch)
                result = tf.nest.map_structure(tf.convert_to_tensor, result)
                total = (
                    tf.nest.map_structure(tf.add, total, result) if total else result
                )
        return tf.nest.map_structure(lambda x: x / self.accumulation_steps, total)

    def _apply_gradients(
        self, optimizer: Any, gradients: Sequence[Tensor], variables: Sequence[Any]
    ) -> Tensor:
        """Applies gradients, unless they are not finite under loss scaling.

        Returns:
            Boolean tensor, whether they were applied.
        """
        # Densify IndexedSlices: Adam would square duplicate rows before summing them.
        gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
        # The optimizer sums over the replicas, but the loss is a mean over the batch.
        if replicas.count() > 1:
            gradients = [gradient / replicas.count() for gradient in gradients]
        is_finite = tf.constant(True)
        if self.scales_loss:
            own = tf.stack([tf.reduce_all(tf.math.is_finite(g)) for g in gradients])
            share = replicas.mean(tf.cast(tf.reduce_all(own), tf.float32))
            is_finite = tf.equal(share, 1.0)
            # The optimizer looks at this replica's gradients alone.
            gradients = [tf.where(is_finite, g, math.nan) for g in gradients]
        optimizer.apply(gradients, variables)
        return is_finite

    def _count_skipped(self, is_finite: Sequence[Tensor]) -> None:
        """Counts a step with loss scaling if one of its updates was skipped."""
        if not self.scales_loss:
            return
        is_skipped = tf.logical_not(tf.reduce_all(tf.stack(is_finite)))
        self.skipped_steps.update_state(tf.cast(is_skipped, tf.float32))
        in_a_row = self.skipped_in_a_row.value + 1
        self.skipped_in_a_row.assign(tf.where(is_skipped, in_a_row, 0))

    def _synchronize(self, updates: Sequence[tuple[dict[str, Tensor], Tensor]]) -> None:
        """Updates the metrics, and averages batch statistics over the replicas.

        Args:
            updates: What `_update` has returned for each update.
        """
        statistics = []
        if replicas.count() > 1:
            statistics = [
                variable
                for network in (self.generator, self.discriminator)
                for variable in network.non_trainable_variables
                if variable.aggregation == "none"  # not u, which is equal everywhere
            ]
        means = [
            (name, value, is_finite)
            for values, is_finite in updates
            for name, value in values.items()
        ]
        scalars, *averages = replicas.mean(  # all in one reduction
            [
                tf.stack([value for _, value, _ in means]),
                *(variable.value for variable in statistics),
            ]
        )
        for variable, average in zip(statistics, averages, strict=True):
            variable.assign(average)
        for (name, _, is_finite), mean in zip(means, tf.unstack(scalars), strict=True):
            weight = None
            if self.scales_loss:  # a skipped update does not count
                weight = tf.cast(is_finite, tf.float32)
                mean = tf.math.multiply_no_nan(mean, weight)
            getattr(self, name).update_state(mean, weight)

    def _update_ema(self) -> None:
        step = tf.cast(self.step, "float32")
        if self.ema_start_step:
            decay = tf.where(step < self.ema_start_step, 0.0, self.ema_decay)
        elif self.ema_warm_up:
            decay = tf.minimum(self.ema_decay, (1.0 + step) / (10.0 + step))
        else:
            decay = tf.constant(self.ema_decay)
        # Batch statistics are averaged like the weights they belong to.
        for average, value in zip(
            self.ema_generator.variables, self.generator.variables, strict=True
        ):
            average.assign(decay * average + (1.0 - decay) * value)

    def _step_seed(self, update: int, *purposes: int) -> Tensor:
        """Returns a seed that is a function of (seed, step, update, ...)."""
        seed = tf.stack([tf.cast(self.seed, tf.int64), tf.cast(self.step, tf.int64)])
        # The 0 keeps the draws of version 0.1.
        for value in (update, 0, *purposes):
            seed = tf.random.experimental.stateless_fold_in(seed, value)
        return seed

    def _draw_inputs(self, batch_size: Tensor, update: int) -> tuple[Tensor, ...]:
        """Draws latents, and labels if there are classes."""
        latents = self._draw_latents(batch_size, update)
        if not self.num_classes:
            return (latents,)
        seed = self._step_seed(update, LABELS)

        def draw(size: Tensor) -> Tensor:
            return draw_labels(self.num_classes, [size], seed)

        return latents, replicas.draw(draw, batch_size, self.accumulation_steps)

    def _draw_latents(self, batch_size: Tensor, update: int) -> Tensor:
        seed = self._step_seed(update)

        def draw(size: Tensor) -> Tensor:
            shape = [size, self.generator.latent_dim]
            return draw_latents(self.latent_distribution, shape, seed)

        return replicas.draw(draw, batch_size, self.accumulation_steps)


def _scale_loss(optimizer: Any) -> Any:
    scales = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    return optimizer if scales else keras.optimizers.LossScaleOptimizer(optimizer)


class _EqualEverywhere:
    """A metric of values that are equal on all replicas.

    A sum over the replicas, as Keras has it, only all of them together could save.
    """

    def add_variable(self, *args: Any, **kwargs: Any) -> Any:
        arguments = {**kwargs, "aggregation": "only_first_replica"}
        return super().add_variable(*args, **arguments)  # type: ignore[misc]


class _Mean(_EqualEverywhere, keras.metrics.Mean):
    pass


class _Sum(_EqualEverywhere, keras.metrics.Sum):
    pass
