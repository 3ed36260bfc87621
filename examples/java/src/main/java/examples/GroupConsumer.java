package examples;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.StringDeserializer;

/** Reads test-topic as a member of a group: start it twice and the two share the partitions. */
public final class GroupConsumer {
    public static void main(String[] args) {
        Map<String, Object> config = Map.of(
                ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, Bootstrap.SERVERS,
                ConsumerConfig.GROUP_ID_CONFIG, args.length > 0 ? args[0] : "test-group",
                ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest",
                ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, false);
        try (var consumer = new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer())) {
            Shutdown.wakes(consumer);
            consumer.subscribe(List.of("test-topic"));
            while (true) {
                for (var record : consumer.poll(Duration.ofSeconds(1))) {
                    System.out.printf("read partition=%d offset=%d timestamp=%d key=%s value=%s%n",
                            record.partition(), record.offset(), record.timestamp(), record.key(), record.value());
                }
                consumer.commitSync();
            }
        } catch (WakeupException stopped) {
            // Ctrl-C: close has left the group.
        }
    }
}
