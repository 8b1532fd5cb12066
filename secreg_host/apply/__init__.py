"""The one path: read, choose, rehearse, activate, prove, report."""
