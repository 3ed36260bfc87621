package group

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/odradek/odradek/agent/group/offsetsrecord"
	"github.com/odradek/odradek/topic"
)

var update = flag.Bool("update", false, "write what the machine does into testdata")

// TestMachine_Scripts plays every script of testdata. A script is a list of steps: commands, a line of dashes, and
// what comes of them, up to an empty line. Each command that a client would send has a label, which names its call in
// the answers and is the random part of the member id that the call may get.
//
//	A: join g client=c v=4 range:topics        joins; v=4: a member id is asked for first; static=i, id=, session=, rebalance=, type=
//	A: sync g id=c-A gen=1 c-A=all             with the leader's assignments; type=, proto=
//	A: heartbeat g id=c-A gen=1
//	A: leave g c-A i/static                    members by id, by instance (/i) or both (c-A/i)
//	A: commit g [id= gen=] t/0=5 t/1=7@3,note  offset[@leader epoch][,metadata]; keep= asks for a retention
//	A: fetch g t/0 | A: fetch g                without partitions: all
//	A: describe g | A: list | A: delete g | A: deleteoffsets g t/0
//	gone t                                     the topic was deleted
//	set delay=0s                               a setting: delay, retention, groups, members
//	wait 3s                                    time passes, timers fire
//	count [n]                                  the oldest n appends count, or all
//	restart                                    what counts is loaded anew
//
// Answers that need the owner's proof end in "(prove)".
func TestMachine_Scripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(text))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(text), got); diff != "" {
				t.Errorf("script went otherwise (-want +got):\n%s", diff)
			}
		})
	}
}

// play runs a script and returns it with what came of it.
func play(t *testing.T, text string) string {
	s := newStage(t)
	var out strings.Builder
	skipping := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case line == "----":
			fmt.Fprintf(&out, "----\n%s", s.out.String())
			s.out.Reset()
			skipping = true
		case skipping && line != "":
		case line == "" || strings.HasPrefix(line, "#"):
			skipping = false
			out.WriteString(line + "\n")
		default:
			out.WriteString(line + "\n")
			s.do(line)
		}
	}
	return out.String()
}

// stage is a machine with a clock, timers and a log.
type stage struct {
	t        *testing.T
	cfg      Config
	m        *Machine
	now      time.Time
	timers   *timers
	labels   map[Call]string
	calls    Call
	appended []Decision // not counted yet
	log      []offsetsrecord.Record
	out      strings.Builder
}

func newStage(t *testing.T) *stage {
	cfg := Defaults()
	cfg.MaxGroupSize = 3
	cfg.MaxOffsets = 4
	cfg.MaxRecordBytes = 200
	s := &stage{t: t, cfg: cfg, now: time.UnixMilli(1_000_000_000_000), labels: map[Call]string{}}
	s.load()
	return s
}

func (s *stage) load() {
	s.m, s.timers, s.appended = NewMachine(s.cfg), newTimers(), nil
	for _, r := range s.log {
		s.m.Replay(s.now, r)
	}
	s.apply(s.m.Loaded(s.now))
}

func (s *stage) do(line string) {
	label, rest, ok := strings.Cut(line, ": ")
	if !ok {
		label, rest = "", line
	}
	words := strings.Fields(rest)
	c := command{t: s.t, line: line, verb: words[0], opts: map[string]string{}}
	for _, w := range words[1:] {
		k, v, isOpt := strings.Cut(w, "=")
		if isOpt && knownOpts[k] {
			c.opts[k] = v
		} else {
			c.args = append(c.args, w)
		}
	}
	switch c.verb {
	case "set":
		s.set(&c)
	case "wait":
		s.wait(c.duration(c.args[0], 0))
	case "count":
		s.count(&c)
	case "restart":
		s.load()
	case "gone":
		s.apply(s.m.TopicsDeleted(s.now, c.args))
	default:
		s.calls++
		s.labels[s.calls] = label
		s.apply(s.call(&c, label))
	}
}

func (s *stage) set(c *command) {
	for _, w := range c.args {
		k, v, _ := strings.Cut(w, "=")
		switch k {
		case "delay":
			s.cfg.InitialRebalanceDelay = c.duration(v, 0)
		case "retention":
			s.cfg.OffsetsRetention = c.duration(v, 0)
		case "groups":
			s.cfg.MaxGroups = int(c.number(v))
		case "members":
			s.cfg.MaxGroupSize = int(c.number(v))
		default:
			s.t.Fatalf("%s: unknown setting", c.line)
		}
	}
	s.m.cfg = s.cfg
}

// wait lets time pass. Each timer fires at its own time.
func (s *stage) wait(d time.Duration) {
	end := s.now.Add(d)
	for {
		at, ok := s.timers.next()
		if !ok || at.After(end) {
			break
		}
		s.now = at
		timer, _ := s.timers.due(s.now)
		s.apply(s.m.Fire(s.now, timer))
	}
	s.now = end
}

func (s *stage) count(c *command) {
	n := len(s.appended)
	if len(c.args) > 0 {
		n = int(c.number(c.args[0]))
	}
	for _, d := range s.appended[:n] {
		s.log = append(s.log, d.Records...)
	}
	done := s.appended[:n]
	s.appended = s.appended[n:]
	for _, d := range done {
		s.apply(s.m.Counted(s.now, d.Seq))
	}
}

func (s *stage) apply(d Decision) {
	for _, r := range d.Replies {
		prove := ""
		if r.Prove {
			prove = " (prove)"
		}
		fmt.Fprintf(&s.out, "%s: %s%s\n", s.labels[r.Call], showReply(r.Body), prove)
		delete(s.labels, r.Call)
	}
	for _, r := range d.Records {
		key, value := offsetsrecord.Encode(r)
		if again, err := offsetsrecord.Decode(key, value); err != nil || !cmp.Equal(again, r, cmp.Comparer(sameBytes)) {
			s.t.Errorf("record does not survive: %v, %s", err, cmp.Diff(r, again))
		}
		fmt.Fprintf(&s.out, "append: %s\n", showRecord(r))
	}
	for _, c := range d.Timers {
		s.timers.change(s.now, c)
	}
	if d.Seq != 0 {
		s.appended = append(s.appended, d)
	}
}

func sameBytes(a, b []byte) bool { return string(a) == string(b) }

func (s *stage) call(c *command, label string) Decision {
	group := ""
	if c.verb != "list" && len(c.args) > 0 {
		group, c.args = strings.Trim(c.args[0], `"`), c.args[1:]
	}
	switch c.verb {
	case "join":
		return s.m.Join(s.now, s.calls, c.join(group, label))
	case "sync":
		return s.m.Sync(s.now, s.calls, c.sync(group))
	case "heartbeat":
		return s.m.Heartbeat(s.now, s.calls, HeartbeatRequest{Group: group, MemberID: c.opts["id"], InstanceID: c.opts["static"], Generation: c.generation()})
	case "leave":
		return s.m.Leave(s.now, s.calls, c.leave(group))
	case "commit":
		return s.m.Commit(s.now, s.calls, c.commit(group))
	case "fetch":
		return s.m.Fetch(s.now, s.calls, FetchRequest{Group: group, All: len(c.args) == 0, Parts: c.parts()})
	case "describe":
		return s.m.Describe(s.now, s.calls, DescribeRequest{Group: group})
	case "list":
		return s.m.List(s.now, s.calls)
	case "delete":
		return s.m.Delete(s.now, s.calls, DeleteRequest{Group: group})
	case "deleteoffsets":
		return s.m.DeleteOffsets(s.now, s.calls, DeleteOffsetsRequest{Group: group, Parts: c.parts()})
	}
	s.t.Fatalf("%s: unknown command", c.line)
	return Decision{}
}

var knownOpts = map[string]bool{"id": true, "static": true, "client": true, "v": true, "session": true, "rebalance": true,
	"type": true, "proto": true, "gen": true, "keep": true}

// command is a line of a script.
type command struct {
	t    *testing.T
	line string
	verb string
	opts map[string]string
	args []string
}

func (c *command) duration(s string, otherwise time.Duration) time.Duration {
	if s == "" {
		return otherwise
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		c.t.Fatalf("%s: %v", c.line, err)
	}
	return d
}

func (c *command) number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		c.t.Fatalf("%s: %v", c.line, err)
	}
	return n
}

func (c *command) generation() int32 {
	if c.opts["gen"] == "" {
		return NoGeneration
	}
	return int32(c.number(c.opts["gen"]))
}

func (c *command) or(key, otherwise string) string {
	if v, ok := c.opts[key]; ok {
		return v
	}
	return otherwise
}

// join reads protocols as name:topic+topic; a topic list becomes a consumer's metadata, "name:!x" is the bytes x.
func (c *command) join(group, label string) JoinRequest {
	version := c.number(c.or("v", "3"))
	r := JoinRequest{
		Group: group, MemberID: c.opts["id"], InstanceID: c.opts["static"],
		ClientID: c.or("client", "c"), ClientHost: "/host",
		SessionTimeout:   c.duration(c.opts["session"], 10*time.Second),
		RebalanceTimeout: c.duration(c.opts["rebalance"], 60*time.Second),
		ProtocolType:     c.or("type", "consumer"),
		RequireMemberID:  version >= 4,
		SkipAssignment:   version >= 9,
		Unique:           label,
	}
	for _, a := range c.args {
		name, meta, _ := strings.Cut(a, ":")
		p := Protocol{Name: name}
		if raw, ok := strings.CutPrefix(meta, "!"); ok {
			p.Metadata = []byte(raw)
		} else {
			p.Metadata = consumerMetadata(strings.Split(meta, "+"))
		}
		r.Protocols = append(r.Protocols, p)
	}
	return r
}

func consumerMetadata(topics []string) []byte {
	b := binary.BigEndian.AppendUint32([]byte{0, 1}, uint32(len(topics)))
	for _, t := range topics {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(t))), t...)
	}
	return append(b, 0xff, 0xff, 0xff, 0xff)
}

func (c *command) sync(group string) SyncRequest {
	r := SyncRequest{Group: group, MemberID: c.opts["id"], InstanceID: c.opts["static"], Generation: c.generation()}
	if v, ok := c.opts["type"]; ok {
		r.ProtocolType = &v
	}
	if v, ok := c.opts["proto"]; ok {
		r.Protocol = &v
	}
	for _, a := range c.args {
		id, bytes, _ := strings.Cut(a, "=")
		if n, ok := strings.CutPrefix(bytes, "x"); ok {
			if size, err := strconv.Atoi(n); err == nil {
				bytes = strings.Repeat("x", size)
			}
		}
		r.Assignments = append(r.Assignments, Assignment{MemberID: id, Bytes: []byte(bytes)})
	}
	return r
}

func (c *command) leave(group string) LeaveRequest {
	r := LeaveRequest{Group: group}
	for _, a := range c.args {
		id, instance, _ := strings.Cut(a, "/")
		r.Members = append(r.Members, LeavingMember{MemberID: id, InstanceID: instance})
	}
	return r
}

func (c *command) commit(group string) CommitRequest {
	r := CommitRequest{Group: group, MemberID: c.opts["id"], InstanceID: c.opts["static"], Generation: c.generation(),
		Retention: c.duration(c.opts["keep"], 0)}
	for _, a := range c.args {
		where, what, _ := strings.Cut(a, "=")
		what, note, _ := strings.Cut(what, ",")
		offset, epoch, ok := strings.Cut(what, "@")
		o := CommitOffset{TopicPartition: c.part(where), Offset: topic.Offset(c.number(offset)), LeaderEpoch: -1, Metadata: note}
		if ok {
			o.LeaderEpoch = int32(c.number(epoch))
		}
		if n, ok := strings.CutPrefix(note, "x"); ok {
			if size, err := strconv.Atoi(n); err == nil {
				o.Metadata = strings.Repeat("x", size)
			}
		}
		r.Offsets = append(r.Offsets, o)
	}
	return r
}

func (c *command) parts() []TopicPartition {
	var out []TopicPartition
	for _, a := range c.args {
		out = append(out, c.part(a))
	}
	return out
}

func (c *command) part(s string) TopicPartition {
	name, index, _ := strings.Cut(s, "/")
	return TopicPartition{Topic: name, Partition: int32(c.number(index))}
}

// The names of errors in scripts are Kafka's.
var errorNames = []struct {
	err  error
	name string
}{
	{ErrInvalidGroupID, "INVALID_GROUP_ID"}, {ErrInvalidSessionTimeout, "INVALID_SESSION_TIMEOUT"},
	{ErrUnknownMember, "UNKNOWN_MEMBER_ID"}, {ErrIllegalGeneration, "ILLEGAL_GENERATION"},
	{ErrRebalanceInProgress, "REBALANCE_IN_PROGRESS"}, {ErrFencedInstance, "FENCED_INSTANCE_ID"},
	{ErrInconsistentProtocol, "INCONSISTENT_GROUP_PROTOCOL"}, {ErrMemberIDRequired, "MEMBER_ID_REQUIRED"},
	{ErrGroupFull, "GROUP_MAX_SIZE_REACHED"}, {ErrGroupNotFound, "GROUP_ID_NOT_FOUND"},
	{ErrGroupNotEmpty, "NON_EMPTY_GROUP"}, {ErrSubscribed, "GROUP_SUBSCRIBED_TO_TOPIC"},
	{ErrMetadataTooLarge, "OFFSET_METADATA_TOO_LARGE"}, {ErrGroupTooLarge, "group too large"},
	{ErrTooManyGroups, "too many groups"}, {ErrTooManyOffsets, "too many offsets"},
	{ErrLoadInProgress, "COORDINATOR_LOAD_IN_PROGRESS"},
}

func showErr(err error) string {
	if err == nil {
		return "ok"
	}
	for _, e := range errorNames {
		if errors.Is(err, e.err) {
			return e.name
		}
	}
	return err.Error()
}

func showErrs(err error, errs []error) string {
	if err != nil {
		return showErr(err)
	}
	var out []string
	for _, e := range errs {
		out = append(out, showErr(e))
	}
	return strings.Join(out, " ")
}

func showReply(body any) string {
	switch r := body.(type) {
	case JoinReply:
		return showJoin(r)
	case SyncReply:
		if r.Err != nil {
			return showErr(r.Err)
		}
		return fmt.Sprintf("ok %s/%s assignment=%q", r.ProtocolType, r.Protocol, r.Assignment)
	case HeartbeatReply:
		return showErr(r.Err)
	case LeaveReply:
		return showErrs(r.Err, r.Errs)
	case CommitReply:
		return showErrs(r.Err, r.Errs)
	case FetchReply:
		var out []string
		for _, o := range r.Offsets {
			out = append(out, fmt.Sprintf("%s/%d=%s", o.Topic, o.Partition, showOffset(o.Offset, o.LeaderEpoch, o.Metadata)))
		}
		return "[" + strings.Join(out, " ") + "]"
	case DescribeReply:
		return showDescription(r)
	case ListReply:
		var out []string
		for _, g := range r.Groups {
			out = append(out, fmt.Sprintf("%s(%s %q)", g.Group, g.State, g.ProtocolType))
		}
		return "[" + strings.Join(out, " ") + "]"
	case DeleteReply:
		return showErr(r.Err)
	case DeleteOffsetsReply:
		return showErrs(r.Err, r.Errs)
	}
	return fmt.Sprintf("%+v", body)
}

func showJoin(r JoinReply) string {
	if r.Err != nil {
		return strings.TrimSpace(fmt.Sprintf("%s %s", showErr(r.Err), r.MemberID))
	}
	out := fmt.Sprintf("ok %s gen=%d %s/%s leader=%s", r.MemberID, r.Generation, r.ProtocolType, r.Protocol, r.Leader)
	if r.SkipAssignment {
		out += " skip"
	}
	if len(r.Members) > 0 {
		var ids []string
		for _, m := range r.Members {
			id := m.ID
			if m.InstanceID != "" {
				id += "/" + m.InstanceID
			}
			ids = append(ids, id)
		}
		out += " members=[" + strings.Join(ids, " ") + "]"
	}
	return out
}

func showOffset(o topic.Offset, epoch int32, note string) string {
	out := strconv.FormatInt(int64(o), 10)
	if epoch != -1 {
		out += fmt.Sprintf("@%d", epoch)
	}
	if note != "" {
		out += "," + note
	}
	return out
}

func showDescription(r DescribeReply) string {
	out := fmt.Sprintf("%s %s %s/%s", showErr(r.Err), r.State, r.ProtocolType, r.Protocol)
	for _, m := range r.Members {
		out += fmt.Sprintf(" %s(%s%s %q)", m.ID, m.ClientID, m.ClientHost, m.Assignment)
	}
	return out
}

func showRecord(r offsetsrecord.Record) string {
	if c := r.Commit; c != nil {
		if c.Value == nil {
			return fmt.Sprintf("%s %s/%d deleted", c.Group, c.Topic, c.Partition)
		}
		return fmt.Sprintf("%s %s/%d=%s", c.Group, c.Topic, c.Partition, showOffset(c.Value.Offset, c.Value.LeaderEpoch, c.Value.Metadata))
	}
	g := r.Group.Value
	if g == nil {
		return fmt.Sprintf("%s deleted", r.Group.Group)
	}
	out := fmt.Sprintf("%s gen=%d %s/%s leader=%s", r.Group.Group, g.Generation, g.ProtocolType, g.Protocol, g.Leader)
	for _, m := range g.Members {
		out += fmt.Sprintf(" %s=%q", m.ID, m.Assignment)
	}
	return out
}
