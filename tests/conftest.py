"""Fixtures and settings that several kinds of tests share."""

from hypothesis import settings

from tests.support.kafka import kafka as kafka
from tests.support.mongo import mongo as mongo

# How long an example takes says something of the machine and its load, nothing of the code.
settings.register_profile("rapt", deadline=None)
settings.load_profile("rapt")
