import keras
from keras import ops


@keras.saving.register_keras_serializable(package="sagan_tf")
class SpectralNormalization(keras.layers.Wrapper):
    """Divides the kernel of the wrapped layer by its largest singular value.

    With the kernel `W` reshaped to a matrix and `u`, `v` the estimates of its
    first singular vectors, each call

    1. runs `power_iterations` rounds of `v <- W'u / |W'u|`, `u <- Wv / |Wv|`,
       both held constant for the gradient,
    2. takes `sigma = u'Wv`, through which the gradient flows,
    3. calls the wrapped layer with `W / sigma` in the place of `W`.

    The kernel itself is never written to: it stays what the optimizer made it,
    in float32 under every dtype policy, and its gradient is exactly that of
    `W / sigma(W)`. The only state is `u` (float32), and it moves only when
    `training=True`, so an evaluation changes nothing and sees the sigma that a
    training step would have seen.

    Args:
        layer: The layer to wrap: `Dense`, `EinsumDense`, `Conv1D` to `Conv3D`,
            `Conv1DTranspose` to `Conv3DTranspose`, `Embedding`, or any layer
            whose only variables are a `kernel` (or `embeddings`) and a `bias`.
        power_iterations: Positive integer, rounds of power iteration a call.
        axis: The kernel axis whose slices are the rows of the matrix. `None`
            takes the output axis: the last one, or the one before it for a
            transposed convolution, whose kernel is `(..., outputs, inputs)`.
        epsilon: Small float added to the norms of `u` and `v`.

    Call arguments:
        inputs: What the wrapped layer takes.
        training: Boolean, whether `u` keeps what this call's iterations found.

    Output: what the wrapped layer gives, with the same shape and dtype.

    Raises:
        ValueError: if the layer has no kernel, if its kernel is not one matrix
            (a depthwise or separable convolution), or if it has other state.

    Reference:
        [Miyato et al., 2018](https://arxiv.org/abs/1802.05957)
    """

    def __init__(self, layer, power_iterations=1, axis=None, epsilon=1e-12, **kwargs):
        if isinstance(layer, keras.layers.Layer):
            kwargs.setdefault("dtype", layer.dtype_policy)
        # Without autocast the kernel is read as it is kept, in float32, under
        # any dtype policy. The wrapped layer still casts what it is given.
        super().__init__(layer, autocast=False, **kwargs)
        if not isinstance(power_iterations, int) or power_iterations < 1:
            raise ValueError(
                "`power_iterations` must be a positive integer. "
                f"Received: power_iterations={power_iterations}"
            )
        if not epsilon >= 0:
            raise ValueError(
                f"`epsilon` must not be negative. Received: epsilon={epsilon}"
            )
        self.power_iterations = power_iterations
        self.axis = axis
        self.epsilon = epsilon

    @property
    def kernel(self):
        """The wrapped layer's own kernel, which is what the optimizer trains."""
        if isinstance(self.layer, keras.layers.Embedding):
            return self.layer.embeddings
        return getattr(self.layer, "kernel", None)

    def build(self, input_shape=None):
        super().build(input_shape)
        self._check_wrapped_layer()
        self.u = self.add_weight(
            name="u",
            shape=(self.kernel.shape[self._row_axis()],),
            initializer="random_normal",
            dtype="float32",
            trainable=False,
            autocast=False,
            # Every replica has the same kernel, so the first one speaks for all.
            aggregation="only_first_replica",
        )

    def call(self, inputs, training=False):
        kernel = ops.cast(self.kernel, "float32")
        sigma, u = self._power_iteration(kernel)
        if training:
            self.u.assign(u)
        normalized = kernel / ops.maximum(sigma, self.epsilon)
        # An inner scope hides an outer one, so that the bias is handed on as well.
        values = [(w, w.value) for w in self.layer.variables if w is not self.kernel]
        values.append((self.kernel, normalized))
        with keras.StatelessScope(values, collect_losses=True) as scope:
            outputs = self.layer(inputs)
        for loss in scope.losses:
            self.add_loss(loss)
        return outputs

    def compute_sigma(self):
        """Returns the kernel's largest singular value as the next call sees it.

        Output: a float32 scalar. Nothing is changed.
        """
        return self._power_iteration(ops.cast(self.kernel, "float32"))[0]

    def compute_output_shape(self, input_shape):
        return self.layer.compute_output_shape(input_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "power_iterations": self.power_iterations,
            "axis": self.axis,
            "epsilon": self.epsilon,
        }

    def _power_iteration(self, kernel):
        rows = self.kernel.shape[self._row_axis()]
        # The matrix is kept transposed, [columns, rows]: for the usual kernel,
        # whose output axis is the last, this reshape moves nothing in memory.
        matrix = ops.reshape(ops.moveaxis(kernel, self._row_axis(), -1), (-1, rows))
        constant = ops.stop_gradient(matrix)
        u = ops.expand_dims(self.u, -1)  # [rows, 1]
        for _ in range(self.power_iterations):
            v = self._normalize(ops.matmul(constant, u))  # [columns, 1]
            u = self._normalize(ops.matmul(ops.transpose(constant), v))
        sigma = ops.sum(v * ops.matmul(matrix, u))
        return sigma, ops.squeeze(u, -1)

    def _normalize(self, vector):
        return vector / (ops.norm(vector) + self.epsilon)

    def _row_axis(self):
        if self.axis is not None:
            return self.axis % len(self.kernel.shape)
        transposed = (
            keras.layers.Conv1DTranspose,
            keras.layers.Conv2DTranspose,
            keras.layers.Conv3DTranspose,
        )
        return len(self.kernel.shape) - (2 if isinstance(self.layer, transposed) else 1)

    def _check_wrapped_layer(self):
        layer_class = type(self.layer).__name__
        depthwise = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
        if isinstance(self.layer, depthwise):
            raise ValueError(
                "The kernel of a depthwise convolution is one small filter a "
                "channel, not one matrix, and has no spectral norm of this kind. "
                f"Received: layer={layer_class}"
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
                "`SpectralNormalization` can wrap only a layer whose variables are a "
                "kernel and a bias, because changes to other state would be lost. "
                f"Received: layer={layer_class} with {', '.join(others)}"
            )
