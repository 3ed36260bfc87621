package probe;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsSpec;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;

/** The admin client: one op, one call, what it answers printed as JSON. */
final class Admins {
    static void run(Job job) throws Exception {
        try (var admin = Admin.create(job.properties())) {
            Probe.emit(answer(admin, job));
        } catch (ExecutionException failed) {
            throw failed.getCause() instanceof Exception cause ? cause : failed;
        }
    }

    private static Object answer(Admin admin, Job job) throws Exception {
        return switch (job.op) {
            case "describeCluster" -> cluster(admin);
            case "describeFeatures" -> features(admin);
            case "listTopics" -> new ArrayList<>(admin.listTopics().names().get());
            case "createTopic" -> create(admin, job);
            case "describeTopic" -> admin.describeTopics(List.of(job.topic)).allTopicNames().get().get(job.topic)
                    .partitions().stream().map(p -> p.partition()).toList();
            case "createPartitions" -> admin.createPartitions(
                    Map.of(job.topic, NewPartitions.increaseTo(job.args.get("partitions").getAsInt()))).all().get();
            case "deleteTopic" -> admin.deleteTopics(List.of(job.topic)).all().get();
            case "describeConfigs" -> configs(admin, topic(job));
            case "describeBroker" -> configs(admin, new ConfigResource(ConfigResource.Type.BROKER, job.args.get("node").getAsString()));
            case "alterConfigs" -> alter(admin, job);
            case "listOffsets" -> offsets(admin, job);
            case "deleteRecords" -> admin.deleteRecords(
                    Map.of(new TopicPartition(job.topic, 0), RecordsToDelete.beforeOffset(1))).all().get();
            default -> groups(admin, job);
        };
    }

    private static Object groups(Admin admin, Job job) throws Exception {
        return switch (job.op) {
            case "listGroups" -> admin.listGroups().all().get().stream().map(g -> g.groupId()).toList();
            case "describeGroup" -> describe(admin, job);
            case "groupOffsets" -> positions(admin.listConsumerGroupOffsets(Map.of(job.group, new ListConsumerGroupOffsetsSpec()))
                    .partitionsToOffsetAndMetadata(job.group).get());
            case "alterGroupOffsets" -> admin.alterConsumerGroupOffsets(job.group, Map.of(
                    new TopicPartition(job.topic, 0), new OffsetAndMetadata(job.args.get("offset").getAsLong()))).all().get();
            case "deleteGroupOffsets" -> admin.deleteConsumerGroupOffsets(
                    job.group, Set.of(new TopicPartition(job.topic, 0))).all().get();
            case "deleteGroup" -> admin.deleteConsumerGroups(List.of(job.group)).all().get();
            default -> throw new IllegalArgumentException("unknown op " + job.op);
        };
    }

    private static Object cluster(Admin admin) throws Exception {
        var cluster = admin.describeCluster();
        return Map.of(
                "id", cluster.clusterId().get(),
                "controller", cluster.controller().get().id(),
                "nodes", cluster.nodes().get().stream().map(n -> n.id() + "@" + n.host() + ":" + n.port()).toList());
    }

    private static Object features(Admin admin) throws Exception {
        var finalized = new TreeMap<String, Integer>();
        admin.describeFeatures().featureMetadata().get().finalizedFeatures()
                .forEach((name, range) -> finalized.put(name, (int) range.maxVersionLevel()));
        return finalized;
    }

    private static Object create(Admin admin, Job job) throws Exception {
        var settings = new HashMap<String, String>();
        if (job.args.has("configs")) {
            job.args.getAsJsonObject("configs").entrySet().forEach(e -> settings.put(e.getKey(), e.getValue().getAsString()));
        }
        Optional<Integer> partitions = job.args.has("partitions")
                ? Optional.of(job.args.get("partitions").getAsInt()) : Optional.empty();
        var topic = new NewTopic(job.topic, partitions, Optional.of((short) 3)).configs(settings);
        var result = admin.createTopics(List.of(topic));
        result.all().get();
        return Map.of(
                "partitions", result.numPartitions(job.topic).get(),
                "replicas", result.replicationFactor(job.topic).get(),
                "id", result.topicId(job.topic).get().toString());
    }

    private static ConfigResource topic(Job job) {
        return new ConfigResource(ConfigResource.Type.TOPIC, job.topic);
    }

    private static Object configs(Admin admin, ConfigResource resource) throws Exception {
        var values = new TreeMap<String, String>();
        for (ConfigEntry entry : admin.describeConfigs(List.of(resource)).all().get().get(resource).entries()) {
            values.put(entry.name(), entry.value());
        }
        return values;
    }

    /** Sets what has a value, takes back what is null. */
    private static Object alter(Admin admin, Job job) throws Exception {
        var changes = new ArrayList<AlterConfigOp>();
        job.args.getAsJsonObject("configs").entrySet().forEach(e -> {
            boolean set = !e.getValue().isJsonNull();
            var entry = new ConfigEntry(e.getKey(), set ? e.getValue().getAsString() : null);
            changes.add(new AlterConfigOp(entry, set ? AlterConfigOp.OpType.SET : AlterConfigOp.OpType.DELETE));
        });
        return admin.incrementalAlterConfigs(Map.of(topic(job), changes)).all().get();
    }

    private static Object offsets(Admin admin, Job job) throws Exception {
        var specs = new TreeMap<String, OffsetSpec>(Map.of(
                "earliest", OffsetSpec.earliest(),
                "latest", OffsetSpec.latest(),
                "max", OffsetSpec.maxTimestamp()));
        if (job.since != 0) {
            specs.put("since", OffsetSpec.forTimestamp(job.since));
        }
        var partition = new TopicPartition(job.topic, 0);
        var found = new TreeMap<String, long[]>();
        for (var spec : specs.entrySet()) {
            var result = admin.listOffsets(Map.of(partition, spec.getValue())).partitionResult(partition).get();
            found.put(spec.getKey(), new long[] {result.offset(), result.timestamp()});
        }
        return found;
    }

    private static Object describe(Admin admin, Job job) throws Exception {
        var group = admin.describeConsumerGroups(List.of(job.group)).all().get().get(job.group);
        return Map.of(
                "state", group.groupState().toString(),
                "assignor", group.partitionAssignor(),
                "coordinator", group.coordinator().id(),
                "members", group.members().stream().map(m -> Map.of(
                        "client", m.clientId(),
                        "partitions", m.assignment().topicPartitions().stream().map(TopicPartition::toString).sorted().toList()))
                        .toList());
    }

    private static Object positions(Map<TopicPartition, OffsetAndMetadata> offsets) {
        var positions = new TreeMap<String, Long>();
        offsets.forEach((partition, offset) -> positions.put(partition.toString(), offset == null ? null : offset.offset()));
        return positions;
    }

    private Admins() {}
}
