"""Time MediaPipe's selfie segmentation, used as its documentation shows; prints JSON.

Runs in an environment of its own, made by ``run.py``.

    python benchmarks/peer_mediapipe.py FRAMES.npz FRAMES
"""

from __future__ import annotations

import json
import sys
import time

import cv2
import mediapipe  # type: ignore[import-not-found, unused-ignore]
import numpy as np


def main() -> None:
    """Segment the frames over and over and put them in front of a picture."""
    saved, count = np.load(sys.argv[1]), int(sys.argv[2])
    frames, background = list(saved["bgr"]), saved["background"]
    with mediapipe.solutions.selfie_segmentation.SelfieSegmentation(model_selection=1) as model:
        for number in range(-20, count):
            if number == 0:
                cpu, wall = time.process_time(), time.perf_counter()
            frame = frames[number % len(frames)]
            rgb = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
            mask = model.process(rgb).segmentation_mask
            shown = np.stack((mask,) * 3, axis=-1) > 0.1
            np.where(shown, frame, background)
        cpu_ms = 1000 * (time.process_time() - cpu) / count
        wall_ms = 1000 * (time.perf_counter() - wall) / count
    print(json.dumps({"cpu_ms": cpu_ms, "wall_ms": wall_ms}))


if __name__ == "__main__":
    main()
