from PIL import Image

from simspine.report.training_curves import write_training_curves


def test_a_picture_with_a_line_a_network(tmp_path):
    curves = {"a": ([1.0, 0.5, 0.4], [40.0, 30.0, 29.0]), "b": ([2.0, 1.5], [float("nan")] * 2)}
    write_training_curves(tmp_path / "curves.png", curves)
    image = Image.open(tmp_path / "curves.png")
    assert image.size == (990, 396)
    colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 20)}
    assert {(31, 119, 180), (255, 127, 14)} <= colours  # both lines; the second in the left half only
