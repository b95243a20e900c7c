"""What the plot programs share: messages, the file that they write, and matplotlib, which may be absent."""

import argparse
import os
import sys

FORMATS = ("png", "svg", "pdf")


class PlotError(Exception):
    """A mistake of the user's, with a message that names file, line or option."""


def missing(error):
    """The PlotError for an ImportError."""
    package = error.name.split(".")[0]
    return PlotError(f"{package} is not installed; scripts/install-dependencies --plots installs it")


def output_path(text):
    """The type of --output: a file whose extension is a format."""
    extension = os.path.splitext(text)[1][1:].lower()
    if extension not in FORMATS:
        raise argparse.ArgumentTypeError(f"{text}: expected a name that ends in {', '.join('.' + f for f in FORMATS)}")
    folder = os.path.dirname(text) or "."
    if not os.path.isdir(folder):
        raise argparse.ArgumentTypeError(f"{folder}: no such folder")
    return text


def at_least(least, kind=int):
    """The type of an option whose values start at `least`."""
    def parse(text):
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
        if not value >= least:
            raise argparse.ArgumentTypeError(f"{text}, expected at least {least}")
        return value
    return parse


def add_output_options(parser):
    parser.add_argument("--output", "-o", required=True, type=output_path, metavar="FILE",
                        help="picture to write; its extension, .png, .svg or .pdf, is its format")
    parser.add_argument("--title", help="above the picture")
    parser.add_argument("--dpi", type=at_least(10), default=150, help="dots per inch of a .png (%(default)s)")


def import_pyplot():
    """matplotlib.pyplot, drawing to files only, with one style."""
    try:
        import matplotlib
    except ImportError as error:
        raise missing(error) from None
    matplotlib.use("Agg")
    matplotlib.rcParams.update({
        "svg.hashsalt": "bitlm",  # The same bytes each time.
        "font.size": 9, "axes.titlesize": 10, "axes.spines.top": False, "axes.spines.right": False,
        "legend.frameon": False,
    })
    from matplotlib import pyplot
    return pyplot


def save(figure, args):
    """Writes the figure: the same bytes for the same data."""
    extension = os.path.splitext(args.output)[1][1:].lower()
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}[extension]
    try:
        figure.savefig(args.output, dpi=args.dpi, metadata=metadata, bbox_inches="tight")
    except OSError as error:
        raise PlotError(f"{args.output}: {error.strerror}") from None


def run(program, main):
    """Calls `main`, and says what went wrong in one line."""
    try:
        main()
    except PlotError as error:
        sys.exit(f"{program}: {error}")
