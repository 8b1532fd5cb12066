"""Tests of secreg_host/push."""
