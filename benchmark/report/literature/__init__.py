"""Printed numbers: read, audited by arithmetic, set beside ours."""
