"""Oris: a durable execution server. Long jobs over HTTP: none is lost, no recorded step is repeated."""
