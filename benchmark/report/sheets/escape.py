"""Any text made safe for LaTeX and for Markdown. Names and error messages come from users."""

from __future__ import annotations

import re
import unicodedata

_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"{\ttfamily\char34}",  # \textquotedbl is missing from the default OT1 encoding
    "`": r"\textasciigrave{}",
    "–": "{--}",
    "—": "{---}",
    "‘": "`{}",
    "’": "'{}",
    "“": "{``}",
    "”": "{''}",
    "…": r"\dots{}",
    "×": r"$\times$",
    "±": r"$\pm$",
    "−": "$-$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "→": r"$\rightarrow$",
    "↳": r"$\hookrightarrow$",
    "α": r"$\alpha$",
    "β": r"$\beta$",
    "φ": r"$\phi$",
    "µ": r"$\mu$",
    "μ": r"$\mu$",
    "°": r"$^{\circ}$",
    "†": r"$^{\dagger}$",
    "ß": r"\ss{}",
    "æ": r"\ae{}",
    "Æ": r"\AE{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "ł": r"\l{}",
    "Ł": r"\L{}",
}
_ACCENTS = {
    "\u0300": r"\`",
    "\u0301": r"\'",
    "\u0302": r"\^",
    "\u0303": r"\~",
    "\u0304": r"\=",
    "\u0306": r"\u",
    "\u0307": r"\.",
    "\u0308": r"\"",
    "\u030a": r"\r",
    "\u030b": r"\H",
    "\u030c": r"\v",
    "\u0327": r"\c",
}
_RUN = re.compile(r"([-'])(?=\1)")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|#~])")


def one_line(text: str) -> str:
    """Return the text with every run of white space and control characters turned into one space."""
    kept = "".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c for c in text)
    return " ".join(kept.split())


def latex(text: str) -> str:
    """Return ASCII LaTeX that typesets ``text`` in any article without further packages.

    Accented Latin letters keep their accent; a character that LaTeX's default fonts lack is written as its
    code point, such as ``[U+4E2D]``, so that nothing vanishes and nothing stops the compiler.
    """
    # "--seeds" must not turn into a dash, nor '' into a quotation mark
    apart = _RUN.sub(r"\1\0", one_line(text))
    return "".join("{}" if char == "\0" else _latex_char(char) for char in apart)


def _latex_char(char: str) -> str:
    if char in _LATEX:
        return _LATEX[char]
    if 32 <= ord(char) < 127:
        return char
    parts = list(unicodedata.normalize("NFD", char))
    base, marks = parts[0], parts[1:]
    if len(marks) == 1 and marks[0] in _ACCENTS and base.isascii() and base.isalpha():
        # i and j lose their dot under an accent
        letter = {"i": r"\i", "j": r"\j"}.get(base, base)
        return f"{_ACCENTS[marks[0]]}{{{letter}}}"
    return f"[U+{ord(char):04X}]"


def markdown(text: str) -> str:
    """Return text for a Markdown table cell: one line, no pipe, no accidental emphasis, no HTML."""
    return _MARKDOWN.sub(r"\\\1", one_line(text)).replace("&", "&amp;")


def label(text: str) -> str:
    """Return ``text`` reduced to what a LaTeX label and a file name both take."""
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-").lower() or "unnamed"
