package probe;

import java.util.LinkedHashMap;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Sends the job's records and prints what became of each one. */
final class Producing {
    static void run(Job job) {
        try (var producer = open(job)) {
            for (var message : job.records) {
                producer.send(message.to(job.topic), (metadata, failure) -> {
                    var ack = new LinkedHashMap<String, Object>();
                    ack.put("id", message.id);
                    if (failure != null) {
                        ack.put("error", failure.toString());
                    } else {
                        ack.put("partition", metadata.partition());
                        ack.put("offset", metadata.offset());
                        ack.put("timestamp", metadata.timestamp());
                    }
                    Probe.emit(ack);
                });
            }
        }
    }

    /** What a transactional producer is told. */
    static void begin(Job job) {
        try (var producer = open(job)) {
            producer.initTransactions();
            producer.beginTransaction();
        }
    }

    private static KafkaProducer<byte[], byte[]> open(Job job) {
        return new KafkaProducer<>(job.properties(), new ByteArraySerializer(), new ByteArraySerializer());
    }

    private Producing() {}
}
