"""Computes FID and other metrics of a run, and saves them with their protocol."""

from typing import Any

from absl import flags

from sagan_tf.commands.run_flags import (
    define_data_flag,
    define_run_flags,
    define_seed_flag,
    definers,
    open_run,
)


def define_flags(values: flags.FlagValues) -> None:
    """Defines the command's flags."""
    define = definers(values)
    define_run_flags(values)
    define_data_flag(values)
    define.list(
        "metrics",
        ["frechet", "kernel", "precision_recall"],
        "Some of frechet, kernel, class_score, precision_recall, density_coverage and "
        "intra_frechet. With the extractor inception, whose scores have these names, "
        "also fid, kid, is and intra_fid.",
    )
    define.string(
        "extractor",
        "auto",
        "Feature extractor: classifier, a small network trained once on the data set's "
        "labels, attributes or rotations; inception, that of published scores, "
        "downloaded once; auto, inception where it is cached or can be downloaded, "
        "else classifier; inception:PATH_OR_URL, its SavedModel; or the path of a "
        ".keras file or SavedModel.",
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
        "default is the training split; without a test split its held-out tenth is "
        "left out.",
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
    define.bool(
        "force",
        False,
        "Compute the scores even if the extractor cannot judge the data: if its "
        "accuracy is near chance, or if noise does not score ten times worse than "
        "held-out real images.",
    )


def run(values: flags.FlagValues) -> None:
    """Runs the command."""
    run = open_run(values)
    print(
        f"Comparing up to {values.num_images:,} samples with {values.num_real:,} real "
        "images. Fewer take less time: --num_images, --num_real",
        flush=True,
    )
    result = run.evaluate(
        metrics=values.metrics,
        extractor=values.extractor,
        num_images=values.num_images,
        num_real=values.num_real,
        reference=values.reference,
        samples=values.samples,
        seed=values.seed,
        truncation=values.truncation,
        ema=values.ema,
        force=values.force,
    )
    print(_table("samples" if values.samples else "generated", result))
    print(describe_precision(result))
    for setting, value in result.protocol.items():
        print(f"{setting:<28}{value}")
    print(f"\nSaved to {result.path}")


def describe_precision(result: Any) -> str:
    """Returns what explains a precision of noise above that of the images, or `""`."""
    noise = result.yardsticks["noise"].scores
    precisions = [name for name in result.scores if name.startswith("precision")]
    if all(noise.get(name, 0) <= result.scores[name] for name in precisions):
        return ""
    return (
        "\nThe features of noise lie among those of a few real images, hence its high "
        "precision. Read precision together with recall and the distances\n"
    )


def _table(evaluated: str, result: Any) -> str:
    """Returns the scores beside those of held-out real images and of noise."""
    from sagan_tf.evaluation.metrics import is_biased

    num_features = result.protocol["num_features"]
    held_out, noise = (result.yardsticks[name] for name in ("held_out", "noise"))
    width = max(len("images"), *map(len, result.scores)) + 2
    counts = (result.protocol["num_fake"], held_out.num_images, noise.num_images)
    rows = [
        ("", evaluated, "held-out real", "noise"),
        ("images", *(f"{count:,}" for count in counts)),
    ]
    for name, score in result.scores.items():
        scores = (score, *(own.scores.get(name) for own in (held_out, noise)))
        texts = (
            "-"
            if own is None
            else f"{own:.5g}" + " biased" * is_biased(name, count, num_features)
            for own, count in zip(scores, counts, strict=True)
        )
        rows.append((name, *texts))
    return "\n".join(
        f"{name:<{width}}" + "".join(f"{text:>17}" for text in texts)
        for name, *texts in rows
    )
