"""Oris: a durable execution server. Long jobs over HTTP, nothing lost, nothing done twice."""
