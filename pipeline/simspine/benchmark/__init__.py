"""How fast and how good the package is, measured on the machine at hand: what `simspine bench …` runs."""
