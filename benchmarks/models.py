"""Measure the models whose weights are here, and write the page about all models.

The page is made of the cards and of what was measured, which is kept in ``docs/models.json``.

    python benchmarks/models.py                          # only the page
    python benchmarks/models.py --data ../shared/data --measure sinet my_card.toml
    python benchmarks/models.py --check                  # is the page up to date?
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from greenroom import Settings, VirtualBackground
from greenroom.evaluation.evaluate import evaluate
from greenroom.segmenters.catalogue import card_named, cards, required_cards
from greenroom.segmenters.store import size_text
from greenroom.segmenters.store.licences import concern
from greenroom.testing import PersonSource

if TYPE_CHECKING:
    from collections.abc import Iterable

    from greenroom.segmenters.card import Card

DOCS: Final = Path(__file__).parents[1] / "docs"
PAGE: Final = DOCS / "models.md"
MEASURED: Final = DOCS / "models.json"
HEAD: Final = """# Models

<!-- Made by `python benchmarks/models.py` from the cards and docs/models.json. -->

`--model` takes a name from this table, a model card of your own (`my_card.toml`), or a model file
(`.tflite`, `.onnx`, `.pb`, `.tar.gz`) whose inputs and outputs greenroom can recognise.

`greenroom models` lists the models, where their weights are, and how fast each ran on your machine.
`greenroom models get NAME` names the address and the licence of the weights, then downloads them.

"""
CLASSES: Final = """
## Classes

A multi-class model detects other things than people. `--keep person,chair,dog` selects the classes
that stay in front of the background; `--list-classes` prints the classes of the selected model.

"""
FIGURES: Final = """
## Quality and speed

- Photos: mean IoU on {portraits} portraits and {mixed} mixed photos (several people, small people,
  unusual poses); higher is better. The 10th percentile is in brackets.
- Clips of four people talking to a webcam, and of two dancers: mean absolute difference (MAD) times
  1000, and dtSSD times 100, which measures flicker and lag; lower is better.
- Time: median milliseconds per frame for inference alone, at 1080p with one thread on a shared
  server (two cores of an AMD EPYC). The times vary by about half from hour to hour.

[Quality](quality.md) defines the metrics. To repeat the measurement:

```console
$ python benchmarks/models.py --data DATA --measure NAME...
```

"""
OWN: Final = """
## On a GPU

`--device` says where a model runs. `auto`, the default, takes the best device on which it really
runs, and goes on on the CPU, with a warning, should that device fail in use (out of memory, lost).
A device that is named stays: while it fails, every frame is covered, or the conversion stops.
`greenroom doctor` lists what works, and for `cuda` and `tensorrt` the commands that install what is
missing. Models for LiteRT run on the CPU and on NVIDIA's GPUs, those for TensorFlow on the CPU.

- `cuda` needs an NVIDIA GPU with its driver, and `pip install 'greenroom[cuda]'` in place of
  `onnxruntime`. Frames go up once, the matte (and the foreground's colours) come down; a recurrent
  model's states stay on the GPU.
- `tensorrt` needs TensorRT 10 too (`pip install 'tensorrt-cu13<11'`, or `tensorrt-cu12` with a
  build of ONNX Runtime for CUDA 12). It compiles a model when it is first used, for minutes, and
  keeps the engine in greenroom's cache (`tensorrt/`). A model that takes frames of any size is
  compiled for 1280x720, and again at the first frame of another size: until then frames are
  covered.
- Models for LiteRT, the embedded ones among them, run with `cuda` and `tensorrt`, and with `auto`
  where NVIDIA's driver and `greenroom[cuda]` are installed. When first used there they are
  converted to ONNX, in a second, and kept in greenroom's cache (`models/`). A damaged file is made
  again, and `greenroom models remove NAME` removes it. Each time the model is loaded the GPU has to
  answer as LiteRT does: if not, LiteRT runs it on the CPU, with a warning. Quantised and recurrent
  models, and those with other operators, are not converted: a device that is named is an error that
  says so, `auto` uses LiteRT. `greenroom models info NAME` says what runs a model on these GPUs,
  and where its converted file is.
- A card can allow half precision and, with `cuda`, CUDA graphs (`[gpu]`, `half` and `graph`). They
  are used if the answers agree when the model is loaded. What runs is told with the model's name,
  as in `ONNX Runtime 1.31.1, half precision, CUDA graphs, converted from TFLite`; the log says
  (INFO) why something is not used.

### The other work

With `cuda` and `tensorrt`, and with `auto` where CuPy (`greenroom[cuda]`) and NVIDIA's driver are
installed, a GPU does more than run the model: frames go up, and what is full-size (mattes, edges,
blur, composite, effects) is done there. This holds for `run`, `convert`, the page, and `serve`.

- Before the first frame the GPU has to prove that it gives what the processor gives: all kernels
  are compiled, and a few small frames go through all stages in both places. If the results differ
  by more than two levels, or CuPy, the driver or the GPU is missing, the processor does this work,
  and the model may use the GPU all the same. With `cuda` and `tensorrt` a warning, which the page
  shows too, names the reason and what mends it; `auto` only logs it (INFO). `greenroom doctor`
  says the same with the commands.
- A GPU that fails in use (lost, out of memory) never shows the room. With `auto` the processor
  takes over, from the very frame on, with a warning. With `cuda` and `tensorrt` frames are covered,
  or the conversion stops, while it fails. One that hangs is given up after `timeout_s`, like a
  model.
- The page, `greenroom bench`, `convert --json` (`compute`) and the metrics of `serve` say where it
  was done: `rvm-mobilenetv3 on ONNX Runtime 1.31.1, cuda; the rest on CUDA device 0`.

Half precision, CUDA graphs, TensorRT, converted models and the other work have been tested without
a GPU only: see
[performance](performance.md#the-engines-work-on-a-gpu).

## A model of your own

A model needs no code, only a card: a TOML file that describes its file, input and output. The
fields are documented in `greenroom.segmenters.card`. An error names each missing or unknown field
and its line.

```toml
name = "mine"
description = "My portrait network, 256x256"
license = "MIT"
runtime = "onnx"               # or litert, tensorflow

[file]
name = "mine.onnx"             # beside the card, or in --models-dir

[input]
size = [256, 256]              # or longest = 512 with multiple = 32
layout = "NCHW"                # or NHWC
mean = [127.5, 127.5, 127.5]   # (sample - mean) / std, samples from 0 to 255
std = [127.5, 127.5, 127.5]

[output]
layout = "NCHW"
reading = "probabilities"      # or coverage, logit, logits, labels
classes = ["background", "person"]

[gpu]                          # only if its mattes are as good with it
half = true                    # half precision
graph = true                   # CUDA graphs
```

A card can also fuse two models whose answers are refined (not matting models). Both look at every
frame, the second at the square around what the first looks at; the log odds of their answers are
added with weights and a bias, and a person whom the second misses stays as the first found them
([Quality](quality.md#two-models)). `greenroom models get` gets the weights of both.

```toml
name = "my-duo"
description = "Mine and another, fused"
license = "MIT"
runtime = "onnx"

members = ["selfie", "mine"]

[fusion]
weights = [0.12, 0.28]
bias = 0.7
```

- `--model mine.toml` uses the model.
- `greenroom models add mine.toml mine.onnx` stores the card and the weights, so that `--model mine`
  works from any folder.
- `greenroom eval DATASET --model selfie,mine --out report` compares it with other models on your
  own labelled pictures. The report has a table, a plot of quality against time, and the worst
  cases.
"""


def main() -> None:
    """Measure what is asked for, and write or check the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--measure", nargs="+", default=[], metavar="MODEL")
    parser.add_argument("--check", action="store_true", help="only tell whether it is up to date")
    options = parser.parse_args()
    measured = json.loads(MEASURED.read_text("utf-8")) if MEASURED.exists() else {}
    for model in options.measure:
        measured[card_named(model).name] = measure(model, options.data)
        MEASURED.write_text(json.dumps(measured, indent=1, sort_keys=True) + "\n", "utf-8")
    text = page(measured)
    if options.check:
        sys.exit(0 if PAGE.read_text("utf-8") == text else f"{PAGE} is not up to date: run me.")
    PAGE.write_text(text, "utf-8")


def measure(model: str, data: Path) -> dict[str, Any]:
    """Measure one model on everything."""
    result: dict[str, Any] = {"description": card_named(model).description}
    for name in ("portraits", "mixed"):
        found = evaluate(data / name, model=model)
        result[name] = {
            "number": len(found.cases),
            "iou": found.mean["iou"],
            "tenth": found.worst_tenth["iou"],
        }
    clips = evaluate(data / "clips", model=model).cases
    for name, rows in (
        ("talkers", [one for key, one in clips.items() if not key.startswith("dancer")]),
        ("dancers", [one for key, one in clips.items() if key.startswith("dancer")]),
    ):
        result[name] = {
            what: float(np.mean([row[what] for row in rows])) for what in ("mad", "dtssd")
        }
    result["ms"] = invoke_ms(model)
    return result


def invoke_ms(model: str) -> float:
    """Time the model on frames in memory."""
    frames = list(PersonSource((1920, 1080), 8))
    with VirtualBackground(Settings(model=model, background="color:black")) as engine:
        for number in range(40):
            engine.process_matte(frames[number % len(frames)])
            if number == 8:
                engine.timings.clear()
        return engine.timings.summary()["invoke"].median_ms


def page(measured: dict[str, Any]) -> str:
    """Write the page."""
    known = cards()
    lines = table(
        ["model", "description", "task", "licence", "runtime", "download"],
        (description(card) for card in known.values()),
    )
    rows = [figures(name, measured[name]) for name in known if name in measured]
    rows += [
        figures(f"{name}: {one['description']}", one)
        for name, one in measured.items()
        if name not in known
    ]
    head = ["model", "portraits", "mixed", "talkers MAD, dtSSD", "dancers MAD, dtSSD", "ms"]
    numbers = {
        name: max([one[name]["number"] for one in measured.values()] or [0])
        for name in ("portraits", "mixed")
    }
    return (
        HEAD + lines + classes(known.values()) + FIGURES.format(**numbers) + table(head, rows) + OWN
    )


def description(card: Card) -> list[str]:
    """Return a card's row."""
    sizes = [part.file.size if part.file else 0 for part in required_cards(card)]
    size = size_text(None if None in sizes else sum(size or 0 for size in sizes))
    embedded = all(part.file and part.file.embedded for part in required_cards(card))
    reason = concern(card.license)
    licence = f"[{card.license}]({card.license_url})" if card.license_url else card.license
    what = f"{card.description} ([paper]({card.paper}))" if card.paper else card.description
    return [
        f"`{card.name}`",
        what,
        card.task.value,
        f"{licence}, {reason}" if reason else licence,
        card.runtime,
        "included" if embedded else size,
    ]


def classes(known: Iterable[Card]) -> str:
    """Say which classes can be kept."""
    lists: dict[tuple[str, ...], list[str]] = {}
    for card in known:
        if len(card.output.classes) > 2:
            lists.setdefault(card.output.classes, []).append(f"`{card.name}`")
    text = CLASSES
    for names, models in lists.items():
        text += (
            f"- {', '.join(models)}: {', '.join(name for name in names if name != 'background')}\n"
        )
    return text


def figures(name: str, one: dict[str, Any]) -> list[str]:
    """Return a row of measurements."""
    photos = [
        f"{one[what]['iou']:.3f} ({one[what]['tenth']:.3f})" for what in ("portraits", "mixed")
    ]
    clips = [f"{one[what]['mad']:.1f}, {one[what]['dtssd']:.2f}" for what in ("talkers", "dancers")]
    return [name, *photos, *clips, f"{one['ms']:.3g}"]


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    """Return a Markdown table."""
    rule = ["---"] * len(head)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows)) + "\n"


if __name__ == "__main__":
    main()
