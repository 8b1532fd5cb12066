"""Tests of secreg_host/queue."""
