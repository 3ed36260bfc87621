"""Counts the lines of each level in log_topic, as a member of the group level-counter (confluent-kafka)."""

import collections
import os
import signal
import sys

from confluent_kafka import Consumer


def main():
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as by Ctrl-C
    consumer = Consumer({
        "bootstrap.servers": os.environ.get("BOOTSTRAP", "127.0.0.1:9092"),
        "group.id": "level-counter",
        "auto.offset.reset": "earliest",
        "allow.auto.create.topics": True,
    })
    consumer.subscribe(["log_topic"])
    levels = collections.Counter()
    try:
        while True:
            message = consumer.poll(1.0)
            if message is None:
                continue
            if message.error():
                print(message.error(), file=sys.stderr)
                continue
            line = message.value().decode()
            levels[line.split()[0]] += 1
            print(f"read partition={message.partition()} offset={message.offset()} timestamp={message.timestamp()[1]} "
                  f"levels={dict(levels)} line={line}", flush=True)
    except KeyboardInterrupt:
        pass
    finally:
        consumer.close()


if __name__ == "__main__":
    main()
