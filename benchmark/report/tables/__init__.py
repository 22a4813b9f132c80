"""Tables from records, as LaTeX, Markdown, HTML and CSV."""
