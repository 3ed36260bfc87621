package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// nobody gives an address of this machine that nothing listens on.
func nobody(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestClientCommands_SayPlainlyThatNoBrokerIsThere(t *testing.T) {
	address := nobody(t)
	for _, args := range []string{
		"topic list", "topic create t", "topic describe t", "topic delete t", "topic delete-records t 0:1", "produce t", "consume t", "consume t --group g",
		"group list", "group describe g",
	} {
		got := odradekIn(t, world{args: strings.Fields(args), environ: []string{"ODRADEK_BOOTSTRAP=" + address}})
		start := "odradek: no Kafka broker reachable at " + address + "; is an agent running there? ("
		if got.status != exitError || !strings.HasPrefix(got.err, start) || strings.Count(got.err, "\n") != 1 {
			t.Errorf("%s: got %+v", args, got)
		}
	}
}

func TestUnreachable_WarnsOnceOfEachAdvertisedAddress(t *testing.T) {
	var out bytes.Buffer
	u := unreachable{warn: &out}
	refused := errors.New("connection refused")
	u.OnBrokerConnect(kgo.BrokerMetadata{NodeID: -1, Host: "seed", Port: 1}, 0, nil, refused)
	u.OnBrokerConnect(kgo.BrokerMetadata{NodeID: 1, Host: "10.0.0.7", Port: 9092}, 0, nil, nil)
	u.OnBrokerConnect(kgo.BrokerMetadata{NodeID: 1, Host: "10.0.0.7", Port: 9092}, 0, nil, context.Canceled)
	for range 3 {
		u.OnBrokerConnect(kgo.BrokerMetadata{NodeID: 1, Host: "10.0.0.7", Port: 9092}, 0, nil, refused)
	}
	want := "odradek: cannot reach broker 1 at 10.0.0.7:9092, the address it advertises: connection refused\n"
	if out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestProducer_SplitsKeysFromLines(t *testing.T) {
	p := producer{topic: "t", flags: produceFlags{separator: "::", partition: 2}}
	r, err := p.record([]byte("key::value::more"))
	if err != nil || string(r.Key) != "key" || string(r.Value) != "value::more" || r.Partition != 2 {
		t.Errorf("got %v, %v", r, err)
	}
	if _, err := p.record([]byte("value")); err == nil {
		t.Error("a line without a separator is taken")
	}
	p.flags.separator = ""
	if r, err := p.record(nil); err != nil || r.Key != nil {
		t.Errorf("an empty line: got %v, %v", r, err)
	}
}

func TestProducer_SummaryTellsRangesPerPartition(t *testing.T) {
	p := producer{topic: "t", acked: map[int32]*span{}}
	if got := p.summary(); got != "produced 0 records to t" {
		t.Errorf("nothing: %q", got)
	}
	for _, r := range []*kgo.Record{{Partition: 3, Offset: 7}, {Partition: 0, Offset: 5}, {Partition: 0, Offset: 4}, {Partition: 3, Offset: 9}} {
		p.done(r, nil)
	}
	if got, want := p.summary(), "produced 4 records to t: partition 0 [4, 6), partition 3 2 records within [7, 10)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	p.flags.acks = "0"
	if got, want := p.summary(), "produced 4 records to t"; got != want {
		t.Errorf("without acks: got %q, want %q", got, want)
	}
}

func TestReadLines_LastLineNeedsNoEndAndLongOnesAreRefused(t *testing.T) {
	read := func(in io.Reader) ([]string, error) {
		lines, ended := make(chan []byte), make(chan error, 1)
		go func() { ended <- readLines(context.Background(), in, lines) }()
		var all []string
		for {
			select {
			case line := <-lines:
				all = append(all, string(line))
			case err := <-ended:
				return all, err
			}
		}
	}
	got, err := read(strings.NewReader("a\n\nb\r\nc"))
	if diff := cmp.Diff([]string{"a", "", "b", "c"}, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if _, err := read(io.LimitReader(zeros{}, maxLine+1)); !errors.Is(err, errLongLine) {
		t.Errorf("got %v, want %v", err, errLongLine)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

func TestConsume_PrintsWhatIsAsked(t *testing.T) {
	r := &kgo.Record{Partition: 1, Offset: 42, Key: []byte("k"), Value: []byte("v")}
	for want, f := range map[string]consumeFlags{
		"v\n":          {},
		"k\tv\n":       {keys: true},
		"1:42\tv\n":    {offsets: true},
		"1:42\tk\tv\n": {keys: true, offsets: true},
	} {
		var out bytes.Buffer
		w := bufio.NewWriter(&out)
		f.print(w, r)
		if err := w.Flush(); err != nil || out.String() != want {
			t.Errorf("%+v: got %q, want %q", f, out.String(), want)
		}
	}
}

func TestPrintGroup_ShowsMembersOffsetsAndLag(t *testing.T) {
	member := kadm.DescribedGroupMember{MemberID: "m-1", ClientID: "app", ClientHost: "/127.0.0.1"}
	lag := func(partition int32, committed, end, left int64, err error) kadm.GroupMemberLag {
		return kadm.GroupMemberLag{
			Member: &member, Topic: "t", Partition: partition, Commit: kadm.Offset{At: committed},
			End: kadm.ListedOffset{Offset: end}, Lag: left, Err: err,
		}
	}
	var out bytes.Buffer
	err := printGroup(&out, kadm.DescribedGroupLag{
		Group: "g", State: "Stable", ProtocolType: "consumer", Protocol: "range",
		Coordinator: kadm.BrokerDetail{NodeID: 1}, Members: []kadm.DescribedGroupMember{member},
		Lag: kadm.GroupLag{"t": {0: lag(0, 5, 8, 3, nil), 1: lag(1, -1, 2, -1, kerr.NotCoordinator)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `g  Stable consumer range, coordinator 1, 1 member, lag 3
MEMBER   INSTANCE   CLIENT   HOST
m-1      -          app      /127.0.0.1
TOPIC   PARTITION   COMMITTED   END   LAG               MEMBER
t       0           5           8     3                 m-1
t       1           -           2     NOT_COORDINATOR   m-1
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("group (-want +got):\n%s", diff)
	}
}
