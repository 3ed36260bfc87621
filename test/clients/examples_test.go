package clients

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/odradek/odradek/test/harness"
)

const (
	javaRun = "java -cp 'target/classes:target/lib/*' examples."
	python  = ".venv/bin/python "
)

// example tests use an agent as `make run` starts it; nobody creates a topic.
func exampleAgent(t *testing.T, p part) *harness.Agent {
	t.Helper()
	t.Parallel()
	need(t, p)
	return harness.Start(t, harness.Options{})
}

func TestExamples_JavaProducerAndConsumers(t *testing.T) {
	agent := exampleAgent(t, javaPart)
	member := run(t, agent.Addr, "java", javaRun+"GroupConsumer")
	assigned := run(t, agent.Addr, "java", javaRun+"AssignConsumer")

	sent := run(t, agent.Addr, "java", javaRun+"OffsetProducer 10").rest("sent")
	sent = append(sent, start(t, agent.Addr, "java", javaRun+"OffsetProducer 50").rest("sent")...)
	if len(sent) != 60 {
		t.Fatalf("%d of 60 records were acked", len(sent))
	}
	same(t, sent, member.take(60, "read"), "timestamp", "key", "value")

	var firstTwo []line
	for _, l := range sent {
		if p := l.fields["partition"]; p == "0" || p == "1" {
			firstTwo = append(firstTwo, l)
		}
	}
	same(t, firstTwo, assigned.take(len(firstTwo), "read"), "timestamp", "key", "value")
	sameLog(t, agent.Addr, "test-topic", sent)

	// Automatic commits come every second, without a group being joined.
	agent.Wait(patience, "the automatic commit of partitions 0 and 1", func() bool {
		return committed(t, agent.Addr, "test-assigned", "test-topic") == int64(len(firstTwo))
	})
	if more := member.interrupt("read"); len(more) != 0 {
		t.Fatalf("read twice: %v", more)
	}
	if got := committed(t, agent.Addr, "test-group", "test-topic"); got != 60 {
		t.Fatalf("the group has committed %d of 60 records", got)
	}
	if more := assigned.interrupt("read"); len(more) != 0 {
		t.Fatalf("read twice: %v", more)
	}
}

func TestExamples_JavaServicesExchangeEvents(t *testing.T) {
	agent := exampleAgent(t, javaPart)
	payments := run(t, agent.Addr, "java", javaRun+"PaymentService")
	orders := run(t, agent.Addr, "java", javaRun+"OrderService 5")

	said := orders.rest("")
	var placed, paid []line
	for _, l := range said {
		switch l.verb {
		case "placed":
			placed = append(placed, l)
		case "paid":
			paid = append(paid, l)
		}
	}
	if len(placed) != 5 || len(paid) != 5 {
		t.Fatalf("%d orders placed, %d paid, want 5 and 5", len(placed), len(paid))
	}
	charged := payments.take(5, "charged")
	same(t, charged, paid, "order")
	records, _ := readAll(t, agent.Addr, "event_topic")
	if len(records) != 10 {
		t.Fatalf("event_topic has %d events, want 10", len(records))
	}
	for _, r := range records {
		kind, want := string(r.Headers[0].Value), placed
		if kind == "PaymentTaken" {
			want = charged
		}
		if !slices.ContainsFunc(want, func(l line) bool { return at(l, r) && l.fields["order"] == string(r.Key) }) {
			t.Fatalf("%s of order %s at offset %d of partition %d was not acked so", kind, r.Key, r.Offset, r.Partition)
		}
	}
	payments.interrupt("charged")
}

func TestExamples_PythonLogShipperAndLevelCounter(t *testing.T) {
	for _, variant := range []string{"", "_confluent"} {
		t.Run("log_shipper"+variant, func(t *testing.T) {
			agent := exampleAgent(t, pythonPart)
			counter := run(t, agent.Addr, "python", python+"level_counter"+variant+".py")
			shipper := run(t, agent.Addr, "python", python+"log_shipper"+variant+".py")
			first := shipper.take(2, "shipped")
			first = append(first, shipper.interrupt("shipped")...)
			fast := start(t, agent.Addr, "python", python+"log_shipper"+variant+".py --rate 20 --count 30")
			shipped := append(first, fast.rest("shipped")...)
			if want := len(first) + 30; len(shipped) != want {
				t.Fatalf("%d of %d lines were acked", len(shipped), want)
			}

			read := counter.take(len(shipped), "read")
			same(t, shipped, read, "timestamp", "line")
			same(t, shipped, logLines(t, agent.Addr, "log_topic", "line"), "timestamp", "line")
			counts := map[string]int{}
			for _, l := range shipped {
				var level string
				fmt.Sscan(l.fields["line"], &level)
				counts[level]++
			}
			for level, count := range counts {
				if want := fmt.Sprintf("'%s': %d", level, count); !contains(fmt.Errorf("%s", read[len(read)-1].fields["levels"]), want) {
					t.Fatalf("counted %s, want %s", read[len(read)-1].fields["levels"], want)
				}
			}
			counter.interrupt("read")
			if got := committed(t, agent.Addr, "level-counter", "log_topic"); got != int64(len(shipped)) {
				t.Fatalf("the group has committed %d of %d lines", got, len(shipped))
			}
		})
	}
}

func TestExamples_SaramaFeedAndReader(t *testing.T) {
	agent := exampleAgent(t, goPart)
	reader := run(t, agent.Addr, "go", "(cd analysis-reader && go run .)")
	sent := run(t, agent.Addr, "go", "(cd analysis-producer && go run . 10)").rest("sent")
	sent = append(sent, run(t, agent.Addr, "go", "(cd analysis-producer-shopify && go run . 10)").rest("sent")...)
	if len(sent) != 20 {
		t.Fatalf("%d of 20 records were acked", len(sent))
	}
	read := reader.take(20, "read")
	same(t, sent, read, "key", "value")
	sameLog(t, agent.Addr, "analysis_topic", sent)

	views, millis := map[string]int{}, map[string]int{}
	for _, l := range sent {
		var view struct{ Millis int }
		if err := json.Unmarshal([]byte(l.fields["value"]), &view); err != nil {
			t.Fatal(err)
		}
		views[l.fields["key"]]++
		millis[l.fields["key"]] += view.Millis
	}
	for page, count := range views {
		want := line{fields: map[string]string{"views": strconv.Itoa(count), "mean": fmt.Sprintf("%.1fms", float64(millis[page])/float64(count))}}
		if !slices.ContainsFunc(read, func(l line) bool {
			return l.fields["key"] == page && l.fields["views"] == want.fields["views"] && l.fields["mean"] == want.fields["mean"]
		}) {
			t.Fatalf("%s: no aggregate %v in %v", page, want.fields, read)
		}
	}
	reader.interrupt("read")
}

func TestExamples_FranzGreets(t *testing.T) {
	agent := exampleAgent(t, goPart)
	greeting := run(t, agent.Addr, "go", "(cd franz && go run .)")
	same(t, greeting.take(1, "sent"), greeting.rest("read"), "value")
}

func TestExamples_NodePair(t *testing.T) {
	agent := exampleAgent(t, nodePart)
	consumer := run(t, agent.Addr, "node", "node consumer.js")
	sent := run(t, agent.Addr, "node", "node producer.js 10").rest("sent")
	if len(sent) != 10 {
		t.Fatalf("%d of 10 records were acked", len(sent))
	}
	read := consumer.take(10, "read")
	same(t, sent, read, "key", "value")
	for _, l := range read {
		if l.fields["unit"] != "celsius" {
			t.Fatalf("header unit is %q", l.fields["unit"])
		}
	}
	sameLog(t, agent.Addr, "sensor_topic", sent)
	consumer.interrupt("read")
}

// sameLog wants that a topic holds exactly the records of the lines.
func sameLog(t testing.TB, addr, topic string, sent []line) {
	t.Helper()
	same(t, sent, logLines(t, addr, topic, "value"), "key", "value")
}

// logLines tells a topic's records as the examples do.
func logLines(t testing.TB, addr, topic, value string) []line {
	t.Helper()
	records, _ := readAll(t, addr, topic)
	var lines []line
	for _, r := range records {
		lines = append(lines, line{"read", map[string]string{
			"partition": strconv.Itoa(int(r.Partition)), "offset": strconv.FormatInt(r.Offset, 10),
			"timestamp": strconv.FormatInt(r.Timestamp, 10), "key": string(r.Key), value: string(r.Value),
		}})
	}
	return lines
}

// at reports whether a line tells of a record's place.
func at(l line, r Record) bool {
	return l.fields["partition"] == strconv.Itoa(int(r.Partition)) && l.fields["offset"] == strconv.FormatInt(r.Offset, 10)
}

// committed is the sum of the offsets that a group has committed in a topic.
func committed(t testing.TB, addr, group, topic string) int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	offsets, err := kadm.NewClient(franz(t, addr)).FetchOffsets(ctx, group)
	if err != nil {
		t.Fatalf("offsets of group %s: %v", group, err)
	}
	sum := int64(0)
	offsets.Each(func(o kadm.OffsetResponse) {
		if o.Topic == topic {
			sum += o.At
		}
	})
	return sum
}
