"""The commands: read arguments, call one function, report.

Read `main` first: it joins the groups, and contains the commands of runs. Each group of commands has a module;
`options` contains shared options. Heavy imports wait until a command needs them. Bad input gives one message on
standard error and exit code 2.
"""
