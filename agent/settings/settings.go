package settings

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/odradek/odradek/topic"
)

// Settings is what an agent runs with. The zero value is not valid: start from Defaults or Load.
type Settings struct {
	ConfigFile string        // the YAML file the settings were read from, "" if none
	Cluster    string        // name of the cluster: prefix of the Redis keys, shown to clients
	NodeID     int32         // Kafka's broker id; AutoNodeID takes the next one from the control log
	Zone       string        // Auto, None or a zone's name
	Weight     int           // share of partitions in proportion to other agents'
	Lease      time.Duration // an agent whose heartbeat stood still for so long is taken over
	Roles      []string      // what the agent does, of RoleBroker and RoleCompactor; not empty
	DataDir    string        // directory of the WAL
	WALSize    Bytes         // size of the WAL's ring of files
	Memory     Bytes         // bound on frames, buffers and cache together
	Network    Network
	Stores     Stores
	Flush      Flush
	Checkpoint Checkpoint
	Compaction Compaction
	GCGrace    time.Duration // for how long nothing needs an object before it is deleted
	GCAge      time.Duration // how old a seal or control record is that is deleted
	Prices     string        // what the bucket costs: Auto, the name of a table, or a file
	Detail     string        // how fine metrics are: one of the Detail constants
	Log        Log
	Traces     Traces
	Kafka      topic.Config // cluster settings with Kafka's names that were set; never nil after Load
}

// Network is where an agent listens and what it tells clients to connect to.
type Network struct {
	Listen    string // host:port of the Kafka listener; an empty host is every address
	Advertise string // host:port that clients are told to connect to, or Auto
	HTTP      string // host:port of health and metrics, or None
	Pprof     bool   // serve /debug/pprof on the HTTP address
}

// Stores are the places that records and their index live in.
type Stores struct {
	Bucket            string // URL: file, memory, s3 or minio; file URLs are absolute after Load
	Redis             string // RedisEmbedded, or a redis or rediss URL without a password
	RedisPassword     Secret // empty if Redis asks for none
	RedisPasswordFile string // file that RedisPassword was read from, "" if none
}

// Flush says when a segment is frozen and how it is stored.
type Flush struct {
	Interval      time.Duration // one PUT is budgeted per interval
	Size          Bytes         // a segment is frozen at this size
	Compression   string        // of records sent uncompressed: s2, zstd or none
	SlotsInFlight int           // K: uploads of one journal at a time, fixed when it is opened
}

// Checkpoint says when the next checkpoint is made.
type Checkpoint struct {
	Slots    int           // as soon as so many slots came since the one before
	Interval time.Duration // or so much time went by, and enough happened
}

// Compaction says when segments are put together into larger objects.
type Compaction struct {
	Size     Bytes         // as soon as one agent's partitions have so much in segments
	Slots    int           // or in so many segments
	Interval time.Duration // or so long after the last time
	Gather   time.Duration // those objects are merged after so long at the latest, if there are some
}

// Log says what the agent's log looks like.
type Log struct {
	Level  slog.Level
	Format string // text or json
	EMF    bool   // metrics as lines among the log's
}

// Traces says which requests are traced, and where that goes.
type Traces struct {
	To       string  // None or TracesOTLP
	Endpoint string  // URL of the collector, or Auto: what OpenTelemetry's variables say
	Ratio    float64 // of requests
}

// TracesOTLP sends traces by OpenTelemetry's protocol.
const TracesOTLP = "otlp"

// Words that stand for no particular value.
const (
	Auto          = "auto"     // find out at start
	None          = "none"     // do without
	RedisEmbedded = "embedded" // the index lives in the agent's memory

	AutoNodeID int32 = 0 // NodeID: take the next free one
)

// What an agent may do.
const (
	RoleBroker    = "broker"    // serve Kafka's clients
	RoleCompactor = "compactor" // look after what is stored
)

// How fine an agent's metrics are.
const (
	DetailAgent     = "agent"     // nothing of single topics
	DetailTopic     = "topic"     // bytes of topics, as many as an agent tells of
	DetailPartition = "partition" // partitions and groups too, each by one agent only
)

var allRoles = []string{RoleBroker, RoleCompactor}

// Has says whether the agent has a role.
func (s Settings) Has(role string) bool { return slices.Contains(s.Roles, role) }

// Limits of the settings, all caps in one place.
const (
	minFlushInterval = 5 * time.Millisecond
	maxFlushInterval = time.Minute
	minLease         = time.Second
	maxLease         = 10 * time.Minute
	minFlushSize     = 64 * KiB
	maxFlushSize     = 32 * MiB // a slot is one PUT of at most 64 MiB, and the last batch may exceed the size
	minMemory        = 64 * MiB
	minWALSize       = 16 * MiB
	minSlotsInFlight = 4
	maxSlotsInFlight = 64
	maxWeight        = 10_000

	minCheckpointSlots    = 64 // what one summary tells of
	maxCheckpointSlots    = 1_000_000
	minCheckpointInterval = 10 * time.Second
	maxCheckpointInterval = 7 * 24 * time.Hour
	minCompactionSize     = 1 * MiB
	maxCompactionSize     = 4 * GiB
	minCompactionSlots    = 2
	maxCompactionSlots    = 4096
	minCompactionInterval = time.Second
	maxCompactionInterval = 7 * 24 * time.Hour
	minCompactionGather   = time.Second
	maxCompactionGather   = 30 * 24 * time.Hour
	minGCGrace            = time.Second
	maxGCGrace            = 30 * 24 * time.Hour
	minGCAge              = time.Minute // a process that slept for half of that reads the control log anew
	maxGCAge              = 10 * 365 * 24 * time.Hour
	maxDefaultMemory      = 4 * GiB
	maxConfigFile         = 1 * MiB
	maxPasswordFile       = 4 * KiB
)

// Defaults gives the settings of an agent that was told nothing. It reads the machine's memory size.
func Defaults() Settings {
	s := Settings{
		Cluster: "odradek",
		NodeID:  AutoNodeID,
		Zone:    Auto,
		Weight:  100,
		Lease:   5 * time.Second,
		Roles:   slices.Clone(allRoles),
		DataDir: "./odradek-data",
		WALSize: 512 * MiB,
		Memory:  defaultMemory(machineMemory("/")),
		Network: Network{Listen: "127.0.0.1:9092", Advertise: Auto, HTTP: "127.0.0.1:8080"},
		Stores:  Stores{Redis: RedisEmbedded},
		Flush: Flush{
			Interval:      250 * time.Millisecond,
			Size:          8 * MiB,
			Compression:   "s2",
			SlotsInFlight: 16,
		},
		Checkpoint: Checkpoint{Slots: 4096, Interval: 10 * time.Minute},
		Compaction: Compaction{Size: 64 * MiB, Slots: 256, Interval: 10 * time.Minute, Gather: 24 * time.Hour},
		GCGrace:    time.Hour,
		GCAge:      7 * 24 * time.Hour,
		Prices:     Auto,
		Detail:     DetailTopic,
		Log:        Log{Level: slog.LevelInfo, Format: "text"},
		Traces:     Traces{To: None, Endpoint: Auto, Ratio: 0.01},
		Kafka:      topic.Config{},
	}
	s.Stores.Bucket = bucketIn(s.DataDir)
	return s
}

// Lines gives every setting, a line each. Secrets read ***.
func (s Settings) Lines() string {
	var b strings.Builder
	for _, a := range s.LogValue().Group() {
		fmt.Fprintf(&b, "%s=%s\n", a.Key, a.Value.Resolve())
	}
	return b.String()
}

// LogValue groups every setting under its name, for one log line at start. Secrets read ***.
func (s Settings) LogValue() slog.Value {
	attrs := make([]slog.Attr, 0, len(table)+1)
	for _, t := range table {
		attrs = append(attrs, slog.String(t.name, t.show(s)))
	}
	if !s.Stores.RedisPassword.IsZero() {
		attrs = append(attrs, slog.Any("redis-password", s.Stores.RedisPassword))
	}
	return slog.GroupValue(attrs...)
}
