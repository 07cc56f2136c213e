"""What a model forces, as JSON says it. Fields: `simspine.types.Forced`."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from simspine.errors import InputError
from simspine.types import Forced


def forced_to_json(forced: Mapping[str, Iterable[Forced]]) -> dict[str, list[dict[str, Any]]]:
    """{level, 'lla' or 'tka': its facts} as what JSON can say."""
    return {name: [asdict(fact) for fact in facts] for name, facts in forced.items()}


def forced_from_json(data: Any, where: str) -> dict[str, tuple[Forced, ...]]:
    """The inverse of `forced_to_json`. Raises `InputError` naming `where` for anything else."""
    try:
        return {str(name): tuple(Forced(**fact) for fact in facts) for name, facts in data.items()}
    except (AttributeError, TypeError, ValueError):
        raise InputError(
            f"{where}: 'forced' is {str(data)[:80]!r}, expected for each level a list of facts with kind, planes, "
            "driver, ratio, spans and body. Files of earlier versions hold sentences there: run the stage, or export "
            "the data set, again."
        ) from None
