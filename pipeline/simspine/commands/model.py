"""simspine model …: body models."""

import click

from simspine.commands.options import FILE


@click.group()
def model():
    """Body models."""


@model.command()
@click.argument("name")
@click.option("--markers", default="simspine-release", show_default=True, help="Marker set.")
@click.option("--out", required=True, type=FILE, help="OpenSim model to write.")
def build(name, markers, out):
    """Write the body of the recipe NAME as an OpenSim model."""
    from simspine.body.recipes import build as build_body

    build_body(name, markers).write_osim(out)
    click.echo(out)
