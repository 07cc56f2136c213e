"""The data set as a product: opened lazily, thinned to what a licence allows, described by a manifest, verified."""
