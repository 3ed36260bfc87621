package settings

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// setting is one row of the table: how it is written, read, checked and shown.
type setting struct {
	name     string
	argument string // what the help calls the value
	help     string // one sentence without its full stop
	standard string // default as the help says it, where show(Defaults()) would say something about this machine

	parse func(*Settings, string) error // the error reads after the value: `is no size`
	show  func(Settings) string
	check func(Settings) error // nil if every value that parses is right; the error reads after the value
}

// setName is the setting that repeats, set aside from the table: it holds name=value pairs.
const setName = "set"

// configName is the one setting that the file cannot hold.
const configName = "config"

// table lists all settings but set, in the order that docs and help show them.
var table = []setting{
	{
		name: configName, argument: "FILE", help: "YAML file with settings",
		parse: func(s *Settings, v string) error { s.ConfigFile = v; return nil },
		show:  func(s Settings) string { return s.ConfigFile },
	},
	{
		name: "bucket", argument: "URL", standard: "file://<data-dir>/bucket",
		help:  "where records live: file:///dir, memory://, s3://bucket/prefix?region=…&endpoint=… or minio://host:port/bucket/prefix?secure=false",
		parse: func(s *Settings, v string) (err error) { s.Stores.Bucket, err = parseBucket(v); return err },
		show:  func(s Settings) string { return hideUserinfo(s.Stores.Bucket) },
		check: func(s Settings) error { _, err := parseBucket(s.Stores.Bucket); return err },
	},
	{
		name: "redis", argument: "URL",
		help:  "where the index lives: embedded (in this agent's memory, for one agent), redis://host:port or rediss://host:port",
		parse: func(s *Settings, v string) error { s.Stores.Redis = v; return checkRedis(v) },
		show:  func(s Settings) string { return hideUserinfo(s.Stores.Redis) },
		check: func(s Settings) error { return checkRedis(s.Stores.Redis) },
	},
	{
		name: "redis-password-file", argument: "FILE",
		help:  "file that holds the Redis password (or set ODRADEK_REDIS_PASSWORD)",
		parse: func(s *Settings, v string) error { s.Stores.RedisPasswordFile = v; return nil },
		show:  func(s Settings) string { return s.Stores.RedisPasswordFile },
	},
	text("data-dir", "DIR", "directory of the write-ahead log, and of the default bucket",
		func(s *Settings) *string { return &s.DataDir }, notEmpty),
	size("wal-size", "size of the write-ahead log: acks=1 outlives a bucket outage until it is full, or a sixth of --memory waits for the bucket",
		func(s *Settings) *Bytes { return &s.WALSize }, minWALSize, 0),
	text("listen", "HOST:PORT", "address of the Kafka listener",
		func(s *Settings) *string { return &s.Network.Listen }, func(v string) error { return checkHostPort(v, true) }),
	text("advertise", "HOST:PORT", "address that clients are told to connect to; auto finds it at start",
		func(s *Settings) *string { return &s.Network.Advertise }, checkAdvertise),
	text("http", "HOST:PORT", "address of /livez, /readyz and /metrics; none for no HTTP at all",
		func(s *Settings) *string { return &s.Network.HTTP }, checkHTTP),
	{
		name: "pprof", argument: "BOOL", help: "serve Go profiles under /debug/pprof on the HTTP address, to connections from loopback only",
		parse: func(s *Settings, v string) (err error) { s.Network.Pprof, err = parseBool(v); return err },
		show:  func(s Settings) string { return strconv.FormatBool(s.Network.Pprof) },
	},
	text("cluster", "NAME", "name of the cluster; agents that share a bucket and a Redis use the same",
		func(s *Settings) *string { return &s.Cluster }, checkName),
	{
		name: "node-id", argument: "N", help: "Kafka's broker id of this agent; auto takes one that was never given before",
		parse: parseNodeID,
		show: func(s Settings) string {
			if s.NodeID == AutoNodeID {
				return Auto
			}
			return strconv.Itoa(int(s.NodeID))
		},
		check: func(s Settings) error {
			if s.NodeID < 0 {
				return errNodeID
			}
			return nil
		},
	},
	text("zone", "NAME", "availability zone of this agent; auto asks the cloud, none says there are no zones",
		func(s *Settings) *string { return &s.Zone }, checkName),
	text("prices", "TABLE", "what the bucket costs, for metrics: aws-standard, aws-express, free, a YAML file, or auto to tell by --bucket",
		func(s *Settings) *string { return &s.Prices }, notEmpty),
	text("metrics-detail", "LEVEL", "how fine metrics are: agent, topic, or partition for partitions and consumer groups, each told by one agent only",
		func(s *Settings) *string { return &s.Detail }, oneOf(DetailAgent, DetailTopic, DetailPartition)),
	{
		name: "weight", argument: "N",
		help: "this agent's share of the partitions in proportion to other agents': one of 50 owns half of what one of 100 owns, one of 0 none",
		parse: func(s *Settings, v string) (err error) {
			if s.Weight, err = strconv.Atoi(v); err != nil {
				return errors.New("is no number")
			}
			return nil
		},
		show: func(s Settings) string { return strconv.Itoa(s.Weight) },
		check: func(s Settings) error {
			if s.Weight < 0 || s.Weight > maxWeight {
				return fmt.Errorf("is out of range: 0 to %d", maxWeight)
			}
			return nil
		},
	},
	{
		name: "lease", argument: "DURATION",
		help:  "an agent whose heartbeat stood still for so long is given up by the others, who take its partitions over; the same for all agents of a cluster",
		parse: func(s *Settings, v string) (err error) { s.Lease, err = parseDuration(v); return err },
		show:  func(s Settings) string { return s.Lease.String() },
		check: func(s Settings) error {
			if s.Lease < minLease || s.Lease > maxLease {
				return fmt.Errorf("is out of range: %v to %v", minLease, maxLease)
			}
			return nil
		},
	},
	{
		name: "roles", argument: "LIST", help: "what this agent does, with commas in between: broker serves clients, compactor looks after what is stored",
		parse: func(s *Settings, v string) (err error) { s.Roles, err = parseRoles(v); return err },
		show:  func(s Settings) string { return strings.Join(s.Roles, ",") },
		check: func(s Settings) error { _, err := parseRoles(strings.Join(s.Roles, ",")); return err },
	},
	{
		name: "flush-interval", argument: "DURATION", help: "the bucket gets one PUT per interval, saved up to 20",
		parse: func(s *Settings, v string) (err error) { s.Flush.Interval, err = parseDuration(v); return err },
		show:  func(s Settings) string { return s.Flush.Interval.String() },
		check: func(s Settings) error {
			if s.Flush.Interval < minFlushInterval || s.Flush.Interval > maxFlushInterval {
				return fmt.Errorf("is out of range: %v to %v", minFlushInterval, maxFlushInterval)
			}
			return nil
		},
	},
	size("flush-size", "a segment is sent at this size, however young",
		func(s *Settings) *Bytes { return &s.Flush.Size }, minFlushSize, maxFlushSize),
	text("compression", "CODEC", "how records that were sent uncompressed are stored: s2, zstd or none",
		func(s *Settings) *string { return &s.Flush.Compression }, oneOf("s2", "zstd", None)),
	{
		name: "slots-in-flight", argument: "N", help: "uploads that may be under way at a time",
		parse: func(s *Settings, v string) (err error) {
			if s.Flush.SlotsInFlight, err = strconv.Atoi(v); err != nil {
				return errors.New("is no number")
			}
			return nil
		},
		show: func(s Settings) string { return strconv.Itoa(s.Flush.SlotsInFlight) },
		check: func(s Settings) error {
			if s.Flush.SlotsInFlight < minSlotsInFlight || s.Flush.SlotsInFlight > maxSlotsInFlight {
				return fmt.Errorf("is out of range: %d to %d", minSlotsInFlight, maxSlotsInFlight)
			}
			return nil
		},
	},
	{
		name: "checkpoint-slots", argument: "N",
		help: "a checkpoint is made when so many segments came since the one before; a start reads about so many footers at most",
		parse: func(s *Settings, v string) (err error) {
			if s.Checkpoint.Slots, err = strconv.Atoi(v); err != nil {
				return errors.New("is no number")
			}
			return nil
		},
		show: func(s Settings) string { return strconv.Itoa(s.Checkpoint.Slots) },
		check: func(s Settings) error {
			if s.Checkpoint.Slots < minCheckpointSlots || s.Checkpoint.Slots > maxCheckpointSlots {
				return fmt.Errorf("is out of range: %d to %d", minCheckpointSlots, maxCheckpointSlots)
			}
			return nil
		},
	},
	{
		name: "checkpoint-interval", argument: "DURATION",
		help:  "or when so much time went by and 64 segments or 16 control records came",
		parse: func(s *Settings, v string) (err error) { s.Checkpoint.Interval, err = parseDuration(v); return err },
		show:  func(s Settings) string { return s.Checkpoint.Interval.String() },
		check: func(s Settings) error {
			if s.Checkpoint.Interval < minCheckpointInterval || s.Checkpoint.Interval > maxCheckpointInterval {
				return fmt.Errorf("is out of range: %v to %v", minCheckpointInterval, maxCheckpointInterval)
			}
			return nil
		},
	},
	size("compaction-size", "segments are compacted into larger objects when those of one agent's partitions hold so much",
		func(s *Settings) *Bytes { return &s.Compaction.Size }, minCompactionSize, maxCompactionSize),
	{
		name: "compaction-slots", argument: "N", help: "or when they are so many",
		parse: func(s *Settings, v string) (err error) {
			if s.Compaction.Slots, err = strconv.Atoi(v); err != nil {
				return errors.New("is no number")
			}
			return nil
		},
		show: func(s Settings) string { return strconv.Itoa(s.Compaction.Slots) },
		check: func(s Settings) error {
			if s.Compaction.Slots < minCompactionSlots || s.Compaction.Slots > maxCompactionSlots {
				return fmt.Errorf("is out of range: %d to %d", minCompactionSlots, maxCompactionSlots)
			}
			return nil
		},
	},
	duration("compaction-interval", "or so long after the last time, if there is one at all",
		func(s *Settings) *time.Duration { return &s.Compaction.Interval }, minCompactionInterval, maxCompactionInterval),
	duration("compaction-gather", "such objects are merged by ranges of partitions when there are 60 of them or 8GiB, or eight that waited for so long",
		func(s *Settings) *time.Duration { return &s.Compaction.Gather }, minCompactionGather, maxCompactionGather),
	duration("gc-grace", "an object is deleted when nothing has needed it for so long; what was made and never used, after 24 times as long",
		func(s *Settings) *time.Duration { return &s.GCGrace }, minGCGrace, maxGCGrace),
	duration("gc-age", "control records and the seals of journals are deleted when they are so old, and no checkpoint needs them",
		func(s *Settings) *time.Duration { return &s.GCAge }, minGCAge, maxGCAge),
	defaultSaid("half of the machine's, at most 4GiB",
		size("memory", "bound on requests being read, records that wait for the bucket, fetch answers that have not left and caches together; the process may take two fifths more and 64MiB, and some 10KiB for each connection; one request has at most a sixth of it or 32MiB",
			func(s *Settings) *Bytes { return &s.Memory }, minMemory, 0)),
	{
		name: "log-level", argument: "LEVEL", help: "least that is logged: debug, info, warn or error",
		parse: func(s *Settings, v string) error {
			if s.Log.Level.UnmarshalText([]byte(v)) != nil {
				return errors.New("is no level; write debug, info, warn or error")
			}
			return nil
		},
		show: func(s Settings) string { return strings.ToLower(s.Log.Level.String()) },
	},
	text("log-format", "FORMAT", "how it is logged: text or json",
		func(s *Settings) *string { return &s.Log.Format }, oneOf("text", "json")),
	{
		name: "metrics-emf", argument: "BOOL",
		help:  "print some metrics on standard output once a minute, as lines of which CloudWatch makes metrics (embedded metric format)",
		parse: func(s *Settings, v string) (err error) { s.Log.EMF, err = parseBool(v); return err },
		show:  func(s Settings) string { return strconv.FormatBool(s.Log.EMF) },
	},
	text("traces", "WHERE", "record requests as spans from frame to bucket: none, or otlp for a collector of OpenTelemetry, by OTLP over HTTP",
		func(s *Settings) *string { return &s.Traces.To }, oneOf(None, TracesOTLP)),
	text("traces-endpoint", "URL", "where the collector is, as http://host:4318; auto is what OTEL_EXPORTER_OTLP_ENDPOINT says, or port 4318 of this machine",
		func(s *Settings) *string { return &s.Traces.Endpoint }, checkEndpoint),
	{
		name: "traces-ratio", argument: "NUMBER", help: "how many of the requests are recorded: 1 is all, 0.01 one of a hundred",
		parse: func(s *Settings, v string) (err error) {
			if s.Traces.Ratio, err = strconv.ParseFloat(v, 64); err != nil {
				return errors.New("is no number")
			}
			return nil
		},
		show: func(s Settings) string { return strconv.FormatFloat(s.Traces.Ratio, 'g', -1, 64) },
		check: func(s Settings) error {
			if !(s.Traces.Ratio >= 0 && s.Traces.Ratio <= 1) { // NaN neither
				return errors.New("is out of range: 0 to 1")
			}
			return nil
		},
	},
}

// text is the row of a string setting.
func text(name, argument, help string, field func(*Settings) *string, check func(string) error) setting {
	return setting{
		name: name, argument: argument, help: help,
		parse: func(s *Settings, v string) error { *field(s) = v; return check(v) },
		show:  func(s Settings) string { return *field(&s) },
		check: func(s Settings) error { return check(*field(&s)) },
	}
}

// size is the row of a size; no upper bound if highest is 0.
func size(name, help string, field func(*Settings) *Bytes, lowest, highest Bytes) setting {
	return setting{
		name: name, argument: "SIZE", help: help,
		parse: func(s *Settings, v string) (err error) { *field(s), err = ParseBytes(v); return err },
		show:  func(s Settings) string { return field(&s).String() },
		check: func(s Settings) error {
			switch v := *field(&s); {
			case v < lowest:
				return fmt.Errorf("is too small; the least is %v", lowest)
			case highest > 0 && v > highest:
				return fmt.Errorf("is too large; the most is %v", highest)
			}
			return nil
		},
	}
}

// duration is the row of a duration within bounds.
func duration(name, help string, field func(*Settings) *time.Duration, lowest, highest time.Duration) setting {
	return setting{
		name: name, argument: "DURATION", help: help,
		parse: func(s *Settings, v string) (err error) { *field(s), err = parseDuration(v); return err },
		show:  func(s Settings) string { return field(&s).String() },
		check: func(s Settings) error {
			if v := *field(&s); v < lowest || v > highest {
				return fmt.Errorf("is out of range: %v to %v", lowest, highest)
			}
			return nil
		},
	}
}

func defaultSaid(words string, s setting) setting { s.standard = words; return s }

var errNodeID = errors.New("is no node id; write auto or a number from 1 on")

func parseNodeID(s *Settings, v string) error {
	if v == Auto {
		s.NodeID = AutoNodeID
		return nil
	}
	n, err := strconv.ParseInt(v, 10, 32)
	if err != nil || n < 1 {
		return errNodeID
	}
	s.NodeID = int32(n)
	return nil
}

// parseRoles reads a list of roles; it is given back in the order of allRoles.
func parseRoles(v string) ([]string, error) {
	given := strings.Split(v, ",")
	for i, r := range given {
		given[i] = strings.TrimSpace(r)
		if !slices.Contains(allRoles, given[i]) {
			return nil, errors.New("is no list of roles; write broker, compactor or broker,compactor")
		}
	}
	var roles []string
	for _, r := range allRoles {
		if slices.Contains(given, r) {
			roles = append(roles, r)
		}
	}
	return roles, nil
}

func parseBool(v string) (bool, error) {
	switch strings.ToLower(v) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, errors.New("is neither true nor false")
}

func parseDuration(v string) (time.Duration, error) {
	d, err := time.ParseDuration(v)
	if err != nil {
		return 0, errors.New("is no duration; write a number with a unit, as 250ms or 2s")
	}
	return d, nil
}

func checkAdvertise(v string) error {
	if v == Auto {
		return nil
	}
	return checkHostPort(v, false)
}

func checkHTTP(v string) error {
	if v == None {
		return nil
	}
	return checkHostPort(v, true)
}

// checkEndpoint checks the URL of a collector.
func checkEndpoint(v string) error {
	if v == Auto {
		return nil
	}
	u, err := url.Parse(v)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("is no URL of a collector; write auto, or as http://host:4318")
	}
	return nil
}

func notEmpty(v string) error {
	if v == "" {
		return errors.New("is empty")
	}
	return nil
}

var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

func checkName(v string) error {
	if !namePattern.MatchString(v) {
		return errors.New("is no name; write up to 63 letters, digits, dots, dashes and underscores")
	}
	return nil
}

func oneOf(words ...string) func(string) error {
	return func(v string) error {
		for _, w := range words {
			if v == w {
				return nil
			}
		}
		return errors.New("is none of " + strings.Join(words, ", "))
	}
}

// names lists the settings of the table and set.
func names() []string {
	all := make([]string, 0, len(table)+1)
	for _, t := range table {
		all = append(all, t.name)
	}
	return append(all, setName)
}

// lookup finds a row by name.
func lookup(name string) (setting, bool) {
	for _, t := range table {
		if t.name == name {
			return t, true
		}
	}
	return setting{}, false
}
