"""The command line in this process."""

from click.testing import CliRunner, Result

from simspine.cli.main import main


def call(*words: object, **options) -> Result:
    """`simspine` with these words, paths among them. options: of `CliRunner.invoke`."""
    return CliRunner().invoke(main, [str(word) for word in words], **options)


def succeeded(done: Result) -> str:
    """What a command wrote that ended without an error."""
    assert done.exit_code == 0, done.output
    return done.output


def failed(done: Result) -> str:
    """What a command wrote that refused its input."""
    assert done.exit_code == 2, done.output
    return done.output
