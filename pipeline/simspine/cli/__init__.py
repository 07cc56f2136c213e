"""The commands: read arguments, call one function, report.

Read `main` first: it joins the groups, and holds the commands of runs. One module per group of commands; `options`
holds what several share. Heavy imports wait until a command needs them. A fault of the input is one message on standard
error and exit code 2.
"""
