from tests.support.kafka import kafka as kafka
