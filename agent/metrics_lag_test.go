package agent

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/odradek/odradek/agent/cluster"
	"github.com/odradek/odradek/agent/group"
	"github.com/odradek/odradek/agent/ingest"
	"github.com/odradek/odradek/agent/settings"
	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/topic"
)

// shown collects what lagMetrics shows, a line each, without what is the same for all.
type shown []string

func (s *shown) show(d *prometheus.Desc, value float64, labels ...string) {
	_, name, _ := strings.Cut(d.String(), `fqName: "`)
	name, _, _ = strings.Cut(name, `"`)
	*s = append(*s, fmt.Sprintf("%s %s %v", name, strings.Join(labels, ","), value))
}

func (s *shown) of(prefix string) []string {
	var some []string
	for _, line := range *s {
		if strings.HasPrefix(line, prefix) {
			some = append(some, line)
		}
	}
	slices.Sort(some)
	return some
}

// A group is as far behind as the records that it has not committed: in offsets of all partitions, in seconds of the slowest.
// What does not exist, and what is committed to its end, is no lag.
func TestLagMetrics_OffsetsAndSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := alone(t)
		id, err := l.cluster.CreateTopic(t.Context(), cluster.NewTopic{Name: "orders", Partitions: 3})
		if err != nil {
			t.Fatal(err)
		}
		for p, ages := range [][]time.Duration{{time.Hour, time.Minute}, {10 * time.Minute}, {0}} {
			for _, age := range ages {
				d := recordbatch.Draft{Records: []recordbatch.Record{{Timestamp: time.Now().Add(-age).UnixMilli(), Value: []byte("v")}}}
				if age == 0 {
					d.Records[0].Timestamp = -1 // without a time
				}
				pending := l.ingest.Append(t.Context(), ingest.AcksAll, []ingest.PartitionBatch{
					{Partition: topic.Partition{Topic: id, Index: int32(p)}, Records: recordbatch.Build(d)},
				})[0]
				if _, err := pending.Wait(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		m := &lagMetrics{l.session}
		behind := func(p int32, from topic.Offset) string {
			offsets, seconds := m.behind(topic.Partition{Topic: id, Index: p}, from)
			return fmt.Sprintf("%d offsets, %.0f s", offsets, seconds)
		}
		for _, c := range []struct {
			partition int32
			from      topic.Offset
			want      string
		}{{0, 0, "2 offsets, 3600 s"}, {0, 1, "1 offsets, 60 s"}, {0, 2, "0 offsets, 0 s"}, {0, 9, "0 offsets, 0 s"}, {1, 0, "1 offsets, 600 s"}, {2, 0, "1 offsets, 0 s"}} {
			got := behind(c.partition, c.from)
			if !near(got, c.want) {
				t.Errorf("partition %d from %d: %s, want %s", c.partition, c.from, got, c.want)
			}
		}

		l.agent.settings.Detail = settings.DetailTopic
		at := func(name string, partition int32, offset topic.Offset) group.CommittedOffset {
			return group.CommittedOffset{TopicPartition: group.TopicPartition{Topic: name, Partition: partition}, Offset: offset}
		}
		committed := []group.CommittedOffset{at("orders", 0, 1), at("orders", 1, 0), at("orders", 2, -1), at("orders", 7, 0), at("gone", 0, 0)}
		var s shown
		m.lag(l.cluster.State(), "readers", committed, s.show)
		if got := s.of("odradek_group_lag_offsets"); !slices.Equal(got, []string{"odradek_group_lag_offsets readers,orders 2"}) {
			t.Errorf("lag is %q", got)
		}
		if got := s.of("odradek_group_lag_seconds"); len(got) != 1 || !near(got[0], "odradek_group_lag_seconds readers,orders 600") {
			t.Errorf("seconds are %q", got)
		}
		if got := s.of("kminion_kafka_consumer_group_topic_offset_sum"); !slices.Equal(got, []string{"kminion_kafka_consumer_group_topic_offset_sum readers,orders 1"}) {
			t.Errorf("the sum is %q", got)
		}
		if got := s.of("odradek_group_partition_lag_seconds"); got != nil {
			t.Errorf("single partitions are told of: %q", got)
		}
		l.agent.settings.Detail = settings.DetailPartition
		s = nil
		m.lag(l.cluster.State(), "readers", committed, s.show)
		want := []string{
			"kminion_kafka_consumer_group_topic_partition_lag readers,0,orders 1", "kminion_kafka_consumer_group_topic_partition_lag readers,1,orders 1",
		}
		if got := s.of("kminion_kafka_consumer_group_topic_partition_lag"); !slices.Equal(got, want) {
			t.Errorf("partitions are %q", got)
		}
		s = nil
		m.topics(l.cluster.State(), s.show)
		if got := s.of("kminion_kafka_topic_high_water_mark_sum orders"); !slices.Equal(got, []string{"kminion_kafka_topic_high_water_mark_sum orders 4"}) {
			t.Errorf("the high watermarks are %q", got)
		}
		if got := s.of("kminion_kafka_topic_partition_high_water_mark"); len(got) < 3 || got[0] != "kminion_kafka_topic_partition_high_water_mark 0,orders 2" {
			t.Errorf("the high watermarks of partitions are %q", got)
		}
	})
}

// near says whether two texts are equal but for a second or two in the number that they end with: acks take their time.
func near(got, want string) bool {
	g, gs := lastNumber(got)
	w, ws := lastNumber(want)
	return gs == ws && g >= w && g < w+5
}

// lastNumber cuts the last number out of a text.
func lastNumber(s string) (n float64, rest string) {
	fields := strings.Fields(s)
	for i := len(fields) - 1; i >= 0; i-- {
		if _, err := fmt.Sscan(fields[i], &n); err == nil {
			fields[i] = ""
			break
		}
	}
	return n, strings.Join(fields, " ")
}
