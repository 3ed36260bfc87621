package control

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/odradek/odradek/topic"
)

// FormatLevel is the highest level of the control log's own format that this build reads.
const FormatLevel = 1

// FeatureFormat names the feature whose level is that of the control log's own format: record types beyond those
// of a level are written only once it is raised, and it is raised only when every open journal's build reads it.
const FeatureFormat = "odradek.format"

// Genesis is the first record of control/0 and no other: it makes the cluster.
type Genesis struct {
	ClusterID string
	Format    uint32 // level of FeatureFormat that the cluster starts with
}

func (Genesis) Type() Type { return TypeGenesis }

func (r Genesis) String() string { return fmt.Sprintf("cluster %q format %d", r.ClusterID, r.Format) }

func (r Genesis) encode(w *writer) {
	w.string(r.ClusterID)
	w.uint(uint64(r.Format))
}

func decodeGenesis(r *reader) Record {
	return Genesis{ClusterID: r.string(), Format: uint32(r.uint(math.MaxUint32))}
}

func checkGenesis(records []Record) error {
	if len(records) == 0 {
		return ErrNoGenesis
	}
	r, ok := records[0].(Genesis)
	if !ok {
		return fmt.Errorf("%w but with %s", ErrNoGenesis, records[0].Type())
	}
	if r.Format > FormatLevel {
		return fmt.Errorf("%w: cluster of format %d, this build reads up to %d", ErrUnknownRecord, r.Format, FormatLevel)
	}
	return nil
}

func (r Genesis) judge(s *State) string {
	if s.clusterID != "" || s.next != 0 {
		return fmt.Sprintf("cluster exists: %q", s.clusterID)
	}
	if r.ClusterID == "" {
		return "cluster id is empty"
	}
	return ""
}

func (r Genesis) apply(s *State) {
	s.clusterID, s.format = r.ClusterID, r.Format
}

// Feature sets the level of a feature, 0 being none. It holds while the level is the one it names as From; a
// raise of FeatureFormat only if every open journal reads that level.
type Feature struct {
	Name        string
	From, Level uint32
}

func (Feature) Type() Type { return TypeFeature }

func (r Feature) String() string { return fmt.Sprintf("%s from %d to %d", r.Name, r.From, r.Level) }

func (r Feature) encode(w *writer) {
	w.string(r.Name)
	w.uint(uint64(r.From))
	w.uint(uint64(r.Level))
}

func decodeFeature(r *reader) Record {
	return Feature{Name: r.string(), From: uint32(r.uint(math.MaxUint32)), Level: uint32(r.uint(math.MaxUint32))}
}

func (r Feature) judge(s *State) string {
	if have := s.Feature(r.Name); have != r.From {
		return fmt.Sprintf("level is %d, not %d", have, r.From)
	}
	if r.Name != FeatureFormat {
		return ""
	}
	if r.Level < r.From {
		return "format never goes back"
	}
	for id := range s.open.all() {
		if j, _ := s.journals.get(id); j.Format < r.Level {
			return fmt.Sprintf("journal %s reads only %d", id, j.Format)
		}
	}
	return ""
}

func (r Feature) apply(s *State) {
	switch {
	case r.Name == FeatureFormat:
		s.format = r.Level
	case r.Level == 0:
		s.features = s.features.drop(r.Name)
	default:
		s.features = s.features.put(r.Name, r.Level)
	}
}

// ClusterConfig changes settings of the whole cluster. It holds if none changed since Version, the
// ConfigVersion it was decided on. Deletions come first.
type ClusterConfig struct {
	Version uint64
	Set     topic.Config
	Delete  []string
}

func (ClusterConfig) Type() Type { return TypeClusterConfig }

func (r ClusterConfig) String() string {
	return fmt.Sprintf("on version %d%s", r.Version, describeChange(r.Set, r.Delete))
}

func (r ClusterConfig) encode(w *writer) {
	w.uint(r.Version)
	w.config(r.Set)
	w.names(r.Delete)
}

func decodeClusterConfig(r *reader) Record {
	return ClusterConfig{Version: r.uint(math.MaxUint64), Set: r.config(), Delete: r.names()}
}

func (r ClusterConfig) judge(s *State) string {
	if r.Version != s.configVersion {
		return fmt.Sprintf("version is %d, not %d", s.configVersion, r.Version)
	}
	return ""
}

func (r ClusterConfig) apply(s *State) {
	s.config = changed(s.config, r.Set, r.Delete)
	s.configVersion++
}

// changed gives a copy of c without the deleted names and with what is set.
func changed(c, set topic.Config, deleted []string) topic.Config {
	next := make(topic.Config, len(c)+len(set))
	maps.Copy(next, c)
	for _, name := range deleted {
		delete(next, name)
	}
	maps.Copy(next, set)
	return next
}

func describeConfig(c topic.Config) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(c)) {
		fmt.Fprintf(&b, " %s=%s", name, c[name])
	}
	return b.String()
}

func describeChange(set topic.Config, deleted []string) string {
	text := describeConfig(set)
	for _, name := range deleted {
		text += " -" + name
	}
	return text
}
