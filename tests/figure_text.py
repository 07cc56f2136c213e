"""What a figure says."""


def texts(figure) -> str:
    """Everything written in a figure."""
    from matplotlib.text import Text

    return " | ".join(text.get_text() for text in figure.findobj(Text) if text.get_text())
