"""Networks of other programs as files that `simspine train spine` starts from (`network.start`)."""
