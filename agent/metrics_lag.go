package agent

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/odradek/odradek/agent/group"
	"github.com/odradek/odradek/agent/settings"
	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/topic"
)

// scrapeGroups bounds how long a scrape waits for groups, which answer between two records of theirs.
const scrapeGroups = 2 * time.Second

// lagMetrics shows topics, groups and how far groups are behind. Each series comes from one agent: those of a partition from its
// owner, those of a group from its coordinator, those of a topic from whoever owns its partition 0, and those of the cluster
// from the agent with the lowest node id. All is read from memory at each scrape: no request to the bucket or Redis.
//
// The names that begin with kminion_ are those of KMinion, so that dashboards made for it load.
type lagMetrics struct{ s *session }

var _ prometheus.Collector = (*lagMetrics)(nil)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// What lagMetrics shows. Those behind descOffset are of single partitions and shown with --metrics-detail partition only.
var (
	descLag = describe("odradek_group_lag_offsets", "Offsets between what a group committed in a topic and the high watermarks, of all its partitions.",
		"group", "topic")
	descLagSeconds = describe("odradek_group_lag_seconds", "How long ago the oldest records came that a group has not committed in a topic, of its slowest "+
		"partition: now less the newest timestamp of the segment or run that they lie in, so a little less than it is.", "group", "topic")
	descMembers = describe("odradek_group_members", "Members of a group.", "group")

	descBroker     = describe("kminion_kafka_broker_info", "1; an agent, under KMinion's name.", "address", "broker_id", "is_controller", "port", "rack_id")
	descCluster    = describe("kminion_kafka_cluster_info", "1; the cluster, under KMinion's name.", "broker_count", "cluster_id", "cluster_version", "controller_id")
	descTopic      = describe("kminion_kafka_topic_info", "1; a topic, under KMinion's name.", "cleanup_policy", "partition_count", "replication_factor", "topic_name")
	descTopicLow   = describe("kminion_kafka_topic_low_water_mark_sum", "Sum of the log starts of a topic, under KMinion's name.", "topic_name")
	descTopicHigh  = describe("kminion_kafka_topic_high_water_mark_sum", "Sum of the high watermarks of a topic, under KMinion's name.", "topic_name")
	descGroup      = describe("kminion_kafka_consumer_group_info", "1 if the group is stable, else 0, under KMinion's name.", "coordinator_id", "group_id", "protocol", "protocol_type", "state")
	descGroupSize  = describe("kminion_kafka_consumer_group_members", "Members of a group, under KMinion's name.", "group_id")
	descGroupIdle  = describe("kminion_kafka_consumer_group_empty_members", "Members of a group without a partition, under KMinion's name.", "group_id")
	descGroupTopic = describe("kminion_kafka_consumer_group_topic_members", "Members of a group with partitions of a topic, under KMinion's name.", "group_id", "topic_name")
	descGroupParts = describe("kminion_kafka_consumer_group_topic_assigned_partitions", "Partitions of a topic that members of a group have, under KMinion's name.", "group_id", "topic_name")
	descGroupSum   = describe("kminion_kafka_consumer_group_topic_offset_sum", "Sum of what a group committed in a topic, under KMinion's name.", "group_id", "topic_name")
	descGroupLag   = describe("kminion_kafka_consumer_group_topic_lag", "As odradek_group_lag_offsets, under KMinion's name.", "group_id", "topic_name")

	descLow     = describe("kminion_kafka_topic_partition_low_water_mark", "Log start of a partition, under KMinion's name; with --metrics-detail partition.", "partition_id", "topic_name")
	descHigh    = describe("kminion_kafka_topic_partition_high_water_mark", "High watermark of a partition, under KMinion's name; with --metrics-detail partition.", "partition_id", "topic_name")
	descPartLag = describe("kminion_kafka_consumer_group_topic_partition_lag", "Offsets between what a group committed in a partition and its high watermark, under KMinion's name; "+
		"with --metrics-detail partition.", "group_id", "partition_id", "topic_name")
	descPartSeconds = describe("odradek_group_partition_lag_seconds", "odradek_group_lag_seconds of a partition; with --metrics-detail partition.", "group", "partition", "topic")
)

// Describe implements prometheus.Collector.
func (m *lagMetrics) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descLag, descLagSeconds, descMembers, descBroker, descCluster, descTopic, descTopicLow, descTopicHigh, descGroup, descGroupSize,
		descGroupIdle, descGroupTopic, descGroupParts, descGroupSum, descGroupLag, descLow, descHigh, descPartLag, descPartSeconds,
	} {
		to <- d
	}
}

// Kind says what kind of metric all of these are.
func (m *lagMetrics) Kind() string { return "gauge" }

// Collect implements prometheus.Collector.
func (m *lagMetrics) Collect(to chan<- prometheus.Metric) {
	if m.s == nil {
		return
	}
	show := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	state := m.s.cluster.State()
	m.cluster(state, show)
	m.topics(state, show)
	m.groups(state, show)
}

type shower func(d *prometheus.Desc, value float64, labels ...string)

// detailed says whether single partitions are told of.
func (m *lagMetrics) detailed() bool { return m.s.agent.settings.Detail == settings.DetailPartition }

func (m *lagMetrics) cluster(state *control.State, show shower) {
	open := state.OpenJournals()
	first := slices.MinFunc(append(open, &control.Journal{NodeID: 1<<31 - 1}), func(a, b *control.Journal) int { return int(a.NodeID) - int(b.NodeID) })
	if first.ID != m.s.journal {
		return
	}
	id := strconv.Itoa(int(first.NodeID))
	show(descCluster, 1, strconv.Itoa(len(open)), state.ClusterID(), "odradek "+Build, id)
	for _, j := range open {
		a := agentOf(j)
		show(descBroker, 1, a.Host, strconv.Itoa(int(a.NodeID)), strconv.FormatBool(j == first), strconv.Itoa(int(a.Port)), a.Zone)
	}
}

func (m *lagMetrics) topics(state *control.State, show shower) {
	told := 0
	for t := range state.Topics() {
		if told++; told > mostTopics && !m.detailed() {
			return
		}
		var low, high topic.Offset
		for i := range t.Partitions() {
			p := topic.Partition{Topic: t.ID, Index: i}
			start, end := m.s.fetch.Bounds(p)
			low, high = low+start, high+end
			if m.detailed() && t.Owner(i).Journal == m.s.journal {
				show(descLow, float64(start), strconv.Itoa(int(i)), t.Name)
				show(descHigh, float64(end), strconv.Itoa(int(i)), t.Name)
			}
		}
		if t.Owner(0).Journal == m.s.journal {
			policy := t.Config["cleanup.policy"]
			if policy == "" {
				policy = "delete"
			}
			show(descTopic, 1, policy, strconv.Itoa(int(t.Partitions())), "1", t.Name)
			show(descTopicLow, float64(low), t.Name)
			show(descTopicHigh, float64(high), t.Name)
		}
	}
}

func (m *lagMetrics) groups(state *control.State, show shower) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeGroups)
	defer cancel()
	listed, err := m.s.groups.Look(ctx)
	if err != nil && listed == nil {
		return // they are being loaded; the next scrape shows them
	}
	coordinator := ""
	if j, ok := state.Journal(m.s.journal); ok {
		coordinator = strconv.Itoa(int(j.NodeID))
	}
	for _, g := range listed {
		described := m.s.groups.Describe(ctx, group.DescribeRequest{Group: g.Group})
		fetched := m.s.groups.Fetch(ctx, group.FetchRequest{Group: g.Group, All: true})
		picture, err := described.Look(ctx)
		committed, ferr := fetched.Look(ctx)
		if err != nil || ferr != nil || picture.Err != nil || committed.Err != nil {
			continue // it went away meanwhile
		}
		stable := 0.0
		if picture.State == group.Stable {
			stable = 1
		}
		show(descGroup, stable, coordinator, g.Group, picture.Protocol, picture.ProtocolType, string(picture.State))
		show(descMembers, float64(len(picture.Members)), g.Group)
		show(descGroupSize, float64(len(picture.Members)), g.Group)
		m.members(g.Group, picture, show)
		m.lag(state, g.Group, committed.Offsets, show)
	}
}

// members shows which topics the members of a stable group read.
func (m *lagMetrics) members(name string, picture group.DescribeReply, show shower) {
	members, parts := make(map[string]int), make(map[string]int)
	idle := 0
	for _, p := range picture.Members {
		var a kmsg.ConsumerMemberAssignment
		if picture.ProtocolType != "consumer" || a.ReadFrom(p.Assignment) != nil || len(a.Topics) == 0 {
			idle++
			continue
		}
		for _, t := range a.Topics {
			members[t.Topic]++
			parts[t.Topic] += len(t.Partitions)
		}
	}
	show(descGroupIdle, float64(idle), name)
	for t, n := range members {
		show(descGroupTopic, float64(n), name, t)
		show(descGroupParts, float64(parts[t]), name, t)
	}
}

// lagging is how far a group is behind in a topic.
type lagging struct {
	offsets, committed topic.Offset
	seconds            float64
}

func (m *lagMetrics) lag(state *control.State, name string, committed []group.CommittedOffset, show shower) {
	sums := make(map[string]lagging)
	for _, c := range committed {
		t, ok := state.TopicByName(c.Topic)
		if !ok || c.Offset < 0 || c.Partition < 0 || c.Partition >= t.Partitions() {
			continue
		}
		offsets, seconds := m.behind(topic.Partition{Topic: t.ID, Index: c.Partition}, c.Offset)
		sum := sums[c.Topic]
		sums[c.Topic] = lagging{sum.offsets + offsets, sum.committed + c.Offset, max(sum.seconds, seconds)}
		if m.detailed() {
			show(descPartLag, float64(offsets), name, strconv.Itoa(int(c.Partition)), c.Topic)
			show(descPartSeconds, seconds, name, strconv.Itoa(int(c.Partition)), c.Topic)
		}
	}
	for t, sum := range sums {
		show(descLag, float64(sum.offsets), name, t)
		show(descLagSeconds, sum.seconds, name, t)
		show(descGroupLag, float64(sum.offsets), name, t)
		show(descGroupSum, float64(sum.committed), name, t)
	}
}

// behind says how much of a partition lies at and above an offset, and how old that is. What lies below the log start counts for
// nothing: nobody can read it.
func (m *lagMetrics) behind(p topic.Partition, from topic.Offset) (offsets topic.Offset, seconds float64) {
	start, end := m.s.fetch.Bounds(p)
	from = max(from, start)
	if from >= end {
		return 0, 0
	}
	newest := int64(0) // of the unit that the offset lies in, in ms
	runs, extents := m.s.fetch.Held(p, from, 1)
	for _, r := range runs {
		newest = r.MaxTimestamp
	}
	for _, x := range extents {
		newest = x.MaxTimestamp
	}
	if newest <= 0 { // records without a time
		return end - from, 0
	}
	return end - from, max(0, time.Since(time.UnixMilli(newest)).Seconds())
}
