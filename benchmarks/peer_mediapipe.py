"""Time MediaPipe's selfie segmentation, used as its documentation shows; prints JSON.

Runs in an environment of its own, made by ``run.py``.

    python benchmarks/peer_mediapipe.py FRAMES.npz
"""

from __future__ import annotations

import sys
import time

import cv2
import mediapipe  # type: ignore[import-not-found, unused-ignore]
import numpy as np
from turns import answer_turns


def main() -> None:
    """Segment the frames over and over and put them in front of a picture."""
    saved = np.load(sys.argv[1])
    frames, background = list(saved["bgr"]), saved["background"]
    with mediapipe.solutions.selfie_segmentation.SelfieSegmentation(model_selection=1) as model:

        def measure(count: int) -> dict[str, float]:
            cpu, wall = time.process_time(), time.perf_counter()
            for number in range(count):
                frame = frames[number % len(frames)]
                rgb = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
                mask = model.process(rgb).segmentation_mask
                shown = np.stack((mask,) * 3, axis=-1) > 0.1
                np.where(shown, frame, background)
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            return {"cpu": 1000 * cpu / count, "wall": 1000 * wall / count}

        answer_turns(measure)


if __name__ == "__main__":
    main()
