"""Simulated teachers, critics and judges behind the OpenAI protocol: the clients that ask them are the real ones."""
