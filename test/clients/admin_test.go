package clients

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
)

// admin is Java's admin client against one agent.
type admin struct {
	*Probe
	addr string
}

// ask does one op and decodes its answer, which must not be an error.
func (a admin) ask(job Job, into any) {
	a.t.Helper()
	if err := a.try(job, into); err != nil {
		a.t.Fatalf("%s %s%s: %v", job.Op, job.Topic, job.Group, err)
	}
}

func (a admin) try(job Job, into any) error {
	a.t.Helper()
	job.Bootstrap = a.addr
	results, err := a.Do(job)
	if err == nil && into != nil {
		a.decode(results[0], into)
	}
	return err
}

// refused wants an op to fail with a Java exception.
func (a admin) refused(job Job, exception string) {
	a.t.Helper()
	if err := a.try(job, nil); !contains(err, exception) {
		a.t.Fatalf("%s %s%s: got %v, want %s", job.Op, job.Topic, job.Group, err, exception)
	}
}

func javaAdmin(t *testing.T) admin {
	t.Helper()
	t.Parallel()
	agent := startAgent(t)
	return admin{java.start(t), agent.Addr}
}

func TestAdmin_Topics(t *testing.T) {
	a := javaAdmin(t)
	var created struct {
		Partitions, Replicas int
		ID                   string
	}
	a.ask(Job{Op: "createTopic", Topic: "made", Args: settings("partitions", 2, "configs", settings("retention.ms", "86400000"))}, &created)
	if created.Partitions != 2 || created.Replicas != 3 || created.ID == "" {
		t.Fatalf("created %+v, want 2 partitions and 3 replicas echoed", created)
	}
	a.refused(Job{Op: "createTopic", Topic: "made", Args: settings("partitions", 2)}, "TopicExistsException")
	a.refused(Job{Op: "createTopic", Topic: "not/valid", Args: settings("partitions", 2)}, "InvalidTopicException")
	a.refused(Job{Op: "createTopic", Topic: "none", Args: settings("partitions", 0)}, "InvalidPartitionsException")
	a.refused(Job{Op: "createTopic", Topic: "odd", Args: settings("configs", settings("retention.ms", "soon"))}, "InvalidConfigurationException")
	a.ask(Job{Op: "createTopic", Topic: "by-default", Args: settings()}, &created)
	if created.Partitions != 4 {
		t.Fatalf("%d partitions by default, want 4", created.Partitions)
	}

	a.ask(Job{Op: "createPartitions", Topic: "made", Args: settings("partitions", 5)}, nil)
	a.refused(Job{Op: "createPartitions", Topic: "made", Args: settings("partitions", 5)}, "InvalidPartitionsException")
	a.refused(Job{Op: "createPartitions", Topic: "made", Args: settings("partitions", 3)}, "InvalidPartitionsException")
	var partitions []int
	a.ask(Job{Op: "describeTopic", Topic: "made"}, &partitions)
	if diff := gocmp.Diff([]int{0, 1, 2, 3, 4}, partitions); diff != "" {
		t.Fatalf("partitions:\n%s", diff)
	}
	records := messages(50, 5)
	acked := a.Produce(Job{Bootstrap: a.addr, Topic: "made", Records: records})
	compare(t, acked, a.Consume(Job{Bootstrap: a.addr, Topic: "made", Expect: len(acked)}))

	a.ask(Job{Op: "deleteTopic", Topic: "made"}, nil)
	a.refused(Job{Op: "deleteTopic", Topic: "made"}, "UnknownTopicOrPartitionException")
	a.refused(Job{Op: "describeTopic", Topic: "made"}, "UnknownTopicOrPartitionException")
	var names []string
	a.ask(Job{Op: "listTopics"}, &names)
	if diff := gocmp.Diff([]string{"by-default"}, names); diff != "" {
		t.Fatalf("topics:\n%s", diff)
	}

	// A topic of the same name begins anew.
	a.ask(Job{Op: "createTopic", Topic: "made", Args: settings("partitions", 1)}, nil)
	acked = a.Produce(Job{Bootstrap: a.addr, Topic: "made", Records: messages(10, 1)})
	if acked[0].Offset != 0 {
		t.Fatalf("the first record of a topic made again has offset %d", acked[0].Offset)
	}
	compare(t, acked, a.Consume(Job{Bootstrap: a.addr, Topic: "made", Expect: len(acked)}))
}

func TestAdmin_Configs(t *testing.T) {
	a := javaAdmin(t)
	a.ask(Job{Op: "createTopic", Topic: "tuned", Args: settings("configs", settings("cleanup.policy", "compact"))}, nil)
	read := func() map[string]*string {
		t.Helper()
		var values map[string]*string
		a.ask(Job{Op: "describeConfigs", Topic: "tuned"}, &values)
		for name, value := range values {
			if value == nil {
				t.Fatalf("%s reads back null", name)
			}
		}
		return values
	}
	want := func(name, value string) {
		t.Helper()
		if got := read()[name]; got == nil || *got != value {
			t.Fatalf("%s is %v, want %s", name, got, value)
		}
	}
	if values := read(); len(values) < 20 {
		t.Fatalf("only %d settings: %v", len(values), values)
	}
	want("cleanup.policy", "compact")
	want("retention.ms", "604800000")

	a.ask(Job{Op: "alterConfigs", Topic: "tuned", Args: settings("configs", settings("retention.ms", "1000", "max.message.bytes", "2000"))}, nil)
	want("retention.ms", "1000")
	want("max.message.bytes", "2000")
	want("cleanup.policy", "compact")
	a.ask(Job{Op: "alterConfigs", Topic: "tuned", Args: settings("configs", settings("retention.ms", nil))}, nil)
	want("retention.ms", "604800000")
	a.refused(Job{Op: "alterConfigs", Topic: "tuned", Args: settings("configs", settings("retention.ms", "x"))}, "InvalidConfigurationException")
	a.refused(Job{Op: "alterConfigs", Topic: "tuned", Args: settings("configs", settings("no.such.setting", "1"))}, "InvalidConfigurationException")
	a.refused(Job{Op: "alterConfigs", Topic: "absent", Args: settings("configs", settings("retention.ms", "1"))}, "UnknownTopicOrPartitionException")
	a.refused(Job{Op: "describeConfigs", Topic: "absent"}, "UnknownTopicOrPartitionException")

	var broker map[string]*string
	a.ask(Job{Op: "describeBroker", Args: settings("node", "1")}, &broker)
	for name, value := range broker {
		if value == nil {
			t.Fatalf("%s of the broker reads back null", name)
		}
	}
	if got := broker["num.partitions"]; got == nil || *got != "4" {
		t.Fatalf("num.partitions of the broker is %v", got)
	}
}

func TestAdmin_Cluster(t *testing.T) {
	a := javaAdmin(t)
	var cluster struct {
		ID         string
		Controller int
		Nodes      []string
	}
	a.ask(Job{Op: "describeCluster"}, &cluster)
	if diff := gocmp.Diff([]string{"1@" + a.addr}, cluster.Nodes); diff != "" || cluster.Controller != 1 || len(cluster.ID) != 22 {
		t.Fatalf("cluster %+v", cluster)
	}
	var features map[string]int
	a.ask(Job{Op: "describeFeatures"}, &features)
	if features["metadata.version"] == 0 {
		t.Fatalf("features %v, want metadata.version", features)
	}
}

func TestAdmin_ListOffsets(t *testing.T) {
	a := javaAdmin(t)
	a.ask(Job{Op: "createTopic", Topic: "times", Args: settings("partitions", 1)}, nil)
	offsets := func(since int64) (found map[string][2]int64) {
		t.Helper()
		a.ask(Job{Op: "listOffsets", Topic: "times", Since: since}, &found)
		return found
	}
	if diff := gocmp.Diff(map[string][2]int64{"earliest": {0, -1}, "latest": {0, -1}, "max": {-1, -1}}, offsets(0)); diff != "" {
		t.Fatalf("offsets of an empty topic:\n%s", diff)
	}
	records := messages(40, 1)
	newest := records[17].Timestamp + time.Hour.Milliseconds()/2
	records[17].Timestamp = newest
	a.Produce(Job{Bootstrap: a.addr, Topic: "times", Config: settings("compression.type", "gzip", "linger.ms", "20"), Records: records})
	want := map[string][2]int64{"earliest": {0, -1}, "latest": {40, -1}, "max": {17, newest}, "since": {9, records[9].Timestamp}}
	if diff := gocmp.Diff(want, offsets(records[8].Timestamp+1)); diff != "" {
		t.Fatalf("offsets:\n%s", diff)
	}
	want["since"] = [2]int64{-1, -1}
	if diff := gocmp.Diff(want, offsets(newest+1)); diff != "" {
		t.Fatalf("offsets of a time after the newest:\n%s", diff)
	}
}

func TestAdmin_Groups(t *testing.T) {
	a := javaAdmin(t)
	acked := a.Produce(Job{Bootstrap: a.addr, Topic: "work", Records: messages(80, 4)})
	member := javaMember.start(t)
	member.Send(Job{Op: "group", Bootstrap: a.addr, Topic: "work", Group: "workers", Config: settings("client.id", "worker")})
	for read := 0; read < len(acked); {
		text, more, err := member.Next()
		if !more {
			t.Fatalf("the member ended: %v", err)
		}
		if !strings.Contains(string(text), `"assigned"`) {
			read++
		}
	}

	var names []string
	a.ask(Job{Op: "listGroups"}, &names)
	if diff := gocmp.Diff([]string{"workers"}, names); diff != "" {
		t.Fatalf("groups:\n%s", diff)
	}
	var group struct {
		State, Assignor string
		Coordinator     int
		Members         []struct {
			Client     string
			Partitions []string
		}
	}
	a.ask(Job{Op: "describeGroup", Group: "workers"}, &group)
	if group.State != "Stable" || group.Assignor != "range" || group.Coordinator != 1 || len(group.Members) != 1 ||
		group.Members[0].Client != "worker" || strings.Join(group.Members[0].Partitions, " ") != "work-0 work-1 work-2 work-3" {
		t.Fatalf("group %+v", group)
	}
	offsets := func() map[string]int64 {
		t.Helper()
		var committed map[string]int64
		a.ask(Job{Op: "groupOffsets", Group: "workers"}, &committed)
		return committed
	}
	if diff := gocmp.Diff(map[string]int64{"work-0": 20, "work-1": 20, "work-2": 20, "work-3": 20}, offsets()); diff != "" {
		t.Fatalf("offsets, that is no lag:\n%s", diff)
	}
	a.refused(Job{Op: "deleteGroup", Group: "workers"}, "GroupNotEmptyException")
	a.refused(Job{Op: "deleteGroupOffsets", Group: "workers", Topic: "work"}, "GroupSubscribedToTopicException")
	a.refused(Job{Op: "alterGroupOffsets", Group: "workers", Topic: "work", Args: settings("offset", 5)}, "UnknownMemberIdException")

	member.Terminate()
	waitEmpty(t, a, "workers")
	a.ask(Job{Op: "alterGroupOffsets", Group: "workers", Topic: "work", Args: settings("offset", 5)}, nil)
	if got := offsets()["work-0"]; got != 5 {
		t.Fatalf("offset of work-0 is %d after it was set to 5", got)
	}
	a.ask(Job{Op: "deleteGroupOffsets", Group: "workers", Topic: "work"}, nil)
	if diff := gocmp.Diff(map[string]int64{"work-1": 20, "work-2": 20, "work-3": 20}, offsets()); diff != "" {
		t.Fatalf("offsets after one was deleted:\n%s", diff)
	}
	a.ask(Job{Op: "deleteGroup", Group: "workers"}, nil)
	a.refused(Job{Op: "deleteGroup", Group: "workers"}, "GroupIdNotFoundException")
	a.refused(Job{Op: "describeGroup", Group: "workers"}, "GroupIdNotFoundException")
	if diff := gocmp.Diff(map[string]int64{}, offsets()); diff != "" {
		t.Fatalf("offsets of a deleted group:\n%s", diff)
	}
}

func waitEmpty(t *testing.T, a admin, group string) {
	t.Helper()
	var answer json.RawMessage
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		a.ask(Job{Op: "describeGroup", Group: group}, &answer)
		if strings.Contains(string(answer), `"Empty"`) {
			return
		}
	}
	t.Fatalf("the group is not empty: %s", answer)
}

// Records are deleted up to an offset, which is the earliest one from then on; there must be records up to it.
func TestAdmin_DeletesRecords(t *testing.T) {
	a := javaAdmin(t)
	a.ask(Job{Op: "createTopic", Topic: "kept", Args: settings("partitions", 1)}, nil)
	a.refused(Job{Op: "deleteRecords", Topic: "kept"}, "OffsetOutOfRangeException")
	records := messages(3, 1)
	a.Produce(Job{Bootstrap: a.addr, Topic: "kept", Records: records})
	for range 2 { // the second time nothing is left to do
		a.ask(Job{Op: "deleteRecords", Topic: "kept"}, nil)
		var found map[string][2]int64
		a.ask(Job{Op: "listOffsets", Topic: "kept"}, &found)
		want := map[string][2]int64{"earliest": {1, -1}, "latest": {3, -1}, "max": {2, records[2].Timestamp}}
		if diff := gocmp.Diff(want, found); diff != "" {
			t.Fatalf("offsets of a topic whose first record was deleted:\n%s", diff)
		}
	}
}

// What is not there says so at once, by a name that Java's users know.
func TestAdmin_WhatIsNotThereSaysSo(t *testing.T) {
	a := javaAdmin(t)
	started := time.Now()
	err := a.try(Job{Op: "transaction", Config: settings("transactional.id", "payments")}, nil)
	if !contains(err, "transactions") || !contains(err, "not supported") {
		t.Fatalf("a transactional producer is told %v, want that transactions are not supported", err)
	}
	if took := time.Since(started); took > 30*time.Second {
		t.Fatalf("a transactional producer was told after %v: %s", took, fmt.Sprint(err))
	}
}

// The admin clients of the other libraries do the daily work: topics, partitions, settings, groups, offsets.
func TestAdmin_OtherLibraries(t *testing.T) {
	t.Parallel()
	agent := startAgent(t)
	createTopic(t, agent.Addr, "work", 2, nil)
	produceFranz(t, agent.Addr, "work", messages(30, 2))
	need(t, kcatPart)
	kcat(t, "", "-b", agent.Addr, "-G", "workers", "-e", "-q", "-X", "auto.offset.reset=earliest", "work")
	want := `{"created":true} {"partitions":5} {"retention.ms":"2000"} {"state":"Empty"} {"offsets":30} {"deleted":true}`
	for _, l := range []library{kafkaPython, confluent, kafkaJS} {
		results, err := l.start(t).Do(Job{Op: "admin", Bootstrap: agent.Addr, Topic: "daily", Group: "workers"})
		if err != nil {
			t.Fatal(err)
		}
		var said []string
		for _, text := range results {
			said = append(said, strings.ReplaceAll(string(text), `": `, `":`))
		}
		if diff := gocmp.Diff(want, strings.Join(said, " ")); diff != "" {
			t.Fatalf("%s:\n%s", l.name, diff)
		}
	}
}
