package main

import "regexp"

// rule explains differences: where matches `scenario / step (key version) / field = kafka | odradek`, why is what
// docs/protocol.md says of it.
type rule struct {
	where *regexp.Regexp
	why   string
}

func because(why, where string) rule { return rule{regexp.MustCompile(where), why} }

var intended = []rule{
	because("what is not implemented is not advertised", `^ApiVersions: .*(ApiKeys|Features)`),
	because("transactions are not there yet", `^FindCoordinator / type 1`),
	because("transactions are not there yet", `^Produce: .*transactional`),
	because("each element of a request is answered, also one that is named again", `(twice|by id and by name|colliding with each other|known and unknown|a name again)`),
	because("each element of a request is answered, also one without partitions", `no partitions .*(len =|there)`),
	because("a resource that is named again is described once", `a resource named again`),
	because("any replication factor is accepted, and assignments to any brokers", `^CreateTopics: .*(replication factor 3|unknown broker)`),
	because("any replication factor is accepted, and assignments to any brokers", `^CreatePartitions / an assignment`),
	because("topic ids are given when a topic is made", `validate only.*TopicID`),
	because("settings that came after Kafka 4.0 are not there", `errors.deadletterqueue|max.decompressed|remote.copy.lag|internal.segment.bytes|Configs.len`),
	because("min.insync.replicas has no effect, and no default of the cluster", `min.insync.replicas`),
	because("lists and doubled settings are checked more strictly", `^CreateTopics: configs / (cleanup.policy compact,compact|retention.ms 1000 retention.ms 2000)`),
	because("settings without effect are checked for their type", `^CreateTopics: configs / (compression.gzip.level|leader.repl|follower.repl|remote.storage)`),
	because("a bad value is INVALID_CONFIG wherever it is set", `^IncrementalAlterConfigs: .*(cluster: |no name|unknown operation|unknown topic, bad)`),
	because("settings of the cluster change while agents run, and no value is null", `^(DescribeConfigs: brokers|IncrementalAlterConfigs: other)`),
	because("a batch that is not whole is CORRUPT_MESSAGE, one of another format UNSUPPORTED_FOR_MESSAGE_FORMAT; bodies are not unpacked",
		`^Produce: bad batches / (20 bytes|a byte|a header|a short|cut|codec|gzip|length|magic|records that|two batches)`),
	because("a refused batch tells no log start", `^Produce: .*LogStartOffset`),
	because("a duplicate tells no time", `^Produce: .*LogAppendTime`),
	because("a producer without an epoch is INVALID_RECORD", `^Produce: sequences / producer without an epoch`),
	because("bodies are not unpacked: a batch keeps the largest time it says", `^Produce: timestamps / (what is in|pt-before: )`),
	because("a topic's default stands under its own name", `ConfigSynonyms`),
	because("an answer ends with a whole batch", `^Fetch: sizes / .*part =`),
	because("a negative limit is none", `^Fetch: sizes / .*max bytes 0 batches -1`),
	because("a session without partitions is not kept", `^Fetch: sessions / session without partitions`),
	because("a topic is looked up before its time", `^ListOffsets / unknown topic, unknown time`),
	because("a negative epoch has no end", `^OffsetForLeaderEpoch / .* epoch -2 `),
	because("partitions are never cut back, so no fetched epoch diverges", `^Fetch: epochs / last fetched`),
	because("topic ids are known to all versions of Metadata that carry them", `^Metadata: topics by id`),
	because("operations on a topic that is not there are not told", `AuthorizedOperations = 3576 \| -2147483648`),
	because("a cursor stands for a place among names, of whatever topic", `^DescribeTopicPartitions / (cursor|bad names)`),
	because("an assignment is shown only while it holds", `MemberAssignment`),
	because("an empty group instance id is none", `empty group instance|a protocol without a name`),
}

// explain gives the index of the first rule for a difference, -1 for none.
func explain(where string, d difference) int {
	for i, r := range intended {
		if r.where.MatchString(where + " = " + d.peer + " | " + d.odradek) {
			return i
		}
	}
	return -1
}
