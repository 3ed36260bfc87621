package probe;

import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Reads all partitions of a topic, from the beginning or a time on, until it has what the job expects. */
final class Consuming {
    static void run(Job job) {
        var properties = job.properties();
        properties.putIfAbsent("fetch.max.wait.ms", "50"); // a close waits for the fetch under way
        try (var consumer = new KafkaConsumer<>(properties, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            List<TopicPartition> all = consumer.partitionsFor(job.topic).stream()
                    .map(p -> new TopicPartition(p.topic(), p.partition()))
                    .collect(Collectors.toList());
            consumer.assign(all);
            if (job.since == 0) {
                consumer.seekToBeginning(all);
            } else {
                seek(consumer, all, job.since);
            }
            for (int read = 0; read < job.expect; ) {
                for (var record : consumer.poll(Duration.ofMillis(500))) {
                    Probe.emit(Message.read(record));
                    read++;
                }
            }
        }
    }

    private static void seek(KafkaConsumer<byte[], byte[]> consumer, List<TopicPartition> all, long since) {
        var times = new HashMap<TopicPartition, Long>();
        all.forEach(p -> times.put(p, since));
        consumer.offsetsForTimes(times).forEach((partition, found) -> {
            if (found == null) {
                consumer.seekToEnd(List.of(partition));
            } else {
                consumer.seek(partition, found.offset());
            }
        });
    }

    /** What a consumer is told of a topic's ends, and how it goes on from an offset that is not there. */
    static void outOfRange(Job job) {
        try (var consumer = new KafkaConsumer<>(job.properties(), new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            var partition = new TopicPartition(job.topic, 0);
            consumer.assign(List.of(partition));
            var ends = new HashMap<String, Object>();
            ends.put("beginning", consumer.beginningOffsets(List.of(partition)).get(partition));
            ends.put("end", consumer.endOffsets(List.of(partition)).get(partition));
            Probe.emit(ends);
            consumer.seek(partition, job.since);
            for (int read = 0; read < job.expect; ) {
                for (var record : consumer.poll(Duration.ofMillis(500))) {
                    Probe.emit(Message.read(record));
                    read++;
                }
            }
        }
    }

    private Consuming() {}
}
