package settings

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/odradek/odradek/topic"
)

// load runs Load on a command line, an environment and the text of a file named odradek.yaml, if any.
func load(t *testing.T, args, environ []string, file string) (Settings, error) {
	t.Helper()
	t.Chdir(t.TempDir())
	if file != "" {
		write(t, "odradek.yaml", file)
		args = append(args, "--config", "odradek.yaml")
	}
	fs := pflag.NewFlagSet("agent", pflag.ContinueOnError)
	fs.ParseErrorsAllowlist.UnknownFlagsHandling = pflag.PassUnknownFlagToArgs
	AddFlags(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return Load(Sources{Flags: fs, Unknown: fs.Args(), Environ: environ})
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// wantProblems compares the lines of an error.
func wantProblems(t *testing.T, err error, want ...string) {
	t.Helper()
	got := []string{}
	if err != nil {
		got = strings.Split(err.Error(), "\n")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestLoad_NothingSetGivesTheDefaults(t *testing.T) {
	s, err := load(t, nil, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Defaults(), s, cmp.AllowUnexported(Secret{})); diff != "" {
		t.Errorf("settings (-defaults +loaded):\n%s", diff)
	}
	if err := s.Validate(); err != nil {
		t.Errorf("the defaults are not valid: %v", err)
	}
}

func TestLoad_FlagWinsOverEnvironmentOverFile(t *testing.T) {
	file := "flush-size: 1MiB\nflush-interval: 1s\ncluster: from-file\n"
	environ := []string{"ODRADEK_FLUSH_SIZE=2MiB", "ODRADEK_FLUSH_INTERVAL=2s"}
	s, err := load(t, []string{"--flush-size=3MiB"}, environ, file)
	if err != nil {
		t.Fatal(err)
	}
	if s.Flush.Size != 3*MiB {
		t.Errorf("flush size %v, want the flag's 3MiB", s.Flush.Size)
	}
	if s.Flush.Interval != 2*time.Second {
		t.Errorf("flush interval %v, want the environment's 2s", s.Flush.Interval)
	}
	if s.Cluster != "from-file" {
		t.Errorf("cluster %q, want the file's", s.Cluster)
	}
	if s.Flush.Compression != "s2" {
		t.Errorf("compression %q, want the default", s.Flush.Compression)
	}
}

func TestLoad_EverySettingIsAFlagAVariableAndAKey(t *testing.T) {
	values := map[string]string{
		"bucket": "memory://", "redis": "rediss://cache:6379/1", "redis-password-file": "secret", "data-dir": "/data",
		"wal-size": "1GiB", "listen": ":9093", "advertise": "broker:9092", "http": None, "pprof": "true",
		"cluster": "blue", "node-id": "7", "zone": "eu-1a", "prices": "aws-standard", "metrics-detail": "partition", "weight": "50", "lease": "1.5s", "roles": "broker", "flush-interval": "1s", "flush-size": "1MiB",
		"compression": "zstd", "slots-in-flight": "64", "checkpoint-slots": "512", "checkpoint-interval": "1m0s",
		"compaction-size": "16MiB", "compaction-slots": "64", "compaction-interval": "30s", "compaction-gather": "6h0m0s", "gc-grace": "2h0m0s", "gc-age": "72h0m0s", "memory": "100MiB", "log-level": "debug", "log-format": "json", "metrics-emf": "true",
		"traces": "otlp", "traces-endpoint": "http://collector:4318", "traces-ratio": "0.5",
	}
	for _, row := range table {
		if row.name == configName {
			continue
		}
		value, ok := values[row.name]
		if !ok {
			t.Errorf("setting %s has no value in this test", row.name)
		}
		ways := map[string]func() (Settings, error){
			"flag":     func() (Settings, error) { return load(t, []string{"--" + row.name + "=" + value}, nil, "") },
			"variable": func() (Settings, error) { return load(t, nil, []string{variableOf(row.name) + "=" + value}, "") },
			"key":      func() (Settings, error) { return load(t, nil, nil, row.name+": "+value+"\n") },
		}
		for way, loadIt := range ways {
			s, err := loadIt()
			if row.name != "redis-password-file" && err != nil {
				t.Errorf("%s by %s: %v", row.name, way, err)
			}
			if got := row.show(s); got != value {
				t.Errorf("%s by %s: got %q, want %q", row.name, way, got, value)
			}
		}
	}
}

func TestLoad_ReportsAllProblemsAtOnce(t *testing.T) {
	file := "flush-sise: 1MiB\nwal-size: 1MiB\nlog-level:\nzone: [a, b]\nwal-size: 2MiB\nnum.partition: 3\nconfig: other.yaml\n"
	environ := []string{"ODRADEK_FLUSHSIZE=1", "ODRADEK_COMPRESSION=gzip", "PATH=/bin"}
	args := []string{
		"--memori", "--memory=lots", "--node-id=0", "--listen=9092", "--slots-in-flight=99", "--flush-interval=1",
		"--http=x:99999", "--set=num.partitions=many", "--set=nothing",
		"--set=inter.broker.protocol.version=3", "--set=auto.create.topic.enable=true",
	}
	_, err := load(t, args, environ, file)
	wantProblems(t, err,
		"--memori: unknown flag; did you mean --memory?",
		"ODRADEK_FLUSHSIZE: unknown variable; did you mean ODRADEK_FLUSH_SIZE?",
		"odradek.yaml:1: flush-sise: unknown key; did you mean flush-size?",
		"odradek.yaml:5: wal-size is set before, on line 2",
		"odradek.yaml:6: num.partition: unknown key; did you mean num.partitions?",
		"odradek.yaml:7: config: a file cannot name another",
		"odradek.yaml:2: wal-size: 1MiB is too small; the least is 16MiB",
		"--listen: 9092 is no host:port, as 127.0.0.1:9092",
		`--http: x:99999 has port "99999", want 0 to 65535`,
		"--node-id: 0 is no node id; write auto or a number from 1 on",
		"odradek.yaml:4: zone: want one value",
		"--flush-interval: 1 is no duration; write a number with a unit, as 250ms or 2s",
		"ODRADEK_COMPRESSION: gzip is none of s2, zstd, none",
		"--slots-in-flight: 99 is out of range: 4 to 64",
		"--memory: lots is no size; write bytes or a number with a unit, as 8MiB or 64KB",
		"odradek.yaml:3: log-level: has no value",
		"--set: nothing is no name=value",
		"--set num.partitions: \"many\" is not a whole number",
		"--set inter.broker.protocol.version: cannot be set",
		"--set auto.create.topic.enable: unknown cluster setting; did you mean auto.create.topics.enable?",
	)
}

func TestLoad_LeaseAndRoles(t *testing.T) {
	s, err := load(t, []string{"--lease=1s", "--roles=compactor, broker"}, nil, "")
	if err != nil || s.Lease != time.Second || !s.Has(RoleBroker) || !s.Has(RoleCompactor) {
		t.Errorf("got %v, %v, %v", s.Lease, s.Roles, err)
	}
	if s, err = load(t, []string{"--roles=compactor"}, nil, ""); err != nil || s.Has(RoleBroker) {
		t.Errorf("got %v, %v", s.Roles, err)
	}
	_, err = load(t, []string{"--lease=999ms", "--roles=broker,cook"}, nil, "")
	wantProblems(t, err,
		"--lease: 999ms is out of range: 1s to 10m0s",
		"--roles: broker,cook is no list of roles; write broker, compactor or broker,compactor",
	)
}

func TestLoad_AStrongerSourceRepairsAWeakerOne(t *testing.T) {
	s, err := load(t, []string{"--flush-size=1MiB"}, []string{"ODRADEK_FLUSH_SIZE=nonsense"}, "")
	if err != nil || s.Flush.Size != MiB {
		t.Errorf("got %v, %v", s.Flush.Size, err)
	}
}

func TestLoad_ClusterSettingsOfAllSourcesMerge(t *testing.T) {
	file := "num.partitions: 2\nset:\n  auto.create.topics.enable: false\n"
	s, err := load(t, []string{"--set", "num.partitions=8"}, []string{"ODRADEK_SET=num.partitions=4"}, file)
	if err != nil {
		t.Fatal(err)
	}
	want := topic.Config{"num.partitions": "8", "auto.create.topics.enable": "false"}
	if diff := cmp.Diff(want, s.Kafka); diff != "" {
		t.Errorf("cluster settings (-want +got):\n%s", diff)
	}
}

func TestLoad_VariableOfPairsIsSplitAtSemicolons(t *testing.T) {
	s, err := load(t, nil, []string{"ODRADEK_SET=num.partitions=4; auto.create.topics.enable=false"}, "")
	if err != nil {
		t.Fatal(err)
	}
	want := topic.Config{"num.partitions": "4", "auto.create.topics.enable": "false"}
	if diff := cmp.Diff(want, s.Kafka); diff != "" {
		t.Errorf("cluster settings (-want +got):\n%s", diff)
	}
}

func TestLoad_AKafkaNameAsFlagPointsToSet(t *testing.T) {
	_, err := load(t, []string{"--num.partitions=3"}, nil, "")
	wantProblems(t, err, "--num.partitions: unknown flag; did you mean --set num.partitions=…?")
}

func TestLoad_OtherPeoplesVariablesAreLeftAlone(t *testing.T) {
	_, err := load(t, nil, []string{
		"ODRADEK_BOOTSTRAP=h:1", "ODRADEK_TEST_REDIS=redis://h", "ODRADEK_SERVICE_HOST=10.0.0.1",
		"ODRADEK_PORT=tcp://10.0.0.1:9092", "ODRADEK_PORT_9092_TCP_ADDR=10.0.0.1", "ODRADEK_ZONE=", "SHELL=sh",
	}, "")
	if err != nil {
		t.Error(err)
	}
}

func TestLoad_TheFileIsReadWithCare(t *testing.T) {
	for text, want := range map[string]string{
		"- a\n- b\n":         "odradek.yaml:1: is no mapping of settings to values",
		"a: b\n---\nc: d\n":  "odradek.yaml: holds more than one YAML document",
		"zone: \"unclosed\n": "odradek.yaml: ",
		"redis-password: x":  "odradek.yaml:1: redis-password: secrets are not taken from the file",
		"set: many":          "odradek.yaml:1: is no mapping of settings to values",
	} {
		_, err := load(t, nil, nil, text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
	for _, text := range []string{"# nothing\n", "---\n", "{}\n"} {
		if _, err := load(t, nil, nil, text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestLoad_AMissingFileIsAProblem(t *testing.T) {
	_, err := load(t, nil, []string{"ODRADEK_CONFIG=gone.yaml"}, "")
	wantProblems(t, err, "ODRADEK_CONFIG: stat gone.yaml: no such file or directory")
}

func TestLoad_TheDefaultBucketMovesWithTheDataDirectory(t *testing.T) {
	s, err := load(t, []string{"--data-dir=/srv/odradek"}, nil, "")
	if err != nil || s.Stores.Bucket != "file:///srv/odradek/bucket" {
		t.Errorf("bucket %q, %v", s.Stores.Bucket, err)
	}
}

func TestValidate_SettingsFilledInCode(t *testing.T) {
	s := Defaults()
	s.Stores.Redis = "redis://h:6379"
	s.Memory = 64 * MiB
	s.Flush.Size = 32 * MiB
	s.Kafka = topic.Config{"num.partition": "1"}
	wantProblems(t, s.Validate(), "num.partition: unknown cluster setting; did you mean num.partitions?")
	s.Kafka = nil
	wantProblems(t, s.Validate(), "memory: 64MiB is too small for flush-size 32MiB; the least is 128MiB")
}
