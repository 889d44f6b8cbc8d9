"""Decode and encode a video through PyAV with nothing between: the floor of ``convert``.

python benchmarks/bare_transcode.py INPUT OUTPUT
"""

from __future__ import annotations

import sys

import av


def main() -> None:
    """Use the settings that greenroom's default quality comes to."""
    with av.open(sys.argv[1]) as source, av.open(sys.argv[2], "w") as target:
        video = source.streams.video[0]
        video.thread_type = "AUTO"
        options = {"crf": "20", "preset": "veryfast"}
        stream = target.add_stream("libx264", rate=video.average_rate, options=options)
        stream.width, stream.height, stream.pix_fmt = video.width, video.height, "yuv420p"
        stream.thread_type = "AUTO"
        for frame in source.decode(video):
            frame.pict_type = av.video.frame.PictureType.NONE
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))


if __name__ == "__main__":
    main()
