package clients

import (
	"fmt"
	"strings"
	"testing"
)

// Every library writes with every codec it has. Each topic is read by another library, so that each reads every
// codec, and by franz-go, which also tells that the batches were kept as they were compressed.
func TestCodecs_WrittenByOneLibraryReadByAnother(t *testing.T) {
	roundTrips(t, today, today)
}

// What people run who do not upgrade, among themselves.
func TestCodecs_OldLibrariesAmongThemselves(t *testing.T) {
	roundTrips(t, old, old)
}

// written is what one library wrote with one codec.
type written struct {
	by    library
	codec string
	topic string
	acked []Record
}

func roundTrips(t *testing.T, writers, readers []library) {
	t.Parallel()
	agent := startAgent(t)
	forReader := make([][]written, len(readers))
	for i, writer := range writers {
		for j, w := range writeCodecs(t, agent.Addr, writer) {
			read, codecs := readAll(t, agent.Addr, w.topic)
			compare(t, w.acked, read)
			for k := range codecs {
				if codecs[k] != w.codec {
					t.Fatalf("%s: offset %d of partition %d is stored as %s", w.topic, read[k].Offset, read[k].Partition, codecs[k])
				}
			}
			reader := (i + 1 + j%(len(readers)-1)) % len(readers)
			forReader[reader] = append(forReader[reader], w)
		}
	}
	for i, reader := range readers {
		probe := reader.start(t)
		for _, w := range forReader[i] {
			if !reader.knows(w.codec) {
				continue
			}
			t.Logf("%s reads what %s wrote with %s", reader.name, w.by.name, w.codec)
			compare(t, w.acked, probe.Consume(Job{Bootstrap: agent.Addr, Topic: w.topic, Expect: len(w.acked)}))
		}
	}
}

// writeCodecs lets a library write a topic with each of its codecs.
func writeCodecs(t testing.TB, addr string, writer library) []written {
	t.Helper()
	probe := writer.start(t)
	var topics []written
	for _, codec := range writer.codecs {
		topic := strings.NewReplacer(" ", "-").Replace(fmt.Sprintf("%s-%s", writer.name, codec))
		records := messages(120, 3)
		if writer.nulls {
			records[5].Headers = []Header{{"twice", []byte("a")}, {"twice", []byte("b")}, {"null", nil}, {"empty", []byte{}}}
		}
		acked := probe.Produce(Job{Bootstrap: addr, Topic: topic, Config: writer.codec(codec), Records: records})
		topics = append(topics, written{writer, codec, topic, acked})
	}
	return topics
}

func (l library) knows(codec string) bool {
	for _, c := range l.codecs {
		if c == codec {
			return true
		}
	}
	return false
}
