"""Computes FID and other figures of a run, and keeps them with their protocol."""

from pathlib import Path

from absl import flags

from sagan_tf.commands._run import WORKDIR, open_run

_METRICS = flags.DEFINE_list(
    "metrics",
    ["fid", "kid", "precision_recall"],
    "Some of fid, kid, is, precision_recall, density_coverage and intra_fid.",
)
_EXTRACTOR = flags.DEFINE_string(
    "extractor",
    "classifier",
    "Network that gives the features: classifier, a small one trained once on the data "
    "set's labels; inception, that of published figures, downloaded once; "
    "inception:PLACE, its SavedModel by path or TF-Hub address; or the path of any "
    ".keras file or SavedModel.",
)
_NUM_IMAGES = flags.DEFINE_integer(
    "num_images", 10_000, "How many images to generate.", lower_bound=2
)
_NUM_REAL = flags.DEFINE_integer(
    "num_real", 10_000, "How many real images, of more at random.", lower_bound=2
)
_REFERENCE = flags.DEFINE_string(
    "reference",
    None,
    "The real images: a split of the run's data, an .npz or a folder; by default the "
    "split that was trained on.",
)
_SAMPLES = flags.DEFINE_string(
    "samples",
    None,
    "What is judged instead of generated images: a split, an .npz or a folder too.",
)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the latents.", lower_bound=0)
_TRUNCATION = flags.DEFINE_float("truncation", 1.0, "What latents are multiplied by.")
_EMA = flags.DEFINE_bool("ema", True, "Judge the averaged generator, not the raw one.")


def run():
    """Runs the command."""
    from sagan_tf import evaluation

    trained = open_run()
    config = trained.config
    real = evaluation.find_images(
        _REFERENCE.value or config.split, config, _NUM_REAL.value
    )
    if _SAMPLES.value:
        fake = evaluation.find_images(_SAMPLES.value, config, _NUM_IMAGES.value)
        name = Path(_SAMPLES.value).stem
    else:
        fake = evaluation.generated_images(
            trained.model,
            trained.step,
            _NUM_IMAGES.value,
            _SEED.value,
            _TRUNCATION.value,
            _EMA.value,
        )
        name = f"{trained.step:06d}"
    evaluation.check_metrics(_METRICS.value)
    extractor = evaluation.load_extractor(_EXTRACTOR.value, config)
    figures, protocol = evaluation.evaluate(
        extractor, real, fake, _METRICS.value, _SEED.value
    )
    path = Path(WORKDIR.value) / "evaluation" / f"{name}.json"
    evaluation.save_figures(path, figures, protocol)
    for figure, value in figures.items():
        print(f"{figure:<12}{value:>12.5g}")
    print()
    for setting, value in protocol.items():
        print(f"{setting:<28}{value}")
    print(f"\nKept in {path}")
