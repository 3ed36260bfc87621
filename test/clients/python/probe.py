"""kafka-python and confluent-kafka as the tests drive them.

A job a line on stdin, as JSON; on stdout its results, a line each, and then a line {"done":true} or
{"done":true,"error":...}. The argument names the library: kafka-python or confluent-kafka.
"""

import base64
import json
import signal
import sys
import threading

stopped = threading.Event()
printing = threading.Lock()


def emit(result):
    """Prints one result. Callbacks of several threads may print at a time."""
    with printing:
        print(json.dumps(result), flush=True)


def encode(value):
    return None if value is None else base64.b64encode(value).decode()


def decode(text):
    return None if text is None else base64.b64decode(text)


def message(partition, offset, timestamp, key, value, headers):
    return {
        "partition": partition,
        "offset": offset,
        "timestamp": timestamp,
        "key": encode(key),
        "value": encode(value),
        "headers": [[name, encode(content)] for name, content in headers or []],
    }


class KafkaPython:
    """The library kafka-python, old and new."""

    def __init__(self):
        import kafka

        self.kafka = kafka

    def produce(self, job):
        producer = self.kafka.KafkaProducer(bootstrap_servers=job["bootstrap"], **job.get("config", {}))
        for record in job["records"]:
            sent = producer.send(
                job["topic"],
                key=decode(record["key"]),
                value=decode(record["value"]),
                partition=record["partition"],
                timestamp_ms=record["timestamp"],
                headers=[(name, decode(content)) for name, content in record["headers"]],
            )
            sent.add_callback(lambda meta, i=record["id"]: emit(
                {"id": i, "partition": meta.partition, "offset": meta.offset, "timestamp": meta.timestamp}))
            sent.add_errback(lambda failure, i=record["id"]: emit({"id": i, "error": repr(failure)}))
        producer.flush()
        producer.close()

    def consume(self, job):
        consumer = self.kafka.KafkaConsumer(
            bootstrap_servers=job["bootstrap"], group_id=None, enable_auto_commit=False, fetch_max_wait_ms=50,
            **job.get("config", {}))
        partitions = [self.kafka.TopicPartition(job["topic"], p) for p in consumer.partitions_for_topic(job["topic"])]
        consumer.assign(partitions)
        if job["since"]:
            for partition, found in consumer.offsets_for_times({p: job["since"] for p in partitions}).items():
                if found is None:
                    consumer.seek_to_end(partition)
                else:
                    consumer.seek(partition, found.offset)
        else:
            consumer.seek_to_beginning(*partitions)
        read = 0
        while read < job["expect"]:
            for records in consumer.poll(timeout_ms=500).values():
                for r in records:
                    emit(message(r.partition, r.offset, r.timestamp, r.key, r.value, r.headers))
                    read += 1
        consumer.close()

    def group(self, job):
        from kafka.errors import CommitFailedError, KafkaConnectionError, RebalanceInProgressError

        uncommitted = {}
        consumer = self.kafka.KafkaConsumer(
            bootstrap_servers=job["bootstrap"], group_id=job["group"], enable_auto_commit=False, **job.get("config", {}))

        def commit():
            try:
                consumer.commit()
            except (RebalanceInProgressError, KafkaConnectionError):
                return  # still a member: a later commit covers them, unless their partition is revoked
            except CommitFailedError:
                uncommitted.clear()
                return
            for messages in uncommitted.values():
                for m in messages:
                    emit(m)
            uncommitted.clear()

        class Listener(self.kafka.ConsumerRebalanceListener):
            def on_partitions_revoked(self, revoked):
                if uncommitted:
                    commit()
                for p in revoked:
                    uncommitted.pop(p.partition, None)

            def on_partitions_assigned(self, assigned):
                emit({"assigned": [p.partition for p in assigned]})

        consumer.subscribe([job["topic"]], listener=Listener())
        # kafka-python 3.0.12 joins once more when it hears of the topic's partitions only after its first assignment, and
        # loses what that second join brings if the poll under way ends before it: the member then stands still for ever.
        patience = 10000
        while not stopped.is_set():
            try:
                polled, patience = consumer.poll(timeout_ms=patience), 200
            except KafkaConnectionError:
                continue  # the agent is down: it is asked again
            for partition, records in polled.items():
                uncommitted.setdefault(partition.partition, []).extend(
                    message(r.partition, r.offset, r.timestamp, r.key, r.value, r.headers) for r in records)
            if uncommitted:
                commit()
        consumer.close()

    def admin(self, job):
        from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions, NewTopic

        admin = self.kafka.KafkaAdminClient(bootstrap_servers=job["bootstrap"])
        topic, resource = job["topic"], ConfigResourceType.TOPIC
        admin.create_topics([NewTopic(topic, 3, 1, topic_configs={"retention.ms": "1000"})])
        emit({"created": topic in admin.list_topics()})
        admin.create_partitions({topic: NewPartitions(5)})
        emit({"partitions": len(admin.describe_topics([topic])[0]["partitions"])})
        admin.alter_configs([ConfigResource(resource, topic, {"retention.ms": "2000"})])
        values = admin.describe_configs([ConfigResource(resource, topic)])["topic"][topic]
        emit({"retention.ms": values["retention.ms"]["value"]})
        emit({"state": admin.describe_groups([job["group"]])[job["group"]]["group_state"]})
        offsets = admin.list_group_offsets(job["group"])[job["group"]]
        emit({"offsets": sum(o.offset for o in offsets.values())})
        admin.delete_topics([topic])
        emit({"deleted": topic not in admin.list_topics()})


class Confluent:
    """The library confluent-kafka, that is librdkafka."""

    def __init__(self):
        import confluent_kafka

        self.ck = confluent_kafka

    def produce(self, job):
        producer = self.ck.Producer({"bootstrap.servers": job["bootstrap"], **job.get("config", {})})
        for record in job["records"]:
            def report(failure, m, i=record["id"]):
                if failure is not None:
                    emit({"id": i, "error": str(failure)})
                else:
                    emit({"id": i, "partition": m.partition(), "offset": m.offset(), "timestamp": m.timestamp()[1]})

            optional = {} if record["partition"] is None else {"partition": record["partition"]}
            if record["timestamp"] is not None:
                optional["timestamp"] = record["timestamp"]
            producer.produce(
                job["topic"],
                key=decode(record["key"]),
                value=decode(record["value"]),
                headers=[(name, decode(content)) for name, content in record["headers"]],
                on_delivery=report,
                **optional,
            )
            producer.poll(0)
        producer.flush()

    def consume(self, job):
        consumer = self.ck.Consumer({
            "bootstrap.servers": job["bootstrap"], "group.id": "unused", "enable.auto.commit": False, "fetch.wait.max.ms": 50,
            **job.get("config", {})})
        count = len(consumer.list_topics(job["topic"]).topics[job["topic"]].partitions)
        partitions = [self.ck.TopicPartition(job["topic"], p, job["since"] or self.ck.OFFSET_BEGINNING) for p in range(count)]
        if job["since"]:
            partitions = consumer.offsets_for_times(partitions, timeout=30)
        consumer.assign(partitions)
        read = 0
        while read < job["expect"]:
            m = consumer.poll(0.5)
            if m is None:
                continue
            if m.error():
                raise RuntimeError(m.error())
            emit(message(m.partition(), m.offset(), m.timestamp()[1], m.key(), m.value(), m.headers()))
            read += 1
        consumer.close()

    def group(self, job):
        uncommitted = {}
        consumer = self.ck.Consumer({
            "bootstrap.servers": job["bootstrap"], "group.id": job["group"], "enable.auto.commit": False,
            "enable.auto.offset.store": False, **job.get("config", {})})

        def commit():
            offsets = [self.ck.TopicPartition(job["topic"], p, messages[-1]["offset"] + 1)
                       for p, messages in uncommitted.items()]
            try:
                committed = consumer.commit(offsets=offsets, asynchronous=False)
            except self.ck.KafkaException as failure:
                if failure.args[0].code() != self.ck.KafkaError.REBALANCE_IN_PROGRESS:
                    uncommitted.clear()
                return
            for p in committed:
                messages = uncommitted.pop(p.partition)
                if p.error is None:
                    for m in messages:
                        emit(m)

        def revoked(_, partitions):
            if uncommitted:
                commit()
            lost(_, partitions)

        def lost(_, partitions):
            for p in partitions:
                uncommitted.pop(p.partition, None)

        consumer.subscribe(
            [job["topic"]],
            on_assign=lambda _, partitions: emit({"assigned": [p.partition for p in partitions]}),
            on_revoke=revoked,
            on_lost=lost,
        )
        while not stopped.is_set():
            for m in consumer.consume(100, 0.2):
                if m.error():
                    print(m.error(), file=sys.stderr)
                    continue
                uncommitted.setdefault(m.partition(), []).append(
                    message(m.partition(), m.offset(), m.timestamp()[1], m.key(), m.value(), m.headers()))
            if uncommitted:
                commit()
        consumer.close()

    def admin(self, job):
        from confluent_kafka import admin as a

        admin = a.AdminClient({"bootstrap.servers": job["bootstrap"]})
        topic, kind = job["topic"], a.ConfigResource.Type.TOPIC

        def result(futures):
            return next(iter(futures.values())).result()

        result(admin.create_topics([a.NewTopic(topic, 3, 1, config={"retention.ms": "1000"})]))
        emit({"created": topic in admin.list_topics().topics})
        result(admin.create_partitions([a.NewPartitions(topic, 5)]))
        emit({"partitions": len(admin.list_topics().topics[topic].partitions)})
        change = a.ConfigEntry("retention.ms", "2000", incremental_operation=a.AlterConfigOpType.SET)
        result(admin.incremental_alter_configs([a.ConfigResource(kind, topic, incremental_configs=[change])]))
        values = result(admin.describe_configs([a.ConfigResource(kind, topic)]))
        emit({"retention.ms": values["retention.ms"].value})
        emit({"state": result(admin.describe_consumer_groups([job["group"]])).state.name.capitalize()})
        offsets = result(admin.list_consumer_group_offsets([self.ck.ConsumerGroupTopicPartitions(job["group"])]))
        emit({"offsets": sum(p.offset for p in offsets.topic_partitions)})
        result(admin.delete_topics([topic]))
        emit({"deleted": topic not in admin.list_topics().topics})


def main():
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    library = {"kafka-python": KafkaPython, "confluent-kafka": Confluent}[sys.argv[1]]()
    for line in sys.stdin:
        job = json.loads(line)
        done = {"done": True}
        try:
            getattr(library, job["op"])(job)
        except Exception as failure:
            done["error"] = repr(failure)
        emit(done)


if __name__ == "__main__":
    main()
