package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/objectstore/local"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/test/servers"
	"github.com/odradek/odradek/topic"
)

// written is a bucket in a directory to which a test writes as agents do.
type written struct {
	t     *testing.T
	store *local.Store
	url   string
	next  topic.Slot // control number
}

// journalOf is the journal of a node in poolBucket.
func journalOf(node int) topic.JournalID { return topic.JournalID{0xc0, byte(node)} }

// poolBucket has the journals of nodes 1 to 3, and the topic shoes, whose partitions 0 and 1 are node 1's, 2 is node 2's.
func poolBucket(t *testing.T) *written {
	t.Helper()
	dir := t.TempDir()
	store, err := local.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	b := &written{t: t, store: store, url: "file://" + dir}
	b.control(control.Genesis{ClusterID: "c", Format: control.FormatLevel})
	for node := 1; node <= 3; node++ {
		b.control(control.JournalOpen{
			ID: journalOf(node), NodeID: int32(node), K: 4, Build: "b", Format: control.FormatLevel, Zone: fmt.Sprintf("z%d", node), Weight: 100,
			Endpoints: []control.Endpoint{{Name: "kafka", Host: "host", Port: int32(9000 + node)}},
		})
	}
	b.control(control.TopicCreate{ID: shoes, Name: "shoes", Journals: []topic.JournalID{journalOf(1), journalOf(1), journalOf(2)}})
	return b
}

// control appends one number.
func (b *written) control(records ...control.Record) {
	b.t.Helper()
	payload, err := control.Encode(records)
	if err == nil {
		err = slotlog.Decide(b.t.Context(), b.store, b.next, payload)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	b.next++
}

func (b *written) create(j topic.JournalID, slot topic.Slot, body slotlog.Frozen) {
	b.t.Helper()
	if err := b.store.Create(b.t.Context(), slotlog.JournalKey(j, slot), body.Body); err != nil {
		b.t.Fatal(err)
	}
}

// slot writes a slot without records.
func (b *written) slot(j topic.JournalID, slot topic.Slot) {
	b.t.Helper()
	o, err := segment.Build(segment.Footer{Journal: j, Slot: slot, CreatedMs: 1_700_000_000_500}, nil, segment.S2)
	if err != nil {
		b.t.Fatal(err)
	}
	b.create(j, slot, slotlog.Freeze(slotlog.Data, o.Parts...))
}

func (b *written) seal(j topic.JournalID, slot topic.Slot) {
	b.t.Helper()
	b.create(j, slot, slotlog.Freeze(slotlog.Seal, []byte("by a test")))
}

// cluster runs `odradek cluster` on the bucket.
func (b *written) cluster(args ...string) outcome {
	b.t.Helper()
	return odradek(b.t, append(append([]string{"cluster"}, args...), "--bucket", b.url)...)
}

// state is the control state by now.
func (b *written) state() *control.State {
	b.t.Helper()
	s, err := state(b.t.Context(), b.store)
	if err != nil {
		b.t.Fatal(err)
	}
	b.next = s.Next()
	return s
}

func TestClusterInfo_TellsAgentsAndOwners(t *testing.T) {
	b := poolBucket(t)
	b.slot(journalOf(2), 0)
	b.slot(journalOf(2), 1)
	b.control(control.Drain{Journal: journalOf(1), On: true})
	b.control(control.Era{Number: 1, RunID: "run", ReplicationID: "repl"})
	b.seal(journalOf(3), 0)
	b.control(control.JournalSealed{Journal: journalOf(3)})
	got := b.cluster("info")
	wantLines(t, got, "cluster c\n", "bucket directory ", "control log 8 numbers, the newest 0s ago", "journals 2 open, 1 sealed", "era 1, named ",
		"NODE ADDRESS ZONE WEIGHT PARTITIONS STATE HEARTBEAT SLOTS INDEXED LAST WRITE OPENED JOURNAL",
		"1 host:9001 z1 100 2 draining - 0 - - 0s ago "+journalOf(1).String(), "2 host:9002 z2 100 1 open - 2 - 0s ago 0s ago ", "shoes 3 1: 2, 2: 1")
	wantLines(t, b.cluster("info", "--partitions"), "TOPIC PARTITION NODE EPOCH BASE JOURNAL WHY", "shoes 1 1 0 0 "+journalOf(1).String()+" created", "shoes 2 2 0 0 ")
	var v clusterView
	got = b.cluster("info", "--json")
	if err := json.Unmarshal([]byte(got.out), &v); err != nil || v.ID != "c" || len(v.Agents) != 2 || v.Agents[1].Slots != 2 || v.Agents[1].LastWrite == nil ||
		!v.Agents[0].Draining || v.Agents[0].Heartbeat != nil || len(v.Topics[0].Partitions) != 3 || v.Era.Named.Number != 6 || v.Redis != nil {
		t.Errorf("%v: %s", err, got.out)
	}
}

func TestSinceView_TellsTheCheckpointsAge(t *testing.T) {
	since := sinceView{Checkpoint: 7, Control: 1, Slots: 2, Made: numberView{Number: 8, At: time.Now().Add(-90 * time.Second)}}
	if got := since.String(); got != "at control 7, made 1m30s ago, 1 control number and 2 slots since" {
		t.Error(got)
	}
	since.Made.At = time.Time{} // its record was deleted
	if got := since.String(); got != "at control 7, made long ago, 1 control number and 2 slots since" {
		t.Error(got)
	}
}

// wantProblems expects `cluster health` to print exactly these lines, some words of each, before the note.
func wantProblems(t *testing.T, got outcome, problems ...string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(got.out), "\n")
	if strings.HasPrefix(lines[len(lines)-1], "note: ") {
		lines = lines[:len(lines)-1]
	}
	want := fmt.Sprintf("odradek: %s\n", count(int64(len(problems)), "problem"))
	if len(lines) != len(problems) || got.status != exitError || got.err != want {
		t.Errorf("want %q, got status %d, %s%s", problems, got.status, got.out, got.err)
		return
	}
	for i, p := range problems {
		if !strings.Contains(lines[i], p) {
			t.Errorf("problem %q lacks %q", lines[i], p)
		}
	}
}

func TestClusterHealth_OneLineForEachProblem(t *testing.T) {
	b := poolBucket(t)
	wantLines(t, b.cluster("health"), "healthy: 3 agents, 3 partitions", "note: without --redis ")
	b.control(control.Drain{Journal: journalOf(1), On: true}, control.Drain{Journal: journalOf(3), On: true})
	b.slot(journalOf(2), 0)
	b.seal(journalOf(2), 1)
	wantProblems(t, b.cluster("health"), "node 1 (journal "+journalOf(1).String()+"): draining, 2 partitions left",
		"sealed at slot 1, and no control record says so: 1 partition without an owner", "node 3")
	got := b.cluster("health", "--json")
	var told struct{ Problems []string }
	if err := json.Unmarshal([]byte(got.out), &told); err != nil || len(told.Problems) != 3 || got.status != exitError {
		t.Errorf("%v: %+v", err, got)
	}
	got = b.cluster("health", "--redis", "redis://"+nobody(t), "--lease", "1ms")
	if !strings.Contains(got.out, ": away: dial tcp") && !strings.Contains(got.out, "no era was ever named") {
		t.Errorf("got %+v", got)
	}
}

func TestClusterDrain_IsToldInTheControlLog(t *testing.T) {
	b := poolBucket(t)
	for _, c := range []struct{ args, want string }{
		{"1", "node 1 drains now: 2 partitions left to move\n"},
		{"1", "node 1 was draining before: 2 partitions left to move\n"},
		{"3", "node 3 drains now: 0 partitions left to move\n"},
		{"2", "node 2 drains now: 1 partition left to move, and no other agent to take them\n"},
		{"2 --off", "node 2 drains no more\n"},
		{"2 --off", "node 2 was not draining\n"},
	} {
		if got := b.cluster(append([]string{"drain"}, strings.Fields(c.args)...)...); got != (outcome{out: c.want}) {
			t.Errorf("drain %s: got %+v", c.args, got)
		}
	}
	s := b.state()
	for node, want := range map[int]bool{1: true, 2: false, 3: true} {
		if j, _ := s.Journal(journalOf(node)); j.Draining != want {
			t.Errorf("node %d drains: %v", node, j.Draining)
		}
	}
	if s.Next() != 9 {
		t.Errorf("%d control numbers, want 9: what changes nothing is not written", s.Next())
	}
}

// An owner that obeys is played by the test: it waits for MOVE and assigns.
func TestClusterMove_WaitsUntilTheOwnerDid(t *testing.T) {
	b := poolBucket(t)
	p := topic.Partition{Topic: shoes, Index: 1}
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		for {
			payload, err := slotlog.ReadControl(context.Background(), b.store, b.next)
			if err == nil {
				records, _ := control.Decode(payload)
				if want := (control.Move{Partition: p, ToJournal: journalOf(2)}); len(records) != 1 || records[0] != want {
					t.Errorf("control record %v, want %v", records, want)
				}
				b.next++
				b.control(control.Assign{Partition: p, ToJournal: journalOf(2), Base: 7})
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	got := b.cluster("move", "shoes", "1", "2")
	<-answered
	if got.status != exitOK || !strings.HasPrefix(got.out, "shoes/1 moved from node 1 to node 2 in ") || !strings.HasSuffix(got.out, ", at epoch 1 from offset 7 on\n") {
		t.Errorf("got %+v", got)
	}
	if got := b.cluster("move", "shoes", "1", "2"); got.out != "shoes/1 is node 2's already, at epoch 1\n" {
		t.Errorf("got %+v", got)
	}
	wantLines(t, b.cluster("info", "--partitions"), "shoes 1 2 1 7 "+journalOf(2).String()+" moved from node 1")
	got = b.cluster("move", "shoes", "1", "3", "--timeout", "50ms")
	if got.status != exitError || got.err != "odradek: shoes/1 has not moved within 50ms: node 2 owns it still, at epoch 1; it was asked to and may do so later\n" {
		t.Errorf("got %+v", got)
	}
}

func TestClusterTakeover_NeedsNoRedis(t *testing.T) {
	b := poolBucket(t)
	b.slot(journalOf(1), 0)
	sealed := "journal " + journalOf(1).String() + " of node 1 is sealed at slot 1: "
	if got := b.cluster("takeover", "1"); got != (outcome{out: sealed + "node 2 got 1 partition, node 3 got 1 partition\n"}) {
		t.Errorf("got %+v", got)
	}
	if j, _ := b.state().Journal(journalOf(1)); !j.Sealed || j.SealSlot != 1 || j.Partitions() != 0 {
		t.Errorf("journal is %+v", j)
	}
	wantLines(t, b.cluster("info", "--partitions"), "shoes 0 3 1 0 "+journalOf(3).String()+" taken over from node 1")
	got := b.cluster("takeover", journalOf(1).String()[:5])
	if got.status != exitError || !strings.Contains(got.err, "of node 1 was sealed before, at slot 1") {
		t.Errorf("got %+v", got)
	}
	wantLines(t, b.cluster("takeover", journalOf(2).String()), "journal "+journalOf(2).String()+" of node 2 is sealed at slot 0: node 3 got 2 partitions")
	got = b.cluster("takeover", "3")
	if got.status != exitError || !strings.HasSuffix(got.err, ": no other open journal\n") || got.out != "" {
		t.Errorf("the last one, whom nobody can follow: got %+v", got)
	}
}

func TestCluster_ErrorsAreOneClearLine(t *testing.T) {
	b := poolBucket(t)
	for _, c := range []struct {
		args string
		want outcome
	}{
		{"drain x", outcome{exitUsage, "", "x is no node id"}},
		{"drain 7", outcome{exitError, "", "no open journal of node 7; `odradek cluster info` lists the agents"}},
		{"move hats 0 1", outcome{exitError, "", "no topic hats"}},
		{"move shoes 3 1", outcome{exitError, "", "shoes has 3 partitions, no 3"}},
		{"move shoes -- -1 1", outcome{exitUsage, "", "-1 is no partition"}},
		{"move shoes 0 9", outcome{exitError, "", "no open journal of node 9; `odradek cluster info` lists the agents"}},
		{"move shoes 0 1 --timeout 0s", outcome{exitUsage, "", "--timeout: 0s is no time to wait"}},
		{"takeover zz", outcome{exitError, "", "no journal zz; `odradek inspect journal` lists them"}},
		{"takeover c0", outcome{exitError, "", "c0 may be " + journalOf(1).String() + " or " + journalOf(2).String() + " or " + journalOf(3).String()}},
		{"health --lease 0s", outcome{exitUsage, "", "--lease: 0s is no lease"}},
		{"info --redis http://x", outcome{exitUsage, "", "--redis: http://x is no Redis; write embedded, redis://host:port or rediss://host:port"}},
		{"info --redis redis://:p@x", outcome{exitUsage, "", "--redis: redis://***@x holds a password; give it by ODRADEK_REDIS_PASSWORD or --redis-password-file"}},
	} {
		c.want.err = "odradek: " + c.want.err + "\n"
		args := strings.Fields(c.args)
		if got := odradek(t, append([]string{"cluster", args[0], "--bucket", b.url}, args[1:]...)...); got != c.want {
			t.Errorf("%s: got %+v", c.args, got)
		}
	}
	none := "file://" + t.TempDir()
	for _, args := range []string{"info", "health", "drain 1", "move a 0 1", "takeover 1"} {
		got := odradek(t, append(append([]string{"cluster"}, strings.Fields(args)...), "--bucket", none)...)
		if got.status != exitError || !strings.HasSuffix(got.err, ": no cluster here\n") {
			t.Errorf("%s of an empty directory: got %+v", args, got)
		}
	}
	if left, err := os.ReadDir(strings.TrimPrefix(none, "file://")); err != nil || len(left) > 0 {
		t.Errorf("the empty directory holds %v, %v", left, err)
	}
}

// An agent whose index is in its memory has the bucket alone: nobody writes beside it.
func TestCluster_ChangesNothingBesideAnAgentThatIsAlone(t *testing.T) {
	dir := t.TempDir()
	startAgent(t, dir)
	bucket := "file://" + filepath.Join(dir, "bucket")
	wantLines(t, odradek(t, "cluster", "health", "--bucket", bucket), "healthy: 1 agent, 0 partitions")
	got := odradek(t, "cluster", "drain", "1", "--bucket", bucket)
	if got.status != exitError || !strings.HasPrefix(got.err, "odradek: an agent without Redis has this bucket for itself: ") {
		t.Errorf("got %+v", got)
	}
}

// startSharing starts an agent that shares a directory and a Redis with others.
func startSharing(t *testing.T, dir string, node int, redis *servers.RedisServer) *process {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, address: nobody(t)}
	p.cmd = exec.Command(exe, "agent", "--data-dir", filepath.Join(dir, fmt.Sprint(node)), "--bucket", "file://"+filepath.Join(dir, "bucket"),
		"--redis", redis.URL(), "--cluster", "pool", "--listen", p.address, "--http", "none", "--node-id", fmt.Sprint(node),
		"--flush-interval", "5ms", "--wal-size", "128MiB", "--lease", "1s")
	p.cmd.Env = append(os.Environ(), asProgram, "ODRADEK_REDIS_PASSWORD="+redis.Password)
	p.cmd.Stderr = &logged{t: t}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("the agent did not come up: %v", err)
	}
	return p
}

func TestCluster_HeartbeatsAndIndexInRedis(t *testing.T) {
	redis, dir := servers.OwnRedis(t), t.TempDir()
	p := startSharing(t, dir, 4, redis)
	produceOneByOne(t, p.address, 20)
	where := []string{"--bucket", "file://" + filepath.Join(dir, "bucket"), "--redis", redis.URL(), "--cluster", "pool"}
	cluster := func(args ...string) outcome {
		return odradek(t, append(append([]string{"cluster"}, args...), where...)...)
	}

	wantLines(t, cluster("info"), "redis "+redis.URL()+", era 1 open, behind by 0 control numbers and 0 slots")
	wantLines(t, cluster("health"), "healthy: 1 agent, ")
	var v clusterView
	if err := json.Unmarshal([]byte(cluster("info", "--json").out), &v); err != nil || !v.Agents[0].Heartbeat.Moving || *v.Agents[0].Indexed < 20 || *v.Agents[0].Behind != 0 {
		t.Errorf("%v: %+v", err, v)
	}
	if r := verified(t, where[1], where[2:]...); r.Index.Era != 1 || r.Index.Slots < 20 || r.Index.Ends < 3 || r.Index.SlotsBehind != 0 {
		t.Errorf("index %+v", r.Index)
	}
	wantLines(t, odradek(t, append([]string{"verify", "--fast"}, where...)...), "index era 1 in run ", "clean")
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	wantProblems(t, cluster("health", "--lease", "1500ms"), "node 4 (journal "+v.Agents[0].Journal+"): heartbeat stood still for 1.")
	if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	p.kill()
	redis.Restart() // another process: another identity, and nothing in it
	wantProblems(t, cluster("health", "--lease", "100ms"), "not the one that era 1 names")
	got := odradek(t, append([]string{"verify", "--fast"}, where...)...)
	if got.status != exitError || got.err != "odradek: the index was not checked: no era is open there\n" || !strings.HasSuffix(got.out, "\nclean\n") {
		t.Errorf("got %+v", got)
	}
	redis.Kill()
	wantProblems(t, cluster("health", "--lease", "100ms"), "away: dial tcp ")
	if got := odradek(t, append([]string{"verify", "--fast"}, where...)...); got.status != exitError || !strings.Contains(got.err, ": read the index: ") {
		t.Errorf("got %+v", got)
	}
}
