import itertools
from pathlib import Path


def unused_path(path: Path) -> Path:
    """Returns a path, or if it exists the first unused one of `NAME_2`, `NAME_3`, ...

    Default outputs get their names here, so that nothing is overwritten unasked.
    """
    candidates = (
        path.with_name(f"{path.stem}_{number}{path.suffix}")
        for number in itertools.count(2)
    )
    return next(p for p in itertools.chain([path], candidates) if not p.exists())
