package topic

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Config holds settings given explicitly, by Kafka's names; what is absent has its default. A Config read from
// control state is shared by many readers and must not be changed.
type Config map[string]string

// Validate tells everything that is wrong with a topic's settings, joined into one error.
func (c Config) Validate() error {
	problems := c.problems(Settings)
	v := Values{Topic: c}
	if problems == nil && v.MinCompactionLagMs() > v.MaxCompactionLagMs() {
		problems = append(problems, fmt.Errorf("min.compaction.lag.ms %d is above max.compaction.lag.ms %d",
			v.MinCompactionLagMs(), v.MaxCompactionLagMs()))
	}
	return errors.Join(problems...)
}

// ValidateCluster tells everything that is wrong with settings of the cluster, joined into one error.
func (c Config) ValidateCluster() error { return errors.Join(c.problems(ClusterSettings)...) }

func (c Config) problems(t Table) []error {
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(c)) {
		if err := t.Check(name, c[name]); err != nil {
			problems = append(problems, err)
		}
	}
	return problems
}

// Cluster is what was set for the whole cluster, the strongest layer first: what control state holds, then what
// the agent was started with.
type Cluster []Config

// Value is a setting's value and where it comes from.
type Value struct {
	Text   string
	Origin Origin
	Layer  int    // of OriginCluster: index into Cluster
	Name   string // under which it was set; the setting's own for a default
}

// Origin tells who gave a value.
type Origin uint8

// The origins there are.
const (
	OriginDefault Origin = iota
	OriginCluster
	OriginTopic
)

// Get gives the value of a cluster setting; an unknown name has an empty one. A setting that is another's twin in
// another unit (log.retention.hours) tells what was set through any of them.
func (c Cluster) Get(name string) Value {
	if v, ok := c.explicit(name); ok {
		return v
	}
	if t, ok := twins[name]; ok {
		v := Values{Cluster: c}.Get(t.topicName)
		v.Text = inUnitOf(v.Text, t.factor)
		return v
	}
	s, _ := ClusterSettings.Find(name)
	return Value{Text: s.Default, Name: name}
}

func (c Cluster) explicit(name string) (Value, bool) {
	for i, layer := range c {
		if v, ok := layer[name]; ok {
			return Value{Text: v, Origin: OriginCluster, Layer: i, Name: name}, true
		}
	}
	return Value{}, false
}

// twin says which topic setting a cluster setting gives the default of.
type twin struct {
	topicName string
	factor    int64
}

var twins = func() map[string]twin {
	m := map[string]twin{}
	for _, s := range Settings.list {
		for _, syn := range s.Synonyms {
			m[syn.Name] = twin{s.Name, syn.Factor}
		}
	}
	return m
}()

func inUnitOf(value string, factor int64) string {
	if factor == 1 {
		return value
	}
	return inUnit(value, factor)
}

// Bool and Int64 read a cluster setting of that type; a value that does not parse counts as absent.
func (c Cluster) Bool(name string) bool {
	return parse(c.Get(name), ClusterSettings, name, parseBool)
}

// Int64 reads an Int or Long.
func (c Cluster) Int64(name string) int64 {
	return parse(c.Get(name), ClusterSettings, name, parseInt)
}

// Values is all that decides a topic's settings: its own, the cluster's, Kafka's defaults. The getters parse on
// each call; who needs them per batch keeps the result.
type Values struct {
	Topic   Config
	Cluster Cluster
}

// Get gives the value of a topic setting; an unknown name has an empty one.
func (v Values) Get(name string) Value {
	if text, ok := v.Topic[name]; ok {
		return Value{Text: text, Origin: OriginTopic, Name: name}
	}
	s, _ := Settings.Find(name)
	for _, syn := range s.Synonyms {
		if given, ok := v.Cluster.explicit(syn.Name); ok {
			given.Text = fromUnit(given.Text, syn.Factor)
			return given
		}
	}
	return Value{Text: s.Default, Name: name}
}

func (v Values) int64(name string) int64 { return parse(v.Get(name), Settings, name, parseInt) }

// MaxMessageBytes and the others are the settings that mean something here, in Kafka's units.
func (v Values) MaxMessageBytes() int64    { return v.int64("max.message.bytes") }
func (v Values) RetentionMs() int64        { return v.int64("retention.ms") }
func (v Values) RetentionBytes() int64     { return v.int64("retention.bytes") }
func (v Values) MinInsyncReplicas() int64  { return v.int64("min.insync.replicas") }
func (v Values) DeleteRetentionMs() int64  { return v.int64("delete.retention.ms") }
func (v Values) MinCompactionLagMs() int64 { return v.int64("min.compaction.lag.ms") }
func (v Values) MaxCompactionLagMs() int64 { return v.int64("max.compaction.lag.ms") }

// TimestampBeforeMaxMs and TimestampAfterMaxMs bound how far a producer's clock may be off.
func (v Values) TimestampBeforeMaxMs() int64 { return v.int64("message.timestamp.before.max.ms") }
func (v Values) TimestampAfterMaxMs() int64  { return v.int64("message.timestamp.after.max.ms") }

// LogAppendTime reports whether the agent's clock stamps the records.
func (v Values) LogAppendTime() bool { return v.Get("message.timestamp.type").Text == "LogAppendTime" }

// MinCleanableDirtyRatio is what part of a log must be dirty before it is cleaned by key.
func (v Values) MinCleanableDirtyRatio() float64 {
	const name = "min.cleanable.dirty.ratio"
	return parse(v.Get(name), Settings, name, func(s string) (float64, error) { return strconv.ParseFloat(strings.TrimSpace(s), 64) })
}

// Compacts and Deletes report what the cleanup policy names; it may name both or neither.
func (v Values) Compacts() bool { return v.cleanup("compact") }
func (v Values) Deletes() bool  { return v.cleanup("delete") }

func (v Values) cleanup(policy string) bool {
	return slices.Contains(SplitList(v.Get("cleanup.policy").Text), policy)
}

func parseBool(s string) (bool, error) {
	return strconv.ParseBool(strings.ToLower(strings.TrimSpace(s)))
}
func parseInt(s string) (int64, error) { return strconv.ParseInt(strings.TrimSpace(s), 10, 64) }

// parse reads a value or, if it does not parse, the default.
func parse[T any](v Value, t Table, name string, read func(string) (T, error)) T {
	parsed, err := read(v.Text)
	if err != nil {
		s, _ := t.Find(name)
		parsed, _ = read(s.Default)
	}
	return parsed
}
