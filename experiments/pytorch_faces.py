"""python -m experiments.pytorch_faces --reference=DIR --workdir=RUN --steps=N

The other side of a comparison at equal time: trains a 64 px SAGAN in PyTorch on the
images of a run, by its own recipe, and scores it by the same extractors. DIR has its
networks, `Generator` and `Discriminator`, in `torch_sagan64.py`.

The seconds of a step are printed. With those of the run on the same quiet machine, they
say how many steps take as long as the run.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

try:
    import torch
    from torch.nn.functional import relu
except ImportError:
    raise SystemExit("Error: needs PyTorch: pip install torch") from None

from experiments.extractors import NUM_IMAGES, load, score
from sagan_tf import load_run
from sagan_tf.config import Config
from sagan_tf.data import load_images
from sagan_tf.errors import UserError

BATCH_SIZE = 64


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(
        description="Trains a SAGAN in PyTorch on the images of a run, and scores it."
    )
    parser.add_argument("--reference", required=True, help="torch_sagan64.py's folder")
    parser.add_argument("--workdir", required=True, help="the run on this side")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", default="runs/pytorch_faces.npz")
    arguments = parser.parse_args()
    if arguments.steps < 1:
        parser.error("--steps must be positive")
    try:
        run = load_run(arguments.workdir)
        _check(run.config, Path(arguments.reference), Path(arguments.output))
        images, _ = load_images(run.config)
        generated = train(images, arguments.steps, arguments.seed)
        Path(arguments.output).parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(arguments.output, images=generated)
        for extractor in load(run.config):
            score(run, extractor, NUM_IMAGES, samples=arguments.output)
    except UserError as error:
        raise SystemExit(f"Error: {error}") from None


def _check(config: Config, reference: Path, output: Path) -> None:
    if (config.image_size, config.channels) != (64, 3):
        raise UserError("--workdir must be a run with RGB images of 64 px")
    if not (reference / "torch_sagan64.py").exists():
        raise UserError(f"There is no torch_sagan64.py in {reference}")
    sys.path.insert(0, str(reference))
    try:
        from torch_sagan64 import Discriminator, Generator  # noqa: F401
    except ImportError as error:
        raise UserError(f"torch_sagan64.py in {reference}: {error}") from error
    if output.suffix != ".npz":
        raise UserError(f"--output takes FILE.npz. Received: {output}")


def train(images: np.ndarray, steps: int, seed: int) -> np.ndarray:
    """Trains, and generates images.

    Hinge loss, Adam with learning rates 1e-4 and 4e-4 and betas 0 and 0.9, batch size
    64, no EMA: the recipe of heykeetae/Self-Attention-GAN. In bfloat16 by autocast,
    which takes about half of the time.

    Args:
        images: uint8 `[N, 64, 64, 3]`.
        steps: Positive integer.
        seed: Integer.

    Returns:
        uint8 `[NUM_IMAGES, 64, 64, 3]`.
    """
    from torch_sagan64 import Discriminator, Generator

    torch.manual_seed(seed)
    generator, discriminator = Generator(), Discriminator()
    trained = [w for w in discriminator.parameters() if w.requires_grad]
    real = torch.tensor(images).permute(0, 3, 1, 2)
    optimize_g, optimize_d = (
        torch.optim.Adam(weights, learning_rate, (0.0, 0.9))
        for weights, learning_rate in (
            ([w for w in generator.parameters() if w.requires_grad], 1e-4),
            (trained, 4e-4),
        )
    )
    start = time.perf_counter()
    for step in range(1, steps + 1):
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                fake = _generate(generator)
            loss = relu(1 - discriminator(_draw(real))[0]).mean()
            loss = loss + relu(1 + discriminator(fake)[0]).mean()
        _update(optimize_d, loss)
        _freeze(trained, True)
        with torch.autocast("cpu", torch.bfloat16):
            loss = -discriminator(_generate(generator))[0].mean()
        _update(optimize_g, loss)
        _freeze(trained, False)
        if step % 50 == 0:
            seconds = (time.perf_counter() - start) / step
            print(f"Step {step}, {seconds:.3f} s a step", flush=True)
    generator.eval()
    # Autocast has left the vectors of the power iterations in bfloat16.
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        batches = [_generate(generator) for _ in range(-(-NUM_IMAGES // BATCH_SIZE))]
    generated = torch.cat(batches)[:NUM_IMAGES].float().add(1).mul(127.5).round()
    return generated.clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()


def _generate(generator: torch.nn.Module) -> torch.Tensor:
    return generator(torch.randn(BATCH_SIZE, 128))[0]


def _draw(real: torch.Tensor) -> torch.Tensor:
    """Draws a batch, each image flipped with p = 0.5."""
    batch = real[torch.randint(len(real), (BATCH_SIZE,))] / 127.5 - 1
    flips = torch.rand(BATCH_SIZE, 1, 1, 1) < 0.5
    return torch.where(flips, batch.flip(3), batch)


def _update(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def _freeze(weights: list[torch.nn.Parameter], frozen: bool) -> None:
    """The generator's update needs no gradients of the discriminator's weights."""
    for weight in weights:
        weight.requires_grad_(not frozen)


if __name__ == "__main__":
    main()
