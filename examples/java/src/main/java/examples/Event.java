package examples;

import static java.nio.charset.StandardCharsets.UTF_8;

import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;

/** An event: its key is the order, so that one order's events stay in order; its type is a header. */
final class Event {
    static final String TOPIC = "event_topic";

    static ProducerRecord<String, String> of(String type, String order, String body) {
        var event = new ProducerRecord<>(TOPIC, order, body);
        event.headers().add("type", type.getBytes(UTF_8));
        return event;
    }

    static boolean is(String type, ConsumerRecord<String, String> event) {
        var header = event.headers().lastHeader("type");
        return header != null && type.equals(new String(header.value(), UTF_8));
    }

    private Event() {}
}
