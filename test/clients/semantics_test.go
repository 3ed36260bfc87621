package clients

import (
	"bytes"
	"fmt"
	"testing"
	"time"
)

// In a topic with log-append time the agent's clock decides, and acks and records tell the same.
func TestLogAppendTime_IsWhatAcksAndRecordsSay(t *testing.T) {
	t.Parallel()
	agent := startAgent(t)
	appendTime := "LogAppendTime"
	for i, writer := range []library{java, kafkaPython, confluent} {
		for _, codec := range []string{"none", "zstd"} {
			topic := fmt.Sprintf("stamped-%d-%s", i, codec)
			createTopic(t, agent.Addr, topic, 2, map[string]*string{"message.timestamp.type": &appendTime})
			before := time.Now().UnixMilli()
			probe := writer.start(t)
			acked := probe.Produce(Job{Bootstrap: agent.Addr, Topic: topic, Config: writer.codec(codec), Records: messages(40, 2)})
			after := time.Now().UnixMilli()
			for _, r := range acked {
				if r.Timestamp < before || r.Timestamp > after {
					t.Fatalf("%s, %s: record %d was stamped %d, sent between %d and %d", writer.name, codec, r.ID, r.Timestamp, before, after)
				}
			}
			read, _ := readAll(t, agent.Addr, topic)
			compare(t, acked, read)
			compare(t, acked, probe.Consume(Job{Bootstrap: agent.Addr, Topic: topic, Expect: len(acked)}))
		}
	}
}

// Every library finds the first record of a time on in each partition.
func TestTime_EveryLibrarySeeksByTimestamp(t *testing.T) {
	t.Parallel()
	agent := startAgent(t)
	var acked []Record
	records := messages(120, 3)
	for i := 0; i < len(records); i += 40 { // several batches and slots
		acked = append(acked, produceFranz(t, agent.Addr, "times", records[i:i+40])...)
	}
	since := acked[70].Timestamp
	for _, reader := range append(append([]library(nil), today...), old...) {
		probe := reader.start(t)
		read := probe.Consume(Job{Bootstrap: agent.Addr, Topic: "times", Expect: 50, Since: since})
		t.Logf("%s", reader.name)
		compare(t, acked[70:], read)
	}
}

// Idempotent producers of all libraries, five requests in flight where they can.
func TestIdempotence_EveryLibrary(t *testing.T) {
	t.Parallel()
	agent := startAgent(t)
	for i, writer := range []struct {
		library
		config map[string]any
	}{
		{java, settings("enable.idempotence", "true", "acks", "all", "max.in.flight.requests.per.connection", "5", "linger.ms", "0", "batch.size", "200")},
		{confluent, settings("enable.idempotence", true, "linger.ms", 0, "batch.num.messages", 5)},
		{kafkaPython, settings("enable_idempotence", true, "batch_size", 200)},
		{sarama, settings("idempotent", "true", "version", "2.1.0")},
		{kafkaJS, settings("idempotent", true)},
		{oldJava, settings("enable.idempotence", "true", "acks", "all", "linger.ms", "0", "batch.size", "200")},
		{oldConfluent, settings("enable.idempotence", true, "linger.ms", 0, "batch.num.messages", 5)},
	} {
		topic := fmt.Sprintf("once-%d", i)
		acked := writer.start(t).Produce(Job{Bootstrap: agent.Addr, Topic: topic, Config: writer.config, Records: messages(100, 2)})
		read, _ := readAll(t, agent.Addr, topic)
		compare(t, acked, read)
	}
}

// A record above max.message.bytes is refused under the name that the library has for it; others go on.
func TestTooLarge_IsRefusedByName(t *testing.T) {
	t.Parallel()
	agent := startAgent(t)
	limit := "20000"
	createTopic(t, agent.Addr, "small", 1, map[string]*string{"max.message.bytes": &limit})
	var kept []Record
	for _, writer := range []struct {
		library
		want string
	}{
		{java, "RecordTooLargeException"},
		{confluent, "MSG_SIZE_TOO_LARGE"},
		{kafkaPython, "MessageSizeTooLargeError"},
		{oldJava, "RecordTooLargeException"},
	} {
		records := messages(3, 1)
		records[1].Value = bytes.Repeat([]byte("x"), 30000)
		probe := writer.start(t)
		for i := range records { // one by one, so that they do not share a batch
			acked, err := probe.TryProduce(Job{Bootstrap: agent.Addr, Topic: "small", Config: writer.codec("none"), Records: records[i : i+1]})
			kept = append(kept, acked...)
			if refused := i == 1; refused != (err != nil) || refused && !contains(err, writer.want) {
				t.Fatalf("%s: record %d: got %v, want %s for the second only", writer.name, i, err, writer.want)
			}
		}
	}
	for i := range kept {
		kept[i].ID = i
	}
	read, _ := readAll(t, agent.Addr, "small")
	compare(t, kept, read)
}

// franz-go writes with every codec, Java and librdkafka read it.
func TestCodecs_FranzReadByJavaAndLibrdkafka(t *testing.T) {
	t.Parallel()
	agent := startAgent(t)
	readers := []*Probe{java.start(t), confluent.start(t)}
	for _, codec := range franzCodecs() {
		topic := "franz-" + codec.name
		acked := produceFranz(t, agent.Addr, topic, messages(120, 3), codec.option)
		for _, reader := range readers {
			compare(t, acked, reader.Consume(Job{Bootstrap: agent.Addr, Topic: topic, Expect: len(acked)}))
		}
	}
}
