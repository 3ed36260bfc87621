package cleaner;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.File;
import java.io.FileOutputStream;
import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.FileDescriptor;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.server.util.Scheduler;
import org.apache.kafka.storage.internals.log.Cleaner;
import org.apache.kafka.storage.internals.log.CleanerStats;
import org.apache.kafka.storage.internals.log.LogConfig;
import org.apache.kafka.storage.internals.log.LogDirFailureChannel;
import org.apache.kafka.storage.internals.log.LogSegment;
import org.apache.kafka.storage.internals.log.LogToClean;
import org.apache.kafka.storage.internals.log.ProducerStateManagerConfig;
import org.apache.kafka.storage.internals.log.SkimpyOffsetMap;
import org.apache.kafka.storage.internals.log.UnifiedLog;
import org.apache.kafka.storage.internals.utils.Throttler;
import org.apache.kafka.storage.log.metrics.BrokerTopicStats;

/**
 * Apache Kafka's own log and log cleaner, driven by bytes on stdin. Numbers are big endian.
 *
 *   'L' delete.retention.ms int64                 begins a new, empty log
 *   'A' length int32, batches                     appends batches as a follower does, to the newest segment
 *   'R'                                           rolls: what comes next is in a new segment
 *   'C' time int64, map bytes int32               cleans all but the newest segment, at that time
 *
 * Each 'C' is answered with the cleaned point int64, the number of invalid records int64, and the bytes of all segments
 * behind their length int32.
 */
public final class Main {
    private static final Scheduler AT_ONCE = new AtOnce();

    public static void main(String[] args) throws Exception {
        DataInputStream in = new DataInputStream(new BufferedInputStream(System.in));
        DataOutputStream out = new DataOutputStream(new BufferedOutputStream(new FileOutputStream(FileDescriptor.out)));
        Path dir = Files.createTempDirectory(Path.of(args[0]), "logs");
        UnifiedLog log = null;
        long cleaned = 0;
        for (int logs = 0, step; (step = in.read()) >= 0; ) {
            switch (step) {
                case 'L' -> {
                    if (log != null)
                        log.delete();
                    log = open(dir.resolve("log" + ++logs + "-0").toFile(), in.readLong());
                    cleaned = 0;
                }
                case 'A' -> {
                    byte[] batches = new byte[in.readInt()];
                    in.readFully(batches);
                    log.appendAsFollower(MemoryRecords.readableRecords(ByteBuffer.wrap(batches)), 0);
                    log.updateHighWatermark(log.logEndOffset());
                }
                case 'R' -> log.roll();
                case 'C' -> {
                    long now = in.readLong();
                    Cleaner cleaner = new Cleaner(0, new SkimpyOffsetMap(in.readInt()), 1 << 20, 64 << 20, 0.9,
                        new Throttler(Double.MAX_VALUE, 300, "cleaner-io", "bytes", Time.SYSTEM), Time.SYSTEM, partition -> { });
                    long end = Math.min(log.activeSegment().baseOffset(), log.lastStableOffset());
                    Map.Entry<Long, CleanerStats> result = cleaner.doClean(new LogToClean(log, cleaned, Math.max(cleaned, end), false), now);
                    cleaned = result.getKey();
                    out.writeLong(cleaned);
                    out.writeLong(result.getValue().invalidMessagesRead());
                    write(log.logSegments(), out);
                    out.flush();
                }
                default -> throw new IllegalArgumentException("step " + step);
            }
        }
        System.exit(0);
    }

    private static UnifiedLog open(File dir, long deleteRetention) throws Exception {
        Files.createDirectory(dir.toPath());
        Properties config = new Properties();
        config.put("cleanup.policy", "compact");
        config.put("delete.retention.ms", Long.toString(deleteRetention));
        config.put("max.message.bytes", Integer.toString(64 << 20));
        return UnifiedLog.create(dir, new LogConfig(config), 0, 0, AT_ONCE, new BrokerTopicStats(), Time.SYSTEM, Integer.MAX_VALUE,
            new ProducerStateManagerConfig(Integer.MAX_VALUE, false), Integer.MAX_VALUE, new LogDirFailureChannel(1), true, Optional.empty());
    }

    private static void write(List<LogSegment> segments, DataOutputStream out) throws Exception {
        int size = 0;
        for (LogSegment segment : segments)
            size += segment.log().sizeInBytes();
        out.writeInt(size);
        for (LogSegment segment : segments) {
            ByteBuffer bytes = ByteBuffer.allocate(segment.log().sizeInBytes());
            segment.log().readInto(bytes, 0);
            out.write(bytes.array(), 0, bytes.limit());
        }
    }

    /** What a log puts off (deleting files of segments that were cleaned) is done at once, what it repeats never. */
    private static final class AtOnce implements Scheduler {
        private final ScheduledExecutorService never = Executors.newSingleThreadScheduledExecutor();

        @Override
        public void startup() { }

        @Override
        public void shutdown() { }

        @Override
        public ScheduledFuture<?> schedule(String name, Runnable task, long delayMs, long periodMs) {
            if (periodMs <= 0)
                task.run();
            return never.schedule(() -> { }, 1, TimeUnit.DAYS);
        }

        @Override
        public void resizeThreadPool(int newSize) { }
    }

    private Main() { }
}
