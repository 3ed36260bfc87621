package probe;

import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.header.internals.RecordHeader;

/** A record as JSON; bytes are base64, and null stays null. */
final class Message {
    int id;
    Integer partition; // null: the client picks
    long offset;
    Long timestamp; // null: the client's clock
    String key;
    String value;
    List<String[]> headers; // name, value

    static Message read(ConsumerRecord<byte[], byte[]> record) {
        var message = new Message();
        message.partition = record.partition();
        message.offset = record.offset();
        message.timestamp = record.timestamp();
        message.key = encode(record.key());
        message.value = encode(record.value());
        message.headers = new ArrayList<>();
        for (var header : record.headers()) {
            message.headers.add(new String[] {header.key(), encode(header.value())});
        }
        return message;
    }

    ProducerRecord<byte[], byte[]> to(String topic) {
        var record = new ProducerRecord<>(topic, partition, timestamp, decode(key), decode(value));
        if (headers != null) {
            for (var header : headers) {
                record.headers().add(new RecordHeader(header[0], decode(header[1])));
            }
        }
        return record;
    }

    private static String encode(byte[] bytes) {
        return bytes == null ? null : Base64.getEncoder().encodeToString(bytes);
    }

    private static byte[] decode(String text) {
        return text == null ? null : Base64.getDecoder().decode(text);
    }
}
