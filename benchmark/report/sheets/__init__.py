"""Tables as text: cells under heads, written as LaTeX, Markdown, HTML or CSV."""
