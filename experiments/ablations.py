"""python -m experiments.ablations --data_dir=DIR

The ablations of the SAGAN paper in small, on 32 px faces of CelebA: attention at
several resolutions, a residual block in its place, spectral normalization, and the
ratio of updates.
"""
