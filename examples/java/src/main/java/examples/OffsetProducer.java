package examples;

import java.util.Map;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

/** Sends records to test-topic and prints the offset of each one when the broker has acknowledged it. */
public final class OffsetProducer {
    public static void main(String[] args) {
        int count = args.length > 0 ? Integer.parseInt(args[0]) : 10;
        Map<String, Object> config = Map.of(
                ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, Bootstrap.SERVERS,
                ProducerConfig.ACKS_CONFIG, "all");
        try (var producer = new KafkaProducer<>(config, new StringSerializer(), new StringSerializer())) {
            for (int i = 0; i < count; i++) {
                var record = new ProducerRecord<>("test-topic", "key-" + i, "message " + i);
                producer.send(record, (metadata, failure) -> {
                    if (failure != null) {
                        System.err.println("not sent: " + failure);
                        return;
                    }
                    System.out.printf("sent partition=%d offset=%d timestamp=%d key=%s value=%s%n",
                            metadata.partition(), metadata.offset(), metadata.timestamp(), record.key(), record.value());
                });
            }
        } // close waits for what is still under way
    }
}
