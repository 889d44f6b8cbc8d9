"""``greenroom models``: list models, and manage their weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from greenroom.cli.downloads import get_weights
from greenroom.cli.options import Json, plain_command
from greenroom.errors import ModelError
from greenroom.segmenters.catalogue import card_named, cards, read_cards, required_cards
from greenroom.segmenters.conversion import existing_conversion
from greenroom.segmenters.store import Store, cache_folder, size_text
from greenroom.segmenters.store.speeds import read_speeds
from greenroom.segmenters.store.user_cards import add_card, remove_card

if TYPE_CHECKING:
    from greenroom.segmenters.card import Card

__all__ = ["app"]

app = typer.Typer(
    name="models",
    help="List models, and get, add, check or remove them.",
    no_args_is_help=True,
    add_completion=False,
)

_Name = Annotated[str, typer.Argument(metavar="NAME", help="A model's name, or a card.toml.")]
_ModelsDir = Annotated[
    Path | None,
    typer.Option(
        help="A folder with model files; by default what GREENROOM_MODELS_DIR names.",
        show_default=False,
    ),
]


@app.command("list")
@plain_command
def list_models(*, models_dir: _ModelsDir = None, as_json: Json = False) -> None:
    """List the models: licences, where their weights are, and how fast they ran here."""
    store = Store(models_dir)
    found, errors = read_cards()
    for error in errors:
        typer.echo(f"greenroom: warning: {error}", err=True)
    rows = [_row(card, store) | {"description": card.description} for card in found.values()]
    typer.echo(json.dumps(rows) if as_json else _table(rows))


@app.command()
@plain_command
def info(name: _Name, *, models_dir: _ModelsDir = None, as_json: Json = False) -> None:
    """Show what is known of a model: its classes, licence, paper, and file."""
    card = card_named(name)
    store = Store(models_dir)
    row = _row(card, store) | {
        "description": card.description,
        "family": card.family,
        "license_url": card.license_url,
        "homepage": card.homepage,
        "paper": card.paper,
        "url": card.file and card.file.url,
        "hash": store.expected_hash(card) or None,
        "path": str(found[1]) if (found := store.locate(card)) else None,
        "on_nvidia": _runtime_on_nvidia(card),
        "converted": _converted(card, store),
        "threshold": card.output.threshold,
        "classes": list(card.output.classes),
        "keep": list(card.output.keep) if card.output.classes else [],
        "chooses": [card.choose.otherwise, card.choose.wide] if card.choose else [],
        "members": list(card.members or ()),
    }
    if as_json:
        typer.echo(json.dumps(row))
        return
    for key, value in (row | {"size": size_text(row["size"])}).items():
        if text := ", ".join(value) if isinstance(value, list) else value:
            typer.echo(f"{key.replace('_', ' '):<13}{text}")


@app.command()
@plain_command
def get(
    name: _Name,
    *,
    accept_license: Annotated[
        bool,
        typer.Option(
            "--accept-license",
            help="Accept the model's licence, also if it is copyleft or non-commercial.",
        ),
    ] = False,
    trust: Annotated[
        bool,
        typer.Option(
            "--trust",
            help="Take a file that no hash is documented of, and expect the same from then on.",
        ),
    ] = False,
    models_dir: _ModelsDir = None,
    as_json: Json = False,
) -> None:
    """Download a model's weights, unless they are here, and print where they are."""
    store = Store(models_dir)
    for card in required_cards(card_named(name)):
        path = get_weights(store, card, accept_license=accept_license, trust=trust)
        typer.echo(json.dumps({"name": card.name, "path": path}) if as_json else path)


@app.command()
@plain_command
def add(
    card: Annotated[Path, typer.Argument(metavar="CARD.toml", help="What the model is.")],
    weights: Annotated[
        Path | None,
        typer.Argument(help="Its file; by default the one beside the card.", show_default=False),
    ] = None,
    *,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a model of that name that you added.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Add a model of your own: its card, and its weights if they are not to be downloaded."""
    made = add_card(card, weights, Store(None), overwrite=overwrite)
    _print_files("added", made, as_json=as_json)


@app.command()
@plain_command
def remove(name: _Name, *, as_json: Json = False) -> None:
    """Remove a model that you added, or what was downloaded of another."""
    _print_files("removed", remove_card(name, Store(None)), as_json=as_json)


@app.command()
@plain_command
def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Models; by default all.", show_default=False),
    ] = None,
    *,
    models_dir: _ModelsDir = None,
    as_json: Json = False,
) -> None:
    """Compare the weights that are here with their hashes; status 1 if any is wrong."""
    store = Store(models_dir)
    chosen = [part for name in names or () for part in required_cards(card_named(name))]
    results = [
        result
        for card in (chosen if names else cards().values())
        if (result := _verified(card, store))
    ]
    if as_json:
        typer.echo(json.dumps(results))
    else:
        for result in results:
            typer.echo(f"{result['name']:<22}{result['status']:<10}{result['path']}")
    for result in results:
        if result["error"]:
            typer.echo(f"greenroom: error: {result['error']}", err=True)
    if any(result["error"] for result in results):
        raise typer.Exit(1)


def _row(card: Card, store: Store) -> dict[str, Any]:
    """Return the columns that the list shows of a model."""
    needed = required_cards(card)
    speeds = read_speeds()
    timed = needed if card.members is None else [card]
    ran = [speeds[part.name] for part in timed if part.name in speeds]
    sizes = [part.file.size for part in needed if part.file is not None]
    places = [found[0].value if (found := store.locate(part)) else None for part in needed]
    place = "not here" if None in places else ", ".join(dict.fromkeys(filter(None, places)))
    return {
        "name": card.name,
        "task": card.task.value,
        "license": " AND ".join(dict.fromkeys(part.license for part in needed)),
        "size": sum(size or 0 for size in sizes) if all(sizes) else None,
        "where": place if sizes else "needs none",
        "runtime": card.runtime,
        "speed": f"{ran[0].ms:.3g} ms, {ran[0].device}" if ran else "not run yet",
    }


def _runtime_on_nvidia(card: Card) -> str | None:
    """Return what runs a model on NVIDIA's GPUs; None if nothing does."""
    if card.choose is not None:
        return _runtime_on_nvidia(card_named(card.choose.otherwise))
    return {"onnx": "onnx", "litert": "onnx, converted"}.get(card.runtime)


def _converted(card: Card, store: Store) -> str | None:
    """Return the file that was made of a TFLite model for GPUs; None if there is none."""
    found = store.locate(card)
    if card.runtime != "litert" or found is None:
        return None
    path = existing_conversion(found[1], cache_folder(card))
    return None if path is None else str(path)


def _table(rows: list[dict[str, Any]]) -> str:
    shown = [{**row, "size": size_text(row["size"])} for row in rows]
    head = {key: key.replace("license", "licence") for key in shown[0]}
    widths = {key: max(len(row[key]) for row in (head, *shown)) + 2 for key in head}
    return "\n".join(
        "".join(row[key].ljust(width) for key, width in widths.items()).rstrip()
        for row in (head, *shown)
    )


def _verified(card: Card, store: Store) -> dict[str, str] | None:
    """Compare a model's weights with their hash; None if they are not on this machine."""
    found = store.locate(card)
    if found is None:
        return None
    status, text = "ok" if store.expected_hash(card) else "no hash", ""
    try:
        store.verify(card, found[1])
    except ModelError as error:
        status, text = "wrong", str(error)
    return {"name": card.name, "path": str(found[1]), "status": status, "error": text}


def _print_files(what: str, paths: list[Path], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({what: [str(path) for path in paths]}))
        return
    for path in paths:
        typer.echo(f"{what} {path}")
