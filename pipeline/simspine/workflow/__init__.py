"""The thin shell around the pure stages: which files, is the work done already, read, call, write."""
