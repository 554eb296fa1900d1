import math
from typing import Any

import keras
from keras import ops

from sagan_tf.layers.conv2d import Conv2D, Conv2DTranspose
from sagan_tf.types import Shape, Tensor

# Stands for the batch, so that an image is computed in the same way in batches of any
# size.
_TYPICAL_BATCH = 64


@keras.saving.register_keras_serializable(package="sagan_tf")
class SpectralNormalization(keras.layers.Wrapper):
    """Divides the kernel of the wrapped layer by its largest singular value.

    The kernel is reshaped to a matrix `W`; `u` and `v` estimate its first singular
    vectors: of a new layer roughly, after some calls with `training=True` closely. Each
    call

    1. runs `power_iterations` rounds of `v <- W'u / |W'u|`, `u <- Wv / |Wv|`, through
       which no gradient flows,
    2. computes `sigma = u'Wv`, through which the gradient flows,
    3. calls the wrapped layer with `W / sigma` instead of `W`. In float32, where the
       kernel of one of this package's convolutions is much larger than the inputs, it
       divides these instead, which gives the same with less work and memory.

    The kernel itself is never overwritten, and its gradient is exactly that of
    `W / sigma(W)`, computed in float32. The only state is `u` (float32),
    which is updated only when `training=True`: evaluation changes nothing and uses the
    sigma that a training step would use.

    Args:
        layer: The layer to wrap: `Dense`, `EinsumDense`, `Conv1D` to `Conv3D`,
            `Conv1DTranspose` to `Conv3DTranspose`, `Embedding`, or any layer whose only
            variables are a `kernel` (or `embeddings`) and a `bias`.
        power_iterations: Positive integer, rounds of power iteration in each call.
        axis: The kernel axis that becomes the rows of the matrix. `None` selects the
            output axis: the last one, or the second to last of a transposed
            convolution, whose kernel is `(..., outputs, inputs)`.
        epsilon: Small float, added to the norms of `u` and `v`, and the least sigma
            that a kernel is divided by. With 0, a kernel of zeros gives NaN.

    Call arguments:
        inputs: Inputs of the wrapped layer.
        training: Boolean, whether to update `u`. Give the `call` of a subclassed model
            a `training` argument, and pass it on: without it, `fit` calls the layers in
            inference mode, and `u` never changes.

    Output: the output of the wrapped layer, with the same shape and dtype.

    Raises:
        ValueError: if an argument is out of its range, if the layer has no kernel, if
            its kernel is not one matrix (a depthwise or separable convolution), or if
            it has other state; in training mode after `fold()`.

    Example:

    ```python
    layer = SpectralNormalization(keras.layers.Conv2D(64, 4, 2, "same"))
    outputs = layer(images, training=True)
    ```

    Reference:
        [Miyato et al., 2018](https://arxiv.org/abs/1802.05957)
    """

    def __init__(
        self,
        layer: Any,
        power_iterations: int = 1,
        axis: int | None = None,
        epsilon: float = 1e-12,
        **kwargs: Any,
    ):
        if isinstance(layer, keras.layers.Layer):
            kwargs.setdefault("dtype", layer.dtype_policy)
        # Without autocast the kernel is read as float32 under every dtype policy. The
        # wrapped layer still casts its inputs.
        super().__init__(layer, autocast=False, **kwargs)
        if type(power_iterations) is not int or power_iterations < 1:
            raise ValueError(
                "`power_iterations` must be a positive integer. "
                f"Received: power_iterations={power_iterations!r}"
            )
        if axis is not None and type(axis) is not int:
            raise ValueError(
                f"`axis` must be an integer or None. Received: axis={axis!r}"
            )
        check_epsilon("epsilon", epsilon)
        self.power_iterations = power_iterations
        self.axis = axis
        self.epsilon = epsilon
        self._folded = False

    @property
    def kernel(self) -> Any:
        """The wrapped layer's own kernel, which the optimizer trains."""
        if isinstance(self.layer, keras.layers.Embedding):
            return self.layer.embeddings
        return getattr(self.layer, "kernel", None)

    def build(self, input_shape: Shape | None = None) -> None:
        super().build(input_shape)
        self._check_wrapped_layer()
        self.u = self.add_weight(
            name="u",
            shape=(self.kernel.shape[self._row_axis()],),
            initializer="random_normal",
            dtype="float32",
            trainable=False,
            autocast=False,
            # Every replica has the same kernel and therefore the same u.
            aggregation="only_first_replica",
        )

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        if self._folded:
            if training:
                raise ValueError(f"{self.name} was folded and cannot be trained")
            return self.layer(inputs)
        kernel = ops.cast(self.kernel, "float32")
        sigma, u = self._power_iteration(kernel)
        if training:
            self.u.assign(u)
        # The gradient of a product needs less memory than that of a quotient.
        factor = 1 / ops.maximum(sigma, self.epsilon)
        if self._scales_inputs(inputs):
            inputs = ops.cast(inputs, "float32") * factor
            normalized = kernel
        else:
            normalized = kernel * factor
        # An inner scope hides an outer one, so the bias must be passed on as well.
        values = [(w, w.value) for w in self.layer.variables if w is not self.kernel]
        values.append((self.kernel, normalized))
        with keras.StatelessScope(values, collect_losses=True) as scope:
            outputs = self.layer(inputs)
        for loss in scope.losses:
            self.add_loss(loss)
        return outputs

    def fold(self) -> None:
        """Replaces the kernel by `W / sigma`, and normalizes no longer: for inference.

        Calls give the same as before up to rounding, with less work, and are those of
        the wrapped layer. It cannot be undone, so fold a copy. Compile a model again
        that was compiled before. A layer that is saved and loaded normalizes again.
        `fold_all(model)` folds all layers of a model.

        Raises:
            ValueError: if the layer is not built.
        """
        if not self._folded:
            sigma = ops.maximum(self.compute_sigma(), self.epsilon)
            self.kernel.assign(ops.cast(self.kernel, "float32") / sigma)
            self._folded = True

    def compute_sigma(self) -> Tensor:
        """Returns the largest singular value of the layer's own kernel.

        The next call divides by it, or by `epsilon` if that is larger. The result is a
        float32 scalar. No state changes.

        Raises:
            ValueError: if the layer is not built.
        """
        if not self.built:
            raise ValueError(f"{self.name} has no kernel yet: call it once")
        return self._power_iteration(ops.cast(self.kernel, "float32"))[0]

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return self.layer.compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "power_iterations": self.power_iterations,
            "axis": self.axis,
            "epsilon": self.epsilon,
        }

    def _power_iteration(self, kernel: Tensor) -> tuple[Tensor, Tensor]:
        rows = self.kernel.shape[self._row_axis()]
        # The matrix is stored transposed, [columns, rows]: the output axis of most
        # kernels is the last one, and this reshape then moves nothing in memory.
        matrix = ops.reshape(ops.moveaxis(kernel, self._row_axis(), -1), (-1, rows))
        constant = ops.stop_gradient(matrix)
        u = self.u
        for _ in range(self.power_iterations):
            v = self._normalize(ops.matmul(constant, u))  # [columns]
            product = ops.matmul(v, matrix)  # Wv, [rows]
            u = self._normalize(ops.stop_gradient(product))
        return ops.sum(u * product), u

    def _scales_inputs(self, inputs: Tensor) -> bool:
        """Returns whether to divide the inputs by sigma instead of the kernel.

        That takes a layer that is linear in them, but for the bias. It is quicker where
        the kernel has many more elements. Half precision would round, and could
        overflow, what is divided, and with it the gradient of sigma.
        """
        is_linear = isinstance(self.layer, Conv2D | Conv2DTranspose)
        if not is_linear or self.layer.compute_dtype != "float32":
            return False
        if None in inputs.shape[1:]:
            return False
        of_image = math.prod(inputs.shape[1:])
        return _TYPICAL_BATCH * of_image <= math.prod(self.kernel.shape)

    def _normalize(self, vector: Tensor) -> Tensor:
        return vector / (ops.norm(vector) + self.epsilon)

    def _row_axis(self) -> int:
        if self.axis is not None:
            return self.axis % len(self.kernel.shape)
        transposed = (
            keras.layers.Conv1DTranspose,
            keras.layers.Conv2DTranspose,
            keras.layers.Conv3DTranspose,
        )
        return len(self.kernel.shape) - (2 if isinstance(self.layer, transposed) else 1)

    def _check_wrapped_layer(self) -> None:
        layer_class = type(self.layer).__name__
        by_channel = (
            keras.layers.DepthwiseConv1D,
            keras.layers.DepthwiseConv2D,
            keras.layers.SeparableConv1D,
            keras.layers.SeparableConv2D,
        )
        if isinstance(self.layer, by_channel):
            raise ValueError(
                "The kernel of a depthwise or separable convolution has one small "
                "filter per channel, is not one matrix, and has no spectral norm of "
                f"this kind. Received: layer={layer_class}"
            )
        if isinstance(self.layer, SpectralNormalization):
            raise ValueError(
                f"{self.layer.name} is a `SpectralNormalization` already: wrap its "
                "layer once"
            )
        kernel = self.kernel
        if kernel is None or len(kernel.shape) < 2:
            raise ValueError(
                "`SpectralNormalization` needs a layer with a kernel of two or more "
                f"axes, such as Conv2D, Dense or Embedding. Received: "
                f"layer={layer_class}"
            )
        if self.axis is not None and not -len(kernel.shape) <= self.axis < len(
            kernel.shape
        ):
            raise ValueError(
                f"`axis` must name an axis of the kernel, whose shape is "
                f"{tuple(kernel.shape)}. Received: axis={self.axis}"
            )
        known = (kernel, getattr(self.layer, "bias", None))
        others = [
            w.path for w in self.layer.variables if not any(w is k for k in known)
        ]
        if others:
            raise ValueError(
                "`SpectralNormalization` can wrap only layers whose variables are a "
                "kernel and a bias, because updates of other state would be lost. "
                f"Received: layer={layer_class} with {', '.join(others)}"
            )


def fold_all(model: Any) -> None:
    """Folds each `SpectralNormalization` of a model, also those inside other layers.

    Args:
        model: Keras model or layer, built. See `SpectralNormalization.fold`.

    Example:

    ```python
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    fold_all(copy)
    ```
    """
    for layer in model._flatten_layers():
        if isinstance(layer, SpectralNormalization):
            layer.fold()


def check_epsilon(name: str, epsilon: Any) -> None:
    """Raises `ValueError` unless an argument is a number from 0 on."""
    if not isinstance(epsilon, int | float) or not epsilon >= 0:
        raise ValueError(
            f"`{name}` must be a number from 0 on. Received: {name}={epsilon!r}"
        )
