"""Pieces of SVG as text, with everything from outside escaped."""

from collections.abc import Iterable

from markupsafe import Markup, escape


def element(tag: str, content: str = "", **attributes: object) -> Markup:
    """One element. `content` is markup already or becomes escaped text; `class_` and `stroke_width` lose and change their `_`."""
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(_number(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{tag}{written}>{escape(content)}</{tag}>")  # noqa: S704


def join(parts: Iterable[str]) -> Markup:
    """Several pieces one after the other."""
    return Markup("").join(parts)


def text(content: str, x: float, y: float, **attributes: object) -> Markup:
    return element("text", content, x=x, y=y, **attributes)


def picture(width: float, height: float, title: str, description: str, content: str, class_: str) -> Markup:
    """A whole drawing that scales with the page and tells a screen reader what it shows."""
    named = element("title", title) + element("desc", description)
    return element(
        "svg", named + content, viewBox=f"0 0 {_number(width)} {_number(height)}", role="img", class_=class_, aria_label=title
    )


def _number(value: object) -> object:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else value
