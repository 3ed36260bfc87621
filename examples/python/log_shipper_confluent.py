"""Ships a log line a second to log_topic (confluent-kafka). --rate sets the lines a second, --count ends it."""

import argparse
import itertools
import os
import signal
import threading

from confluent_kafka import Producer

from log_shipper import lines


def report(failure, message):
    """Called from poll and flush, once for each line."""
    if failure is not None:
        print(f"not shipped: {failure}", flush=True)
        return
    print(f"shipped partition={message.partition()} offset={message.offset()} timestamp={message.timestamp()[1]} "
          f"line={message.value().decode()}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=1.0, help="lines a second")
    parser.add_argument("--count", type=int, help="lines to ship, for ever if not given")
    args = parser.parse_args()
    stopped = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: stopped.set())

    producer = Producer({
        "bootstrap.servers": os.environ.get("BOOTSTRAP", "127.0.0.1:9092"),
        "enable.idempotence": True,
    })
    host = os.uname().nodename
    for line in itertools.islice(lines(), args.count):
        producer.produce("log_topic", key=host, value=line, headers={"source": "log_shipper"}, on_delivery=report)
        producer.poll(0)  # calls report for what was answered
        if stopped.wait(1 / args.rate):
            break
    producer.flush()  # waits for what is still under way


if __name__ == "__main__":
    main()
