"""Which frames can be trusted, and what decided each angle.

Read `findings` first: a finding has a code, a severity, a message and frames; a verdict has a status per frame.
The limits stand in `tables`, with unit, reason and source. `assess` runs all checks (`marker_checks`,
`spine_checks`, those of cameras). `observability` says what decided each angle: data, prior, or the model's couplers.
No check changes a result. docs/spine.md lists what rejects a frame.
"""
