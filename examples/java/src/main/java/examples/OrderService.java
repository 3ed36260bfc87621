package examples;

import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.time.Duration;
import java.util.UUID;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Places orders as events in event_topic and waits there for the event that says each one is paid. */
public final class OrderService {
    public static void main(String[] args) throws Exception {
        int count = args.length > 0 ? Integer.parseInt(args[0]) : 5;
        Map<String, Object> producing = Map.of(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, Bootstrap.SERVERS);
        Map<String, Object> consuming = Map.of(
                ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, Bootstrap.SERVERS,
                ConsumerConfig.GROUP_ID_CONFIG, "order-service",
                ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
        Set<String> unpaid = new HashSet<>();
        try (var producer = new KafkaProducer<>(producing, new StringSerializer(), new StringSerializer());
                var consumer = new KafkaConsumer<>(consuming, new StringDeserializer(), new StringDeserializer())) {
            Shutdown.wakes(consumer);
            consumer.subscribe(List.of(Event.TOPIC));
            for (int i = 1; i <= count; i++) {
                String order = UUID.randomUUID().toString();
                var sent = producer.send(Event.of("OrderPlaced", order, Integer.toString(10 * i))).get();
                unpaid.add(order);
                System.out.printf("placed order=%s partition=%d offset=%d%n", order, sent.partition(), sent.offset());
            }
            while (!unpaid.isEmpty()) {
                for (var event : consumer.poll(Duration.ofSeconds(1))) {
                    if (Event.is("PaymentTaken", event) && unpaid.remove(event.key())) {
                        System.out.printf("paid order=%s partition=%d offset=%d receipt=%s%n",
                                event.key(), event.partition(), event.offset(), event.value());
                    }
                }
            }
        } catch (WakeupException stopped) {
            System.err.println("stopped with " + unpaid.size() + " orders unpaid");
        }
    }
}
