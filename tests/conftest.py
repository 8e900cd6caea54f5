"""Fixtures that several kinds of tests share."""

from tests.support.kafka import kafka as kafka
