"""Counts the lines of each level in log_topic, as a member of the group level-counter (kafka-python)."""

import collections
import os
import signal

from kafka import KafkaConsumer


def main():
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as by Ctrl-C
    consumer = KafkaConsumer(
        "log_topic",
        bootstrap_servers=os.environ.get("BOOTSTRAP", "127.0.0.1:9092"),
        group_id="level-counter",
        auto_offset_reset="earliest",
    )
    levels = collections.Counter()
    try:
        for record in consumer:
            line = record.value.decode()
            levels[line.split()[0]] += 1
            print(f"read partition={record.partition} offset={record.offset} timestamp={record.timestamp} "
                  f"levels={dict(levels)} line={line}", flush=True)
    except KeyboardInterrupt:
        pass
    finally:
        consumer.close()


if __name__ == "__main__":
    main()
