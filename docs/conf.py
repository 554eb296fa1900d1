"""The documentation site: sphinx-build -W docs build/docs"""

import inspect
import re
import textwrap

import keras

from sagan_tf import __version__

project = "sagan_tf"
release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = f"sagan_tf {release}"
html_show_copyright = False
exclude_patterns = ["conf.py"]
highlight_language = "bash"  # of the blocks that name none: commands

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
# What docstrings have besides Google's sections: Keras' own.
napoleon_custom_sections = [
    ("Call arguments", "params_style"),
    ("Output", "returns_style"),
]
napoleon_use_rtype = False


def convert_markdown(app, what, name, obj, options, lines):
    """Converts what docstrings have of Markdown: code, links and inline code."""
    text = "\n".join(lines)
    if what == "method":  # a function that is a method too has its `self` by name
        text = re.sub(r"^ *run: `Run`\.\n", "", text, flags=re.M)
    blocks = re.split(r"^( *)```(\w*)\n(.*?)^ *```$", text, flags=re.M | re.S)
    converted = [_convert_inline(blocks[0])]
    for indent, language, code, after in zip(*[iter(blocks[1:])] * 4, strict=True):
        code = textwrap.indent(textwrap.dedent(code), f"{indent}   ")
        converted.append(f"{indent}.. code-block:: {language or 'text'}\n\n{code}")
        converted.append(_convert_inline(after))
    lines[:] = "\n".join(converted).split("\n")


def _convert_inline(text):
    text = re.sub(
        r"`([^`]+)`([\w(]?)",  # something follows in "`Block`s" and "`attend`(image)"
        lambda found: f"``{found[1]}``" + (f"\\ {found[2]}" if found[2] else ""),
        text,
    )
    return re.sub(r"\[([^\]]+)\]\((http[^)]+)\)", r"`\1 <\2>`__", text)


def show_constructor(app, what, name, obj, options, signature, return_annotation):
    """Shows the arguments of a Keras class, whose own `__new__` takes any."""
    if what != "class" or not issubclass(obj, keras.Operation):
        return None
    first, *others = inspect.signature(obj.__init__).parameters.values()
    others = [each.replace(annotation=each.empty) for each in others]
    return str(inspect.Signature(others)), None


def setup(app):
    app.connect("autodoc-process-signature", show_constructor)
    # Before Napoleon, which connects with the default priority of 500.
    app.connect("autodoc-process-docstring", convert_markdown, priority=400)
