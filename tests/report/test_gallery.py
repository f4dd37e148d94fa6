"""Pictures of a page as files of their own."""

import pytest
from matplotlib.figure import Figure

from ostinato.errors import ConfigError, RunError
from ostinato.report.gallery import Gallery, save_figure


def drawn(text="x"):
    figure = Figure(figsize=(2, 1))
    figure.subplots().set_title(text, parse_math=False)
    return figure


def test_each_picture_gets_a_name_of_its_own_from_its_title():
    gallery = Gallery()
    for title in ("Motif 1 of <b>/../x", "motif 1 of b x", "日本"):
        gallery.show(drawn(), title)
    assert list(gallery.figures) == ["motif-1-of-b-x", "motif-1-of-b-x-2", "picture"]


def test_pictures_are_saved_as_png_and_svg(tmp_path):
    gallery = Gallery()
    gallery.show(drawn("日本 $x$"), "One")
    gallery.save(tmp_path / "figures")
    assert (tmp_path / "figures" / "one.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (tmp_path / "figures" / "one.svg").read_bytes()


def test_unknown_format_and_unwritable_folder_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="'bmpp'"):
        save_figure(drawn(), tmp_path / "x.bmpp")
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="file: "):
        Gallery().save(tmp_path / "file")


def test_the_same_figure_gives_the_same_files(tmp_path):
    contents = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        figure = Figure()
        figure.subplots().plot([1, 3, 2], marker="o")
        save_figure(figure, tmp_path / name / "line.svg")
        contents.append((tmp_path / name / "line.svg").read_bytes())
    assert contents[0] == contents[1]
