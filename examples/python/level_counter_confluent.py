"""Counts the lines of each level in log_topic, as a member of the group level-counter (confluent-kafka)."""

import collections
import os
import signal
import sys
import threading

from confluent_kafka import Consumer


def main():
    stopped = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: stopped.set())
    consumer = Consumer({
        "bootstrap.servers": os.environ.get("BOOTSTRAP", "127.0.0.1:9092"),
        "group.id": "level-counter",
        "auto.offset.reset": "earliest",
        "allow.auto.create.topics": True,
    })
    consumer.subscribe(["log_topic"])
    levels = collections.Counter()
    while not stopped.is_set():
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
    consumer.close()  # commits and leaves the group


if __name__ == "__main__":
    main()
