package examples;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Takes a payment for every order it reads in event_topic and answers with an event in the same topic. */
public final class PaymentService {
    public static void main(String[] args) throws Exception {
        Map<String, Object> producing = Map.of(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, Bootstrap.SERVERS);
        Map<String, Object> consuming = Map.of(
                ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, Bootstrap.SERVERS,
                ConsumerConfig.GROUP_ID_CONFIG, "payment-service",
                ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest",
                ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, false);
        try (var producer = new KafkaProducer<>(producing, new StringSerializer(), new StringSerializer());
                var consumer = new KafkaConsumer<>(consuming, new StringDeserializer(), new StringDeserializer())) {
            Shutdown.wakes(consumer);
            consumer.subscribe(List.of(Event.TOPIC));
            while (true) {
                for (var event : consumer.poll(Duration.ofSeconds(1))) {
                    if (!Event.is("OrderPlaced", event)) {
                        continue;
                    }
                    System.out.printf("order=%s partition=%d offset=%d amount=%s%n",
                            event.key(), event.partition(), event.offset(), event.value());
                    var sent = producer.send(Event.of("PaymentTaken", event.key(), "receipt for " + event.value())).get();
                    System.out.printf("charged order=%s partition=%d offset=%d%n",
                            event.key(), sent.partition(), sent.offset());
                }
                consumer.commitSync(); // orders whose answers are acknowledged are done
            }
        } catch (WakeupException stopped) {
            // Ctrl-C
        }
    }
}
