"""The templates of pages: every text is escaped, undefined names are errors."""

from importlib import resources

import jinja2


def page_environment(*packages: str) -> jinja2.Environment:
    """Return the environment of the templates of this package and of others.

    Args:
        packages: Further packages with a folder ``templates``, searched first.
    """
    return jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader(name) for name in (*packages, __package__)]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def read_template(name: str, package: str = __package__) -> str:
    """Return a file of a package's templates as it is, such as a style sheet."""
    return (resources.files(package) / 'templates' / name).read_text('utf-8')
