"""Ships a log line a second to log_topic (kafka-python). --rate sets the lines a second, --count ends it."""

import argparse
import itertools
import os
import signal
import threading

from kafka import KafkaProducer

LEVELS = ["INFO", "INFO", "INFO", "DEBUG", "WARN", "ERROR"]


def lines():
    """Log lines for ever, as a service would write them."""
    for number in itertools.count():
        yield f"{LEVELS[number % len(LEVELS)]} request {number} took {number * 7 % 100} ms"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=1.0, help="lines a second")
    parser.add_argument("--count", type=int, help="lines to ship, for ever if not given")
    args = parser.parse_args()
    stopped = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: stopped.set())

    producer = KafkaProducer(
        bootstrap_servers=os.environ.get("BOOTSTRAP", "127.0.0.1:9092"),
        acks="all",
    )
    host = os.uname().nodename.encode()
    for line in itertools.islice(lines(), args.count):
        sent = producer.send("log_topic", key=host, value=line.encode(), headers=[("source", b"log_shipper")])
        sent.add_callback(lambda meta, line=line: print(
            f"shipped partition={meta.partition} offset={meta.offset} timestamp={meta.timestamp} line={line}", flush=True))
        sent.add_errback(lambda failure: print(f"not shipped: {failure}", flush=True))
        if stopped.wait(1 / args.rate):
            break
    producer.close()  # waits for what is still under way


if __name__ == "__main__":
    main()
