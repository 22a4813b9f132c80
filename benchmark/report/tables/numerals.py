"""How scores are printed: as fractions or in percent, with how many digits."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.errors import BenchError

MAX_DIGITS = 6
"""As many as CSV holds."""


@dataclass(frozen=True)
class Numerals:
    """A form of printed scores; best and second are decided on these digits.

    Attributes:
        digits: Behind the point.
        percent: Scores between 0 and 1 are printed times 100.
    """

    digits: int = 3
    percent: bool = False

    def text(self, value: float) -> str:
        """Return a score as the table prints it."""
        return f"{100 * value if self.percent else value:.{self.digits}f}"

    def rounded(self, value: float) -> float:
        """Return the number that ``text`` shows; in percent that is a hundred times the score."""
        return float(self.text(value))


PLAIN = Numerals()
"""As the paper prints."""


def numerals(*, digits: int | None = None, percent: bool = False) -> Numerals:
    """Return the form that ``--digits`` and ``--percent`` ask for; without digits both forms show equally much.

    Raises:
        BenchError: More digits than records hold to any purpose, or fewer than none.
    """
    if digits is None:
        return Numerals(1, percent=True) if percent else PLAIN
    if not 0 <= digits <= MAX_DIGITS:
        raise BenchError(f"--digits {digits}: expected 0 to {MAX_DIGITS}")
    return Numerals(digits, percent)
