package topic

import "math"

const (
	hourMs = 3_600_000
	dayMs  = 24 * hourMs
)

const (
	noFiles   = "there are no log files, records live in segments of many partitions."
	noRolling = "retention drops records as they were written or compacted together, see docs/protocol.md."
	noFollows = "the bucket replicates, there are no followers."
	noTiers   = "all data is in the bucket from the start."
	asSent    = "batches are kept as the producer sent them."
)

// Settings has every setting that a topic of Apache Kafka 4.x can have, with Kafka's defaults.
var Settings = newTable(
	list("cleanup.policy", "delete", "What happens to old records: delete drops them by age and size, compact "+
		"keeps the newest of each key; both may be given.", "compact", "delete").from("log.cleanup.policy"),
	long("retention.ms", 7*dayMs, -1, "How long records are kept at least under the delete policy; -1 is for ever.").
		from("log.retention.ms").fromUnit("log.retention.minutes", 60_000).fromUnit("log.retention.hours", hourMs),
	long("retention.bytes", -1, math.MinInt64, "How many bytes of a partition are kept under the delete policy; "+
		"negative is without limit.").from("log.retention.bytes"),
	integer("max.message.bytes", 1_048_588, 0, "The largest record batch that a producer may send, as it is sent.").
		from("message.max.bytes"),
	text("message.timestamp.type", "CreateTime", "Whose clock a record's timestamp tells: the producer's, or that "+
		"of the agent that appended it.", "CreateTime", "LogAppendTime").from("log.message.timestamp.type"),
	long("message.timestamp.before.max.ms", math.MaxInt64, 0, "How far a producer's timestamp may lie behind the "+
		"agent's clock.").from("log.message.timestamp.before.max.ms"),
	long("message.timestamp.after.max.ms", hourMs, 0, "How far a producer's timestamp may lie ahead of the agent's "+
		"clock.").from("log.message.timestamp.after.max.ms"),
	integer("min.insync.replicas", 1, 1, "How many replicas must have a record before acks=all is answered.").
		from("min.insync.replicas").without("acks=all is answered when the bucket has the record."),

	text("compression.type", "producer", "The codec of stored batches.", "uncompressed", "zstd", "lz4", "snappy",
		"gzip", "producer").from("compression.type").without(asSent),
	Setting{Name: "compression.gzip.level", Type: Int, Default: "-1", Min: -1, Max: 9, Doc: "The level of gzip."}.
		from("compression.gzip.level").without(asSent),
	integer("compression.lz4.level", 9, 1, "The level of lz4.").max(17).from("compression.lz4.level").without(asSent),
	integer("compression.zstd.level", 3, -131_072, "The level of zstd.").max(22).from("compression.zstd.level").
		without(asSent),

	long("delete.retention.ms", dayMs, 0, "How long the tombstones of a compacted topic are kept.").
		from("log.cleaner.delete.retention.ms"),
	long("min.compaction.lag.ms", 0, 0, "How long a record is safe from key compaction.").
		from("log.cleaner.min.compaction.lag.ms"),
	long("max.compaction.lag.ms", math.MaxInt64, 1, "After how long a record is compacted at the latest.").
		from("log.cleaner.max.compaction.lag.ms"),
	Setting{Name: "min.cleanable.dirty.ratio", Type: Double, Default: "0.5", Min: 0, Max: 1,
		Doc: "What part of a log must be uncompacted before it is compacted."}.
		from("log.cleaner.min.cleanable.ratio"),

	integer("segment.bytes", 1<<30, 1<<20, "The size of a log file.").from("log.segment.bytes").without(noRolling),
	long("segment.ms", 7*dayMs, 1, "After how long a log file is closed.").from("log.roll.ms").
		fromUnit("log.roll.hours", hourMs).without(noRolling),
	long("segment.jitter.ms", 0, 0, "By how much segment.ms may be cut at random.").from("log.roll.jitter.ms").
		fromUnit("log.roll.jitter.hours", hourMs).without(noFiles),
	integer("segment.index.bytes", 10<<20, 4, "The size of a log file's index.").from("log.index.size.max.bytes").
		without(noFiles),
	integer("index.interval.bytes", 4096, 0, "How many bytes lie between two entries of a log file's index.").
		from("log.index.interval.bytes").without(noFiles),
	long("file.delete.delay.ms", 60_000, 0, "How long a log file waits for its deletion.").
		from("log.segment.delete.delay.ms").without(noFiles),
	boolean("preallocate", false, "Whether log files are allocated at once.").from("log.preallocate").without(noFiles),
	long("flush.messages", math.MaxInt64, 1, "After how many records a log file is synced.").
		from("log.flush.interval.messages").without("see acks: what is acknowledged is durable."),
	long("flush.ms", math.MaxInt64, 0, "After how long a log file is synced.").
		from("log.flush.interval.ms", "log.flush.scheduler.interval.ms").
		without("see acks: what is acknowledged is durable."),

	boolean("unclean.leader.election.enable", false, "Whether a replica that lags may lead.").
		from("unclean.leader.election.enable").without(noFollows),
	list("leader.replication.throttled.replicas", "", "Replicas whose leader's side is throttled.").without(noFollows),
	list("follower.replication.throttled.replicas", "", "Replicas whose follower's side is throttled.").
		without(noFollows),

	boolean("remote.storage.enable", false, "Whether old log files go to remote storage.").without(noTiers),
	boolean("remote.log.copy.disable", false, "Whether remote storage takes nothing new.").without(noTiers),
	boolean("remote.log.delete.on.disable", false, "Whether remote data goes when remote storage is switched off.").
		without(noTiers),
	long("local.retention.ms", -2, -2, "How long records stay on local disks; -2 takes retention.ms.").
		from("log.local.retention.ms").without(noTiers),
	long("local.retention.bytes", -2, -2, "How many bytes stay on local disks; -2 takes retention.bytes.").
		from("log.local.retention.bytes").without(noTiers),
)
