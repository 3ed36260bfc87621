package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/odradek/odradek/agent/verify"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// asProgram makes the test binary run as odradek itself, for tests that need a process to kill.
const asProgram = "TEST_RUNS_ODRADEK=1"

func TestMain(m *testing.M) {
	if os.Getenv("TEST_RUNS_ODRADEK") == "1" {
		main()
	}
	os.Exit(m.Run())
}

// process is an agent in a process of its own.
type process struct {
	t       *testing.T
	cmd     *exec.Cmd
	address string
}

// startAgent starts an agent over a data directory and waits until it serves.
func startAgent(t *testing.T, dir string) *process {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, address: nobody(t)}
	p.cmd = exec.Command(exe, "agent", "--data-dir", dir, "--listen", p.address, "--http", "none",
		"--flush-interval", "5ms", "--wal-size", "128MiB")
	p.cmd.Env = append(os.Environ(), asProgram)
	p.cmd.Stderr = &logged{t: t}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil { // the banner is printed once it serves
		t.Fatalf("the agent did not come up: %v", err)
	}
	return p
}

// kill ends the agent with SIGKILL. It may be called again.
func (p *process) kill() {
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	}
}

// logged sends a process's log to the test's.
type logged struct{ t *testing.T }

func (l *logged) Write(b []byte) (int, error) {
	if strings.Contains(string(b), "level=ERROR") {
		l.t.Logf("agent: %s", b)
	}
	return len(b), nil
}

// produceOneByOne sends n records, each after the one before was acked: a slot each.
func produceOneByOne(t *testing.T, address string, n int) {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.AllowAutoTopicCreation(), kgo.ProducerLinger(0))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range n {
		r := &kgo.Record{Topic: fmt.Sprintf("t%d", i%3), Value: fmt.Appendf(nil, "record %d, and some text that repeats that repeats", i)}
		if err := c.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// produceUntil sends records until ctx ends, whatever becomes of them.
func produceUntil(ctx context.Context, t *testing.T, address string) (stopped chan struct{}) {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.AllowAutoTopicCreation(), kgo.ProducerLinger(0))
	if err != nil {
		t.Fatal(err)
	}
	stopped = make(chan struct{})
	context.AfterFunc(ctx, c.Close)
	go func() {
		defer close(stopped)
		for ctx.Err() == nil {
			c.TryProduce(ctx, &kgo.Record{Topic: "background", Value: make([]byte, 20_000)}, nil)
			_ = c.ProduceSync(ctx, &kgo.Record{Topic: "t0", Value: []byte("x")})
		}
	}()
	return stopped
}

// verified runs `odradek verify` and expects it to find nothing.
func verified(t *testing.T, bucket string, args ...string) verify.Report {
	t.Helper()
	got := odradek(t, append([]string{"verify", "--bucket", bucket, "--json"}, args...)...)
	var r verify.Report
	if err := json.Unmarshal([]byte(got.out), &r); err != nil {
		t.Fatalf("%v: %s%s", err, got.out, got.err)
	}
	if got.status != exitOK || !r.Clean() {
		t.Errorf("status %d %s: %v", got.status, got.err, r.Findings)
	}
	return r
}

// A bucket is clean whenever it is looked at: beside the agent, after SIGKILL under load, and after the next agent took
// it over, which reads summaries where it can.
func TestVerify_AnAgentsBucketIsCleanAfterSIGKILL(t *testing.T) {
	dir := t.TempDir()
	bucket := "file://" + filepath.Join(dir, "bucket")
	const acked = 150
	for life := range 2 {
		p := startAgent(t, dir)
		produceOneByOne(t, p.address, acked)
		ctx, stop := context.WithCancel(t.Context())
		background := produceUntil(ctx, t, p.address)
		if r := verified(t, bucket); r.Journals[life].State != verify.StateOpen {
			t.Errorf("life %d: journals %+v", life, r.Journals)
		}
		p.kill()
		stop()
		<-background
		r := verified(t, bucket)
		if fast := verified(t, bucket, "--fast"); fast.Totals.Records != r.Totals.Records {
			t.Errorf("%d records in footers, %d in batches", fast.Totals.Records, r.Totals.Records)
		}
		if len(r.Journals) != life+1 || r.Journals[life].Slots < segment64*2 || r.Totals.Records < int64(acked*(life+1)) {
			t.Errorf("life %d: journals %+v, totals %+v", life, r.Journals, r.Totals)
		}
		if life == 1 && r.Journals[0].State != verify.StateSealed {
			t.Errorf("first journal is %s", r.Journals[0].State)
		}
		for _, n := range r.Notes {
			t.Errorf("life %d: note: %s", life, n)
		}
	}
}

const segment64 = 64 // slots between summaries: there must be some

func TestVerify_PrintsWhatIsStoredAndWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	bucket := "file://" + filepath.Join(dir, "bucket")
	p := startAgent(t, dir)
	produceOneByOne(t, p.address, 3)
	p.kill()
	got := odradekIn(t, world{args: []string{"verify"}, environ: []string{"ODRADEK_BUCKET=" + bucket}})
	if got.status != exitOK || got.err != "" || !strings.HasSuffix(got.out, "\nclean\n") {
		t.Fatalf("got %+v", got)
	}
	for _, words := range []string{"bucket ", "cluster ", "control log ", "ratio ", "\nJOURNAL ", "open, tail at slot ", "\nTOPIC ", "\nt1 "} {
		if !strings.Contains(got.out, words) {
			t.Errorf("no %q in:\n%s", words, got.out)
		}
	}
	r := verified(t, bucket)
	id, err := topic.ParseJournalID(r.Journals[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	key := slotlog.JournalKey(id, 0)
	path := filepath.Join(dir, "bucket", filepath.FromSlash(key))
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[50] ^= 1
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	got = odradek(t, "verify", "--bucket", bucket)
	if got.status != exitError || got.err != "odradek: 2 findings\n" || !strings.Contains(got.out, "\nfinding: "+key+": corrupt slot object: crc ") {
		t.Errorf("got %+v", got)
	}
}

// Lines that come faster than they are sent make batches, which must not be larger than brokers take.
func TestProduce_BatchesFitMaxMessageBytes(t *testing.T) {
	p := startAgent(t, t.TempDir())
	lines := strings.Repeat(strings.Repeat("a line of some length ", 40)+"\n", 5000)
	var out, errs bytes.Buffer
	w := world{args: []string{"produce", "much", "--partition", "0", "--bootstrap", p.address}, in: strings.NewReader(lines), out: &out, err: &errs}
	if status := run(t.Context(), w); status != exitOK || !strings.Contains(out.String(), "produced 5000 records") {
		t.Errorf("status %d: %s%s", status, out.String(), errs.String())
	}
	wantUsage(t, odradek(t, "produce", "much", "--max-batch", "5"), "--max-batch: 5 is not between 1024 and 16781312")
}

func TestStorageCommands_UsageErrors(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"verify now", `verify: unexpected argument "now"`},
		{"verify --bucket x", "--bucket: x is no bucket; write file:///dir, memory://, s3://bucket/prefix or minio://host:port/bucket/prefix"},
		{"inspect segment", "inspect segment: KEY is missing"},
		{"inspect segment a 1 2", `inspect segment: unexpected argument "2"`},
		{"inspect segment control/0 --bucket memory://", `key "control/0" is not a journal's slot`},
		{"inspect segment ab x --bucket memory://", "x is no slot"},
		{"inspect journal a b", `inspect journal: unexpected argument "b"`},
		{"inspect wal", "inspect wal: PATH is missing"},
		{"inspect contrl", "inspect contrl: unknown command; did you mean control?"},
	} {
		wantUsage(t, odradek(t, strings.Fields(c.args)...), c.want)
	}
}

func TestStorageCommands_DoNotMakeABucket(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "none")
	for _, args := range []string{"verify", "inspect control", "inspect journal", "inspect segment aa 1"} {
		got := odradek(t, append(strings.Fields(args), "--bucket", "file://"+dir)...)
		if got.status != exitError || !strings.Contains(got.err, "no such file or directory") {
			t.Errorf("%s: got %+v", args, got)
		}
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the directory was made")
	}
}
