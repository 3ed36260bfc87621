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
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** A member of a group that prints records once a commit covers them, until SIGTERM. */
final class GroupMember implements ConsumerRebalanceListener {
    private final KafkaConsumer<byte[], byte[]> consumer;
    private final Map<TopicPartition, List<Message>> uncommitted = new HashMap<>();

    private GroupMember(KafkaConsumer<byte[], byte[]> consumer) {
        this.consumer = consumer;
    }

    static void run(Job job) {
        try (var consumer = new KafkaConsumer<>(job.properties(), new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            Thread main = Thread.currentThread();
            Runtime.getRuntime().addShutdownHook(new Thread(() -> {
                consumer.wakeup();
                try {
                    main.join();
                } catch (InterruptedException ignored) {
                    Thread.currentThread().interrupt();
                }
            }));
            var member = new GroupMember(consumer);
            consumer.subscribe(List.of(job.topic), member);
            while (true) {
                member.poll();
            }
        } catch (WakeupException stopped) {
            // close has left the group; the hook waits for main, which ends when stdin does
        }
    }

    private void poll() {
        for (var record : consumer.poll(Duration.ofMillis(200))) {
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
