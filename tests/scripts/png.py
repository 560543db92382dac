"""What the scripts' tests read of the pictures that nagl writes."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np


def read_png(path: Path) -> np.ndarray:
    """An 8-bit RGB picture without interlacing."""
    data = path.read_bytes()
    place, packed, width, height = 8, b"", 0, 0
    while place < len(data):
        size = int.from_bytes(data[place : place + 4], "big")
        kind, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + size]
        if kind == b"IHDR":
            width, height = (int.from_bytes(body[i : i + 4], "big") for i in (0, 4))
            assert body[8:13] == bytes([8, 2, 0, 0, 0])
        packed += body if kind == b"IDAT" else b""
        place += size + 12
    raw, row_bytes = zlib.decompress(packed), width * 3
    picture = np.zeros((height, row_bytes), np.uint8)
    for row in range(height):
        begin = row * (row_bytes + 1)
        line = np.frombuffer(raw, np.uint8, row_bytes, begin + 1).astype(int)
        above = picture[row - 1].astype(int) if row else np.zeros(row_bytes, int)
        method = raw[begin]
        for i in range(row_bytes):
            left = int(picture[row, i - 3]) if i >= 3 else 0
            corner = int(above[i - 3]) if i >= 3 else 0
            estimate = left + above[i] - corner
            nearest = min((left, above[i], corner), key=lambda value: abs(estimate - value))
            before = (0, left, above[i], (left + above[i]) // 2, nearest)[method]
            picture[row, i] = (line[i] + before) % 256
    return picture.reshape(height, width, 3)
