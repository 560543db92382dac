"""Few-shot visual anomaly detection: finds defects in pictures from a handful of good examples.

    import nagl

    bank = nagl.enroll("good/", backbone="weights/dinov2_vits14.safetensors")
    detector = nagl.Detector(bank)
    seen = detector.detect("new.png")
    print(seen.image_score, seen.map.shape)

Messages go to the logger `nagl` of Python's logging. What a person can set right is raised as a kind of
`nagl.Error`. docs/python.md tells the rest.
"""

from nagl._torch import load as _load_torch

_load_torch()

from nagl._nagl import (  # noqa: E402  (Torch's libraries come first)
    Backbone,
    Bank,
    ConfigError,
    DataError,
    Detection,
    Detector,
    DeviceError,
    Error,
    ModelError,
    Region,
    __version__,
    calibrate,
    enroll,
    evaluate,
    keep_freed_memory,
    synth,
    train,
)

__all__ = [
    "Backbone",
    "Bank",
    "ConfigError",
    "DataError",
    "Detection",
    "Detector",
    "DeviceError",
    "Error",
    "ModelError",
    "Region",
    "__version__",
    "calibrate",
    "enroll",
    "evaluate",
    "keep_freed_memory",
    "synth",
    "train",
]
