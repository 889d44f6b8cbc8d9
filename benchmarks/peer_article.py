"""Time the virtual background of a well-known tutorial, written from its description; prints JSON.

Every frame is resized with PIL so that its longer side is 513, DeepLab v3 makes a label map of it
in a TensorFlow session, the label map becomes a black and white mask, the frame loses its
background and the new background the person's shape, and both are added. Runs in an environment
of its own, made by ``run.py``.

    python benchmarks/peer_article.py FRAMES.npz FRAMES GRAPH.pb LABEL MASKS.npy
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tensorflow as tf  # type: ignore[import-not-found, unused-ignore]
from PIL import Image  # type: ignore[import-not-found, unused-ignore]

LONGEST = 513


def main() -> None:
    """Replace the background of the frames over and over."""
    saved, count, label = np.load(sys.argv[1]), int(sys.argv[2]), int(sys.argv[4])
    frames, background = list(saved["bgr"]), np.ascontiguousarray(saved["background"])
    session = load(Path(sys.argv[3]))
    wall, rest, masks = [], [], []
    for number in range(-5, count):
        start = time.perf_counter()
        frame = np.ascontiguousarray(frames[number % len(frames)])
        image = Image.fromarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
        ratio = LONGEST / max(image.size)
        size = int(ratio * image.size[0]), int(ratio * image.size[1])
        small = np.asarray(image.resize(size, Image.Resampling.LANCZOS))
        begin = time.perf_counter()
        labels = session.run("SemanticPredictions:0", {"ImageTensor:0": [small]})[0]
        network_s = time.perf_counter() - begin
        mask: Any = np.where(labels == label, 255, 0).astype(np.uint8)
        if 0 <= number < len(frames):
            masks.append(mask)
        mask = cv2.resize(mask, (frame.shape[1], frame.shape[0]), interpolation=cv2.INTER_NEAREST)
        mask = cv2.merge([mask, mask, mask])
        person = cv2.bitwise_and(frame, mask)
        behind = cv2.bitwise_and(background, cv2.bitwise_not(mask))
        cv2.add(person, behind)
        if number >= 0:
            wall.append(1000 * (time.perf_counter() - start))
            rest.append(wall[-1] - 1000 * network_s)
    np.save(sys.argv[5], np.stack(masks))
    print(json.dumps({"wall": float(np.median(wall)), "rest_wall": float(np.median(rest))}))


def load(path: Path) -> Any:
    """Open a frozen graph."""
    v1 = tf.compat.v1
    definition = v1.GraphDef()
    definition.ParseFromString(path.read_bytes())
    graph = tf.Graph()
    with graph.as_default():
        v1.import_graph_def(definition, name="")
    return v1.Session(graph=graph)


if __name__ == "__main__":
    main()
