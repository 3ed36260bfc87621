package probe;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** A member of a group that prints records once a commit covers them, until SIGTERM. */
final class GroupMember implements ConsumerRebalanceListener {
    private final KafkaConsumer<byte[], byte[]> consumer;
    private final Map<TopicPartition, List<Message>> uncommitted = new HashMap<>();
    private volatile boolean stopped;

    private GroupMember(KafkaConsumer<byte[], byte[]> consumer) {
        this.consumer = consumer;
    }

    static void run(Job job) {
        var properties = job.properties();
        properties.put("group.id", job.group);
        properties.put("enable.auto.commit", "false");
        properties.put("auto.offset.reset", "earliest");
        try (var consumer = new KafkaConsumer<>(properties, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            var member = new GroupMember(consumer);
            Thread main = Thread.currentThread();
            Runtime.getRuntime().addShutdownHook(new Thread(() -> {
                member.stopped = true; // no wakeup: it would hide whether a commit came through
                try {
                    main.join();
                } catch (InterruptedException ignored) {
                    Thread.currentThread().interrupt();
                }
            }));
            consumer.subscribe(List.of(job.topic), member);
            while (!member.stopped) {
                member.poll();
            }
        }
    }

    private void poll() {
        for (var record : consumer.poll(Duration.ofMillis(100))) {
            var partition = new TopicPartition(record.topic(), record.partition());
            uncommitted.computeIfAbsent(partition, p -> new ArrayList<>()).add(Message.read(record));
        }
        if (!uncommitted.isEmpty()) {
            commit();
        }
    }

    private void commit() {
        try {
            consumer.commitSync();
            uncommitted.values().forEach(messages -> messages.forEach(Probe::emit));
            uncommitted.clear();
        } catch (RebalanceInProgressException later) {
            // Still a member: a later commit covers them, unless their partition is revoked.
        } catch (CommitFailedException thrownOut) {
            uncommitted.clear();
        }
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
        Probe.emit(Map.of("assigned", partitions.stream().map(TopicPartition::partition).toList()));
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
        commit();
        partitions.forEach(uncommitted::remove);
    }

    @Override
    public void onPartitionsLost(Collection<TopicPartition> partitions) {
        partitions.forEach(uncommitted::remove);
    }
}
