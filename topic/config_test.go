package topic

import (
	"strings"
	"testing"
)

func TestTables_EveryDefaultIsValidAndDocumented(t *testing.T) {
	for name, table := range map[string]Table{"topic": Settings, "cluster": ClusterSettings} {
		for _, s := range table.All() {
			if err := s.Validate(s.Default); err != nil {
				t.Errorf("%s setting %s: default: %v", name, s.Name, err)
			}
			if s.Type.String() == "TYPE_0" || !strings.HasSuffix(s.Doc, ".") {
				t.Errorf("%s setting %s: type %s, doc %q", name, s.Name, s.Type, s.Doc)
			}
		}
		if len(table.byName) != len(table.list) {
			t.Errorf("%s settings: %d names of %d settings", name, len(table.byName), len(table.list))
		}
	}
}

func TestSettings_HasWhatToolsStoreAndReadBack(t *testing.T) {
	for _, name := range strings.Fields(`cleanup.policy retention.ms retention.bytes local.retention.ms
		local.retention.bytes remote.storage.enable min.insync.replicas max.message.bytes compression.type
		compression.gzip.level compression.lz4.level compression.zstd.level message.timestamp.type
		message.timestamp.before.max.ms message.timestamp.after.max.ms segment.bytes segment.ms segment.jitter.ms
		segment.index.bytes delete.retention.ms file.delete.delay.ms min.compaction.lag.ms max.compaction.lag.ms
		min.cleanable.dirty.ratio preallocate flush.messages flush.ms index.interval.bytes
		unclean.leader.election.enable`) {
		if _, ok := Settings.Find(name); !ok {
			t.Errorf("no topic setting %s", name)
		}
	}
	for _, name := range strings.Fields(`auto.create.topics.enable num.partitions default.replication.factor
		message.max.bytes log.retention.ms log.retention.minutes log.retention.hours log.retention.bytes
		offsets.topic.num.partitions offsets.retention.minutes group.min.session.timeout.ms
		group.max.session.timeout.ms group.initial.rebalance.delay.ms delete.topic.enable producer.id.expiration.ms
		log.message.timestamp.type log.cleanup.policy compression.type max.connections
		inter.broker.protocol.version`) {
		if _, ok := ClusterSettings.Find(name); !ok {
			t.Errorf("no cluster setting %s", name)
		}
	}
}

func TestConfig_Validate(t *testing.T) {
	for _, c := range []struct{ name, value, wrong string }{
		{"retention.ms", "-1", ""},
		{"retention.ms", "-2", "retention.ms: -2 is below -1"},
		{"retention.ms", " 5 ", ""},
		{"retention.ms", "1e3", `retention.ms: "1e3" is not a whole number`},
		{"retention.ms", "9223372036854775808", `retention.ms: "9223372036854775808" does not fit into 64 bits`},
		{"retention.bytes", "-9", ""},
		{"max.message.bytes", "2147483648", `max.message.bytes: "2147483648" does not fit into 32 bits`},
		{"compression.zstd.level", "23", "compression.zstd.level: 23 is above 22"},
		{"compression.gzip.level", "-1", ""},
		{"cleanup.policy", "compact, delete", ""},
		{"cleanup.policy", "", ""},
		{"cleanup.policy", "compact,drop", `cleanup.policy: "drop" is none of compact, delete`},
		{"cleanup.policy", "delete,delete", `cleanup.policy: "delete" is there twice`},
		{"message.timestamp.type", "createtime", `message.timestamp.type: "createtime" is none of CreateTime, LogAppendTime`},
		{"preallocate", "TRUE", ""},
		{"preallocate", "1", `preallocate: "1" is neither true nor false`},
		{"min.cleanable.dirty.ratio", "0.25", ""},
		{"min.cleanable.dirty.ratio", "NaN", `min.cleanable.dirty.ratio: "NaN" is not a number in [0, 1]`},
		{"retention.msec", "1", `unknown setting "retention.msec", did you mean "retention.ms"?`},
		{"colour", "red", `unknown setting "colour"`},
		{"num.partitions", "1", `unknown setting "num.partitions"`},
		{"segment.bytes", "1000", "segment.bytes: 1000 is below 1048576"},
	} {
		err := Config{c.name: c.value}.Validate()
		if c.wrong == "" && err != nil || c.wrong != "" && (err == nil || err.Error() != c.wrong) {
			t.Errorf("%s=%q: %v, want %q", c.name, c.value, err, c.wrong)
		}
	}
}

func TestConfig_ValidateTellsAllProblemsAtOnce(t *testing.T) {
	err := Config{"retention.ms": "x", "flush.ms": "-1", "preallocate": "true"}.Validate()
	if err == nil || len(strings.Split(err.Error(), "\n")) != 2 {
		t.Fatalf("two things are wrong, not: %v", err)
	}
	err = Config{"min.compaction.lag.ms": "10", "max.compaction.lag.ms": "9"}.Validate()
	if err == nil || !strings.Contains(err.Error(), "above max.compaction.lag.ms 9") {
		t.Fatalf("lags that cross: %v", err)
	}
}

func TestConfig_ValidateCluster(t *testing.T) {
	if err := (Config{"num.partitions": "8", "log.retention.hours": "-1"}).ValidateCluster(); err != nil {
		t.Error(err)
	}
	for name, value := range map[string]string{
		"num.partitions": "0", "inter.broker.protocol.version": "3.9", "retention.ms": "5", "log.retention.hours": "2147483648",
	} {
		if err := (Config{name: value}).ValidateCluster(); err == nil {
			t.Errorf("%s=%s taken", name, value)
		}
	}
}

func TestValues_TopicBeforeClusterBeforeDefault(t *testing.T) {
	v := Values{}
	if got := v.RetentionMs(); got != 604_800_000 {
		t.Errorf("default retention %d", got)
	}
	v.Cluster = Cluster{{}, {"log.retention.hours": "2"}}
	if got := v.Get("retention.ms"); got != (Value{"7200000", OriginCluster, 1, "log.retention.hours"}) {
		t.Errorf("by hours: %+v", got)
	}
	v.Cluster[1]["log.retention.minutes"] = "3"
	if got := v.RetentionMs(); got != 180_000 {
		t.Errorf("minutes are stronger than hours: %d", got)
	}
	v.Cluster[1]["log.retention.ms"] = "7"
	v.Cluster[0]["log.retention.ms"] = "8"
	if got := v.Get("retention.ms"); got != (Value{"8", OriginCluster, 0, "log.retention.ms"}) {
		t.Errorf("first layer: %+v", got)
	}
	v.Topic = Config{"retention.ms": "9"}
	if got := v.Get("retention.ms"); got != (Value{"9", OriginTopic, 0, "retention.ms"}) {
		t.Errorf("by the topic: %+v", got)
	}
}

func TestValues_WhatDoesNotParseIsTheDefault(t *testing.T) {
	v := Values{Topic: Config{"retention.ms": "soon"}, Cluster: Cluster{{"num.partitions": "many", "delete.topic.enable": "?"}}}
	if v.RetentionMs() != 604_800_000 || v.Cluster.Int64("num.partitions") != 4 || !v.Cluster.Bool("delete.topic.enable") {
		t.Errorf("retention %d, partitions %d, delete %v", v.RetentionMs(), v.Cluster.Int64("num.partitions"),
			v.Cluster.Bool("delete.topic.enable"))
	}
}

func TestValues_CleanupPolicy(t *testing.T) {
	for policy, want := range map[string][2]bool{
		"compact": {true, false}, "delete": {false, true}, "compact, delete": {true, true}, "": {false, false},
	} {
		v := Values{Topic: Config{"cleanup.policy": policy}}
		if got := [2]bool{v.Compacts(), v.Deletes()}; got != want {
			t.Errorf("policy %q: compacts, deletes %v, want %v", policy, got, want)
		}
	}
	if v := (Values{Cluster: Cluster{{"log.message.timestamp.type": "LogAppendTime"}}}); !v.LogAppendTime() {
		t.Error("the cluster's timestamp type does not reach the topic")
	}
}

func TestCluster_TwinsInOtherUnitsAgree(t *testing.T) {
	for _, c := range []struct {
		set  Config
		want [3]string // ms, minutes, hours
	}{
		{Config{}, [3]string{"604800000", "10080", "168"}},
		{Config{"log.retention.hours": "2"}, [3]string{"7200000", "120", "2"}},
		{Config{"log.retention.hours": "-1"}, [3]string{"-1", "-1", "-1"}},
		{Config{"log.retention.ms": "60000", "log.retention.hours": "2"}, [3]string{"60000", "1", "2"}},
	} {
		cluster := Cluster{c.set}
		got := [3]string{cluster.Get("log.retention.ms").Text, cluster.Get("log.retention.minutes").Text,
			cluster.Get("log.retention.hours").Text}
		if got != c.want {
			t.Errorf("%v: %v, want %v", c.set, got, c.want)
		}
	}
	if got := (Cluster{}).Int64("message.max.bytes"); got != 1_048_588 {
		t.Errorf("message.max.bytes %d", got)
	}
}
