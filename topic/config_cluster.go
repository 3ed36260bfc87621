package topic

import (
	"fmt"
	"math"
	"strconv"
)

// ClusterSettings has the settings of the whole cluster that have Kafka names: those of a Kafka broker that mean
// something here or that tools look for, and the ones that give topics their defaults. Defaults are Kafka's but for
// num.partitions.
var ClusterSettings = newTable(append(topicDefaults(),
	boolean("auto.create.topics.enable", true, "Whether a topic that a client asks for and nobody created is created."),
	integer("num.partitions", 4, 1, "How many partitions a topic gets that does not say. Kafka has 1; here they "+
		"cost no object of their own."),
	integer("default.replication.factor", 1, 1, "The replication factor that a topic shows that does not say.").
		without(noFollows),
	boolean("delete.topic.enable", true, "Whether topics can be deleted."),

	integer("offsets.topic.num.partitions", 50, 1, "How many partitions "+ConsumerOffsets+" is created with."),
	integer("offsets.topic.replication.factor", 3, 1, "The replication factor that "+ConsumerOffsets+" shows.").
		without(noFollows),
	integer("offsets.retention.minutes", 7*24*60, 1, "How long the offsets of a group without members are kept."),
	long("offsets.retention.check.interval.ms", 600_000, 1, "How often groups without members are looked for."),
	integer("offset.metadata.max.bytes", 4096, 0, "The longest text that a client may store with an offset."),
	integer("transaction.state.log.num.partitions", 50, 1, "How many partitions "+TransactionState+" is created with."),
	integer("transaction.state.log.replication.factor", 3, 1, "The replication factor that "+TransactionState+
		" shows.").without(noFollows),
	integer("transaction.state.log.min.isr", 2, 1, "min.insync.replicas of "+TransactionState+".").without(noFollows),
	integer("transaction.max.timeout.ms", 900_000, 1, "The longest time-out that a transaction may ask for."),
	integer("transactional.id.expiration.ms", 7*dayMs, 1, "How long a transactional id without news is remembered."),
	integer("producer.id.expiration.ms", dayMs, 1, "How long a producer id without news is remembered."),

	integer("group.min.session.timeout.ms", 6_000, 1, "The shortest session time-out that a member may ask for."),
	integer("group.max.session.timeout.ms", 1_800_000, 1, "The longest session time-out that a member may ask for."),
	integer("group.initial.rebalance.delay.ms", 3_000, 0, "How long an empty group waits for more members before its "+
		"first rebalance."),
	integer("group.max.size", math.MaxInt32, 1, "How many members a group may have."),

	integer("max.connections", math.MaxInt32, 0, "How many connections an agent keeps."),
	integer("max.connections.per.ip", math.MaxInt32, 0, "How many connections an agent keeps from one address."),
	integer("max.connection.creation.rate", math.MaxInt32, 0, "How many connections an agent takes a second."),
	long("connections.max.idle.ms", 600_000, -1, "After how long a silent connection is closed; -1 is never."),
	integer("socket.request.max.bytes", 100<<20, 1, "The largest request that an agent reads."),
	integer("fetch.max.bytes", 55<<20, 1024, "The most bytes that one fetch is answered with, one batch aside."),
	integer("max.incremental.fetch.session.cache.slots", 1000, 0, "How many fetch sessions an agent keeps."),
	integer("max.request.partition.size.limit", 2000, 1, "How many partitions DescribeTopicPartitions answers at most."),

	long("log.retention.check.interval.ms", 300_000, 1, "How often old records are looked for."),
	boolean("log.cleaner.enable", true, "Whether compacted topics are compacted.").without("key compaction is always on."),
	boolean("auto.leader.rebalance.enable", true, "Whether partitions go back to their preferred leader.").
		without("placement follows the agents that live."),
	readOnly(text("inter.broker.protocol.version", "4.0", "What tools read to learn which Kafka this resembles.")),
)...)

func readOnly(s Setting) Setting { s.ReadOnly = true; return s }

// topicDefaults gives the cluster's setting for each synonym of a topic's.
func topicDefaults() []Setting {
	var settings []Setting
	for _, s := range Settings.list {
		for _, syn := range s.Synonyms {
			d := s
			d.Name, d.Synonyms = syn.Name, nil
			d.Doc = fmt.Sprintf("The default of %s for topics that do not set it. %s", s.Name, s.Doc)
			if syn.Factor > 1 {
				d.Type, d.Min, d.Max = Int, -1, math.MaxInt32
				d.Default = inUnit(s.Default, syn.Factor)
				d.Doc = fmt.Sprintf("The same as %s in units of %d ms, used if that is not set.", s.Synonyms[0].Name, syn.Factor)
			}
			settings = append(settings, d)
		}
	}
	return settings
}

// inUnit tells a topic setting's value in a greater unit; negative ones, which mean no limit, stay.
func inUnit(value string, factor int64) string {
	v, err := strconv.ParseInt(value, 10, 64)
	if err != nil || v < 0 {
		return value
	}
	return strconv.FormatInt(min(v/factor, math.MaxInt32), 10)
}

// fromUnit is the way back.
func fromUnit(value string, factor int64) string {
	v, err := strconv.ParseInt(value, 10, 32)
	if err != nil || factor == 1 {
		return value
	}
	if v < 0 {
		return "-1"
	}
	return strconv.FormatInt(v*factor, 10)
}
