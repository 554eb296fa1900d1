"""Computes FID and other metrics of a run, and saves them with their protocol."""

from absl import flags

from sagan_tf.commands.run_flags import (
    define_run_flags,
    define_seed_flag,
    definers,
    open_run,
)


def define_flags(values: flags.FlagValues) -> None:
    """Defines the command's flags."""
    define = definers(values)
    define_run_flags(values)
    define.list(
        "metrics",
        ["fid", "kid", "precision_recall"],
        "Some of fid, kid, is, precision_recall, density_coverage and intra_fid.",
    )
    define.string(
        "extractor",
        "classifier",
        "Feature extractor: classifier, a small network trained once on the data set's "
        "labels; inception, that of published scores, downloaded once; "
        "inception:PATH_OR_URL, its SavedModel; or the path of a .keras file or "
        "SavedModel.",
    )
    define.integer("num_images", 10_000, "Number of generated images.", lower_bound=2)
    define.integer(
        "num_real",
        10_000,
        "Number of real images, drawn at random from more.",
        lower_bound=2,
    )
    define.string(
        "reference",
        None,
        "The real images: a split of the run's data, an .npz file or a folder. The "
        "default is the training split.",
    )
    define.string(
        "samples",
        None,
        "Images to evaluate instead of generated ones: a split, an .npz file or a "
        "folder.",
    )
    define_seed_flag(values)
    define.float("truncation", 1.0, "Factor that latents are scaled by.")
    define.bool("ema", True, "Evaluate the EMA generator, not the raw one.")


def run(values: flags.FlagValues) -> None:
    """Runs the command."""
    result = open_run(values).evaluate(
        metrics=values.metrics,
        extractor=values.extractor,
        num_images=values.num_images,
        num_real=values.num_real,
        reference=values.reference,
        samples=values.samples,
        seed=values.seed,
        truncation=values.truncation,
        ema=values.ema,
    )
    for name, score in result.scores.items():
        print(f"{name:<12}{score:>12.5g}")
    print()
    for setting, value in result.protocol.items():
        print(f"{setting:<28}{value}")
    print(f"\nSaved to {result.path}")
