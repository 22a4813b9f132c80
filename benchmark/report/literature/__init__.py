"""Published numbers: read, audited by arithmetic, compared with ours."""
