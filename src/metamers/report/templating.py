"""How templates become pages."""

from importlib.resources import files
from typing import TYPE_CHECKING

from markupsafe import Markup

if TYPE_CHECKING:
    from jinja2 import Environment


def environment(package: str) -> "Environment":
    """Reads the folder `templates` of a package; what is filled in is escaped, and what is missing is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader(package), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


def style_sheet() -> Markup:
    """The style of all pages."""
    return Markup(template("report.css"))


def template(name: str) -> str:
    """The text of a file among the report's templates."""
    return files("metamers.report").joinpath("templates", name).read_text(encoding="utf-8")
