"""What access.yml says: who may read, create, update and delete what; pure."""
