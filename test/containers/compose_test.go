package containers

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.yaml.in/yaml/v3"

	"github.com/odradek/odradek/test/harness"
)

const top = "../.." // of the repository

// project is what compose makes of compose.yaml, as far as it is looked at here.
type project struct {
	Services map[string]service
}

type service struct {
	Image       string
	Entrypoint  []string
	Command     []string
	Environment map[string]string
	Ports       []port
	Volumes     []volume
	Healthcheck struct{ Test []string }
	DependsOn   map[string]struct{ Condition string } `json:"depends_on"`
	ReadOnly    bool                                  `json:"read_only"`
	CapDrop     []string                              `json:"cap_drop"`
	StopGrace   string                                `json:"stop_grace_period"`
}

type port struct {
	Target    int
	Published string
	HostIP    string `json:"host_ip"`
}

type volume struct {
	Type, Source, Target string
}

func (s service) ours() bool { return strings.HasPrefix(s.Image, "odradek:") }

func composeProject(t *testing.T) project {
	t.Helper()
	var p project
	if err := json.Unmarshal(read(t, "", "compose", filepath.Join(top, "compose.yaml")), &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// agents are the services that run the image of this repository.
func (p project) agents() (names []string) {
	for name, s := range p.Services {
		if s.ours() {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// reader is the program in reader/, built once.
var reader struct {
	once sync.Once
	path string
	err  error
}

// read has it read something and gives the JSON that it printed.
func read(t *testing.T, input string, args ...string) []byte {
	t.Helper()
	out, err := tryRead(t, input, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func tryRead(t *testing.T, input string, args ...string) ([]byte, error) {
	t.Helper()
	reader.once.Do(func() {
		reader.path, reader.err = filepath.Abs(filepath.Join(top, ".cache", "containers", "reader"))
		if reader.err != nil {
			return
		}
		if out, err := exec.Command("go", "build", "-C", "reader", "-o", reader.path, ".").CombinedOutput(); err != nil {
			reader.err = fmt.Errorf("go build reader: %w\n%s", err, out)
		}
	})
	if reader.err != nil {
		t.Fatal(reader.err)
	}
	cmd := exec.CommandContext(t.Context(), reader.path, args...)
	cmd.Stdin = strings.NewReader(input)
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("reader %s: %w\n%s", strings.Join(args, " "), err, problems.String())
	}
	return out, nil
}

// imageEnv gives the environment and the command line that the Dockerfile gives its containers.
func imageEnv(t *testing.T) (env map[string]string, command []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(top, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	env = make(map[string]string)
	for line := range strings.Lines(string(text)) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "ENV":
			for pair := range strings.FieldsSeq(rest) {
				name, value, _ := strings.Cut(pair, "=")
				env[name] = value
			}
		case "ENTRYPOINT", "CMD":
			var words []string
			if err := json.Unmarshal([]byte(rest), &words); err != nil {
				t.Fatalf("Dockerfile: %s: %v", line, err)
			}
			command = append(command, words...)
		}
	}
	if len(env) == 0 || !slices.Equal(command, []string{"/odradek", "agent"}) {
		t.Fatalf("the Dockerfile's environment is %v, its command %v", env, command)
	}
	return env, command
}

// topology runs services as processes of this machine. What differs from containers is this and no more:
//
//	NAME:PORT           of another service becomes its address on loopback, on a free port
//	IP:PORT             at which a port is published becomes the same address
//	:PORT, or PORT      alone, which a service listens on, becomes its own
//	/PATH               at or below a volume's target becomes one below the service's directory; files mounted there are
//	                    copied, and addresses in them are rewritten by rewrite
//	/odradek            is the binary under test; what the image of another program begins with is found in PATH
type topology struct {
	t     *testing.T
	p     project
	dir   string
	addrs map[string]string // host:port on loopback, by service:port
}

func newTopology(t *testing.T, p project) *topology {
	t.Helper()
	o := &topology{t: t, p: p, dir: harness.TempDir(t), addrs: make(map[string]string)}
	for name, s := range p.Services {
		for _, port := range s.Ports {
			o.addrs[fmt.Sprintf("%s:%d", name, port.Target)] = harness.FreeAddr(t)
		}
		for _, v := range s.Volumes {
			o.mount(name, v)
		}
	}
	return o
}

func (o *topology) addr(name string, port int) string {
	return o.addrs[fmt.Sprintf("%s:%d", name, port)]
}

// mount makes a volume's place in the service's directory.
func (o *topology) mount(name string, v volume) {
	o.t.Helper()
	place := filepath.Join(o.dir, name, v.Target)
	if v.Type == "volume" {
		if err := os.MkdirAll(place, 0o755); err != nil {
			o.t.Fatal(err)
		}
		return
	}
	err := filepath.WalkDir(v.Source, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		below, err := filepath.Rel(v.Source, path)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		to := filepath.Join(place, below)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		return os.WriteFile(to, text, 0o644)
	})
	if err != nil {
		o.t.Fatalf("%s: volume: %v", name, err)
	}
}

// here writes a text of a service's for this machine.
func (o *topology) here(name, text string) string {
	for inside, addr := range o.addrs {
		text = regexp.MustCompile(`\b`+regexp.QuoteMeta(inside)+`\b`).ReplaceAllString(text, addr)
	}
	s := o.p.Services[name]
	for _, p := range s.Ports {
		addr := o.addr(name, p.Target)
		_, port, _ := net.SplitHostPort(addr)
		text = strings.ReplaceAll(text, p.HostIP+":"+p.Published, addr)
		text = regexp.MustCompile(`(^|[\s=]):`+strconv.Itoa(p.Target)+`\b`).ReplaceAllString(text, "${1}"+addr)
		if text == strconv.Itoa(p.Target) {
			text = port
		}
	}
	for _, v := range s.Volumes {
		text = regexp.MustCompile(`(^|[\s=])`+regexp.QuoteMeta(v.Target)+`\b`).ReplaceAllString(text, "${1}"+filepath.Join(o.dir, name)+v.Target)
	}
	return text
}

// command is a service's process. test, if there is one, is run instead of what the service runs.
func (o *topology) command(name string, test ...string) *exec.Cmd {
	o.t.Helper()
	s := o.p.Services[name]
	line, env := slices.Concat(s.Entrypoint, s.Command), make(map[string]string)
	if s.ours() {
		var own []string
		if env, own = imageEnv(o.t); len(line) == 0 {
			line = own
		}
	} else if strings.HasPrefix(s.Image, "prom/prometheus:") {
		line = append([]string{"prometheus"}, line...)
	}
	if len(test) > 0 {
		line = test
	}
	for k, v := range s.Environment {
		env[k] = v
	}
	variables := []string{"HOME=" + filepath.Join(o.dir, name), "MINIO_UPDATE=off", "MINIO_CI_CD=on"}
	for k, v := range env {
		variables = append(variables, k+"="+o.here(name, v))
	}
	var words []string
	for _, w := range line {
		words = append(words, o.here(name, w))
	}
	if words[0] == "/odradek" {
		return harness.Command(o.t, variables, words[1:]...)
	}
	cmd := exec.Command(words[0], words[1:]...)
	tools, err := filepath.Abs(filepath.Join(top, ".cache", "bin")) // where make deps puts MinIO
	if err != nil {
		o.t.Fatal(err)
	}
	cmd.Env = append(variables, "PATH="+os.Getenv("PATH")+":"+tools)
	return cmd
}

// start starts a service and ends it with the test.
func (o *topology) start(name string) {
	o.t.Helper()
	cmd := o.command(name)
	log, err := os.Create(filepath.Join(o.dir, name+".log"))
	if err != nil {
		o.t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	exited, err := harness.StartTied(cmd)
	if err != nil {
		o.t.Fatalf("%s: %v", name, err)
	}
	o.t.Cleanup(func() {
		cmd.Process.Kill()
		<-exited
		if log.Close(); o.t.Failed() {
			text, _ := os.ReadFile(log.Name())
			o.t.Logf("%s printed:\n%s", name, text[max(0, len(text)-8<<10):])
		}
	})
	o.await(name+" to answer", func() error {
		select {
		case <-exited:
			return fmt.Errorf("it ended")
		default:
		}
		if o.p.Services[name].ours() {
			if out, err := o.command(name, o.p.Services[name].Healthcheck.Test[1:]...).CombinedOutput(); err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			return nil
		}
		for _, p := range o.p.Services[name].Ports {
			c, err := net.DialTimeout("tcp", o.addr(name, p.Target), time.Second)
			if err != nil {
				return err
			}
			c.Close()
		}
		return nil
	})
}

func (o *topology) await(what string, done func() error) {
	o.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		err := done()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			o.t.Fatalf("waited in vain for %s: %v", what, err)
		}
	}
}

// What compose.yaml describes, run as processes: three agents share the work, each is reached where it says, and Prometheus
// sees all of them under the rules.
func TestCompose_TheTopologyWorks(t *testing.T) {
	p := composeProject(t)
	o := newTopology(t, p)
	for _, name := range []string{"minio", "redis"} {
		o.start(name)
	}
	for _, name := range p.agents() {
		o.start(name)
	}
	rewrite(t, o, "prometheus", "/etc/prometheus/prometheus.yml")
	o.start("prometheus")

	var seeds []string
	for _, name := range p.agents() {
		seeds = append(seeds, o.addr(name, 9092))
	}
	everyAgentServes(t, o, seeds)
	prometheusSees(t, o, len(seeds))
}

// rewrite changes the addresses in a file that is mounted.
func rewrite(t *testing.T, o *topology, name, target string) {
	t.Helper()
	path := filepath.Join(o.dir, name, target)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(o.here(name, string(text))), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "promtool", "check", "config", path).CombinedOutput(); err != nil {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}

// everyAgentServes produces and consumes through each agent as the one that a client is told of.
func everyAgentServes(t *testing.T, o *topology, seeds []string) {
	ctx := t.Context()
	const topicName, partitions = "orders", 12
	for i, seed := range seeds {
		client, err := kgo.NewClient(kgo.SeedBrokers(seed), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		admin := kadm.NewClient(client)
		o.await("three agents in the metadata of "+seed, func() error {
			m, err := admin.BrokerMetadata(ctx)
			var told []string
			for _, b := range m.Brokers {
				told = append(told, net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port))))
			}
			slices.Sort(told)
			if err == nil && !slices.Equal(told, slices.Sorted(slices.Values(seeds))) {
				err = fmt.Errorf("it tells of %v, want %v", told, seeds)
			}
			return err
		})
		if i == 0 {
			if _, err := admin.CreateTopic(ctx, partitions, 1, nil, topicName); err != nil {
				t.Fatal(err)
			}
		}
		var records []*kgo.Record
		for partition := range int32(partitions) {
			records = append(records, &kgo.Record{Topic: topicName, Partition: partition, Value: []byte(seed)})
		}
		if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
			t.Fatalf("produce through %s: %v", seed, err)
		}
	}
	for _, seed := range seeds {
		client, err := kgo.NewClient(kgo.SeedBrokers(seed), kgo.ConsumeTopics(topicName), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
			kgo.ConsumerGroup("readers-"+strconv.Itoa(slices.Index(seeds, seed))))
		if err != nil {
			t.Fatal(err)
		}
		got := make(map[string]int)
		o.await("all records through "+seed, func() error {
			fetches := client.PollFetches(ctx)
			fetches.EachRecord(func(r *kgo.Record) { got[string(r.Value)]++ })
			for _, by := range seeds {
				if got[by] != partitions {
					return fmt.Errorf("read %v", got)
				}
			}
			return fetches.Err()
		})
		client.Close()
	}
	owners := make(map[int32]bool)
	client, err := kgo.NewClient(kgo.SeedBrokers(seeds...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	o.await("partitions with every agent", func() error {
		m, err := kadm.NewClient(client).Metadata(ctx, topicName)
		if err != nil {
			return err
		}
		m.Topics.EachPartition(func(d kadm.PartitionDetail) { owners[d.Leader] = true })
		if len(owners) != len(seeds) {
			return fmt.Errorf("owners: %v", owners)
		}
		return nil
	})
}

// prometheusSees asks Prometheus for its targets and rules.
func prometheusSees(t *testing.T, o *topology, agents int) {
	ask := func(path string, into any) error {
		answer, err := http.Get("http://" + o.addr("prometheus", 9090) + path)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %w %s: %s", path, err, answer.Status, text)
		}
		return json.Unmarshal(text, into)
	}
	o.await("every agent's metrics in Prometheus", func() error {
		var got struct {
			Data struct {
				Result []struct {
					Metric map[string]string
					Value  []any
				}
			}
		}
		if err := ask("/api/v1/query?query="+url.QueryEscape(`up{job="odradek"} * on(instance) odradek_agent_ready`), &got); err != nil {
			return err
		}
		if len(got.Data.Result) != agents {
			return fmt.Errorf("%v", got.Data.Result)
		}
		for _, r := range got.Data.Result {
			if len(r.Value) != 2 || r.Value[1] != "1" {
				return fmt.Errorf("%v", got.Data.Result)
			}
		}
		return nil
	})
	var rules struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError string }
			}
		}
	}
	if err := ask("/api/v1/rules", &rules); err != nil {
		t.Fatal(err)
	}
	loaded := 0
	for _, g := range rules.Data.Groups {
		for _, r := range g.Rules {
			loaded++
			if r.LastError != "" {
				t.Errorf("%s: %s", r.Name, r.LastError)
			}
		}
	}
	text, err := os.ReadFile(filepath.Join(top, "examples/monitoring/alerts.yml"))
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Count(string(text), "- alert: "); loaded != want || want == 0 {
		t.Errorf("Prometheus has %d rules, the file %d", loaded, want)
	}
}

// An agent tells clients the address at which it is published; nothing is published beyond this machine; and nothing of an agent
// is written but /data.
func TestCompose_AgentsAreReachedAndShutIn(t *testing.T) {
	p := composeProject(t)
	agents := p.agents()
	if len(agents) != 3 {
		t.Fatalf("agents: %v", agents)
	}
	env, _ := imageEnv(t)
	listen := strings.TrimPrefix(env["ODRADEK_LISTEN"], ":")
	published := make(map[string]string)
	for name, s := range p.Services {
		for _, port := range s.Ports {
			if other, taken := published[port.Published]; taken || port.HostIP != "127.0.0.1" {
				t.Errorf("%s: port %s on %s, taken by %q", name, port.Published, port.HostIP, other)
			}
			published[port.Published] = name
		}
		for on := range s.DependsOn {
			if _, ok := p.Services[on]; !ok {
				t.Errorf("%s waits for %s, which is no service", name, on)
			}
		}
	}
	for _, name := range agents {
		s := p.Services[name]
		reached := false
		for _, port := range s.Ports {
			reached = reached || s.Environment["ODRADEK_ADVERTISE"] == port.HostIP+":"+port.Published && strconv.Itoa(port.Target) == listen
		}
		if !reached {
			t.Errorf("%s advertises %s and is published at %v", name, s.Environment["ODRADEK_ADVERTISE"], s.Ports)
		}
		if len(s.Volumes) != 1 || s.Volumes[0].Target != env["ODRADEK_DATA_DIR"] || s.Volumes[0].Type != "volume" {
			t.Errorf("%s: volumes %v", name, s.Volumes)
		}
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || s.StopGrace != "2m0s" {
			t.Errorf("%s: read-only %v, capabilities dropped %v, time to stop %s", name, s.ReadOnly, s.CapDrop, s.StopGrace)
		}
		if s.DependsOn["minio"].Condition != "service_healthy" || s.DependsOn["redis"].Condition != "service_healthy" {
			t.Errorf("%s does not wait for %v", name, s.DependsOn)
		}
		if !slices.Equal(s.Healthcheck.Test, []string{"CMD", "/odradek", "healthcheck"}) {
			t.Errorf("%s: health check %v", name, s.Healthcheck.Test)
		}
	}
}

// Grafana finds every dashboard where it is told to look, and Prometheus where that is.
func TestCompose_GrafanaIsProvisioned(t *testing.T) {
	p := composeProject(t)
	source := make(map[string]string) // by target
	for _, v := range p.Services["grafana"].Volumes {
		source[v.Target] = v.Source
	}
	load := func(target string, into any) {
		t.Helper()
		text, err := os.ReadFile(source[target])
		if err != nil {
			t.Fatalf("%s: %v", target, err)
		}
		decoder := yaml.NewDecoder(strings.NewReader(string(text)))
		if err := decoder.Decode(into); err != nil {
			t.Fatalf("%s: %v", target, err)
		}
	}
	var data struct {
		Datasources []struct{ Name, Type, URL string }
	}
	load("/etc/grafana/provisioning/datasources/odradek.yml", &data)
	if len(data.Datasources) != 1 || data.Datasources[0].Type != "prometheus" {
		t.Fatalf("data sources: %+v", data)
	}
	at, err := url.Parse(data.Datasources[0].URL)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(p.Services[at.Hostname()].Ports, func(o port) bool { return strconv.Itoa(o.Target) == at.Port() }) {
		t.Errorf("the data source is at %s, where no service is", at)
	}
	var boards struct {
		Providers []struct {
			Type    string
			Options struct{ Path string }
		}
	}
	load("/etc/grafana/provisioning/dashboards/odradek.yml", &boards)
	if len(boards.Providers) != 1 || boards.Providers[0].Type != "file" {
		t.Fatalf("providers: %+v", boards)
	}
	found, err := filepath.Glob(filepath.Join(source[boards.Providers[0].Options.Path], "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	uids := make(map[string]bool)
	for _, f := range found {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var board struct{ UID, Title string }
		if err := json.Unmarshal(text, &board); err != nil || board.UID == "" || board.Title == "" || uids[board.UID] {
			t.Errorf("%s: %v, %+v", f, err, board)
		}
		uids[board.UID] = true
	}
	if len(uids) < 4 {
		t.Errorf("%d dashboards are where Grafana looks", len(uids))
	}
}
