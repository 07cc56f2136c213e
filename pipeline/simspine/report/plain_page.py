"""Pages that need no program in the browser: one file of HTML each."""

from typing import Any

# No script, nothing from elsewhere; also what the server sends with them.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def rendered(template: str, **content: Any) -> str:
    """A template of `report/pages` with its content, every text escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("simspine.report", "pages"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True,
    )  # fmt: skip
    return environment.get_template(template).render(content)
