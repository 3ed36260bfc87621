package examples;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.StringDeserializer;

/** Reads partitions 0 and 1 of test-topic, which it picks itself, and commits automatically every second. */
public final class AssignConsumer {
    public static void main(String[] args) {
        Map<String, Object> config = Map.of(
                ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, Bootstrap.SERVERS,
                ConsumerConfig.GROUP_ID_CONFIG, "test-assigned",
                ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest",
                ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, true,
                ConsumerConfig.AUTO_COMMIT_INTERVAL_MS_CONFIG, 1000);
        try (var consumer = new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer())) {
            Shutdown.wakes(consumer);
            consumer.assign(List.of(new TopicPartition("test-topic", 0), new TopicPartition("test-topic", 1)));
            while (true) {
                for (var record : consumer.poll(Duration.ofSeconds(1))) {
                    System.out.printf("read partition=%d offset=%d timestamp=%d key=%s value=%s%n",
                            record.partition(), record.offset(), record.timestamp(), record.key(), record.value());
                }
            }
        } catch (WakeupException stopped) {
            // Ctrl-C: close has committed what was read.
        }
    }
}
