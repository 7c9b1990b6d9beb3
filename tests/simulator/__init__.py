"""Exchanges on this machine: real WebSocket servers that speak as the exchanges' documents say, and fail as told."""
