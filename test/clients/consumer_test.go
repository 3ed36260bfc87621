package clients

import (
	"bytes"
	"testing"
)

// A consumer at an offset that is not there is told so, and goes on as it was set up to.
func TestConsumer_OffsetOutOfRange(t *testing.T) {
	t.Parallel()
	agent := startAgent(t)
	acked := produceFranz(t, agent.Addr, "short", messages(10, 1))
	probe := java.start(t)
	job := Job{Op: "outOfRange", Bootstrap: agent.Addr, Topic: "short", Since: 1000}

	job.Config = settings("auto.offset.reset", "none", "group.id", "strict")
	job.Expect = 1
	results, err := probe.Do(job)
	if !contains(err, "OffsetOutOfRangeException") {
		t.Fatalf("without a reset: got %v, want OffsetOutOfRangeException", err)
	}
	var ends struct{ Beginning, End int64 }
	probe.decode(results[0], &ends)
	if ends.Beginning != 0 || ends.End != 10 {
		t.Fatalf("the topic is [%d, %d), want [0, 10)", ends.Beginning, ends.End)
	}

	job.Config, job.Expect = settings("auto.offset.reset", "earliest", "group.id", "lenient"), len(acked)
	results, err = probe.Do(job)
	if err != nil {
		t.Fatal(err)
	}
	var read []Record
	for _, text := range results[1:] {
		var r Record
		probe.decode(text, &r)
		read = append(read, r)
	}
	compare(t, acked, read)
}

// Batches larger than what a consumer asks for come whole, one by one (KIP-74); read_committed reads all that counts.
func TestConsumer_BatchesLargerThanItAsksFor(t *testing.T) {
	t.Parallel()
	agent := startAgent(t)
	records := messages(12, 3)
	for i := range records {
		records[i].Value = bytes.Repeat([]byte{byte('a' + i)}, 300_000)
	}
	acked := java.start(t).Produce(Job{Bootstrap: agent.Addr, Topic: "large", Records: records})
	for _, reader := range []struct {
		library
		config map[string]any
	}{
		{java, settings("max.partition.fetch.bytes", "1000", "fetch.max.bytes", "1000", "isolation.level", "read_committed")},
		{oldJava, settings("max.partition.fetch.bytes", "1000", "fetch.max.bytes", "1000")},
		{confluent, settings("max.partition.fetch.bytes", 1000, "fetch.max.bytes", 1000, "message.max.bytes", 1000, "isolation.level", "read_committed")},
		{kafkaPython, settings("max_partition_fetch_bytes", 1000, "fetch_max_bytes", 1000)},
	} {
		t.Log(reader.name)
		read := reader.start(t).Consume(Job{Bootstrap: agent.Addr, Topic: "large", Config: reader.config, Expect: len(acked)})
		compare(t, acked, read)
	}
}

// The group protocol of KIP-848 is not there: who asks for it is told so at once.
func TestConsumer_NewGroupProtocolIsRefusedByName(t *testing.T) {
	t.Parallel()
	agent := startAgent(t)
	produceFranz(t, agent.Addr, "work", messages(4, 4))
	probe := java.start(t)
	_, err := probe.Do(Job{Op: "group", Bootstrap: agent.Addr, Topic: "work", Group: "new", Config: settings("group.protocol", "consumer")})
	if !contains(err, "UnsupportedVersionException") {
		t.Fatalf("got %v, want UnsupportedVersionException", err)
	}
}
