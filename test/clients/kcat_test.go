package clients

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
)

// kcat runs kcat to its end.
func kcat(t testing.TB, input string, arguments ...string) string {
	t.Helper()
	cmd := exec.Command("kcat", arguments...)
	cmd.Stdin = strings.NewReader(input)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer timer.Stop()
	if err := cmd.Wait(); err != nil {
		t.Fatalf("kcat %s: %v\n%s", strings.Join(arguments, " "), err, &stderr)
	}
	return stdout.String()
}

// kcatRecord is a record as `kcat -C -J` prints it.
type kcatRecord struct {
	Partition int32
	Offset    int64
	TsType    string
	Ts        int64
	Key       *string
	Payload   *string
	Headers   []string // name, value, name, value
}

func (k kcatRecord) record() Record {
	r := Record{Partition: k.Partition, Offset: k.Offset, Timestamp: k.Ts}
	if k.Key != nil {
		r.Key = []byte(*k.Key)
	}
	if k.Payload != nil {
		r.Value = []byte(*k.Payload)
	}
	for i := 0; i+1 < len(k.Headers); i += 2 {
		r.Headers = append(r.Headers, Header{k.Headers[i], []byte(k.Headers[i+1])})
	}
	return r
}

func kcatRecords(t testing.TB, output string) []Record {
	t.Helper()
	var records []Record
	for text := range strings.Lines(output) {
		var k kcatRecord
		if err := json.Unmarshal([]byte(text), &k); err != nil {
			t.Fatalf("kcat said %q: %v", text, err)
		}
		records = append(records, k.record())
	}
	return records
}

func TestKcat_ProducesListsAndConsumes(t *testing.T) {
	t.Parallel()
	need(t, kcatPart)
	agent := startAgent(t)
	var want []string
	for _, codec := range allCodecs {
		var input strings.Builder
		for i := range 40 {
			fmt.Fprintf(&input, "key-%d:%s %d\n", i%5, codec, i)
			want = append(want, fmt.Sprintf("key-%d:%s %d", i%5, codec, i))
		}
		kcat(t, input.String(), "-b", agent.Addr, "-P", "-t", "lines", "-K:", "-z", codec, "-H", "codec="+codec, "-X", "acks=all")
	}

	var listing struct {
		Brokers []struct{ Name string }
		Topics  []struct {
			Topic      string
			Partitions []struct{ Partition, Leader int }
		}
	}
	if err := json.Unmarshal([]byte(kcat(t, "", "-b", agent.Addr, "-L", "-J")), &listing); err != nil {
		t.Fatal(err)
	}
	if len(listing.Brokers) != 1 || listing.Brokers[0].Name != agent.Addr {
		t.Fatalf("-L names brokers %v, want %s", listing.Brokers, agent.Addr)
	}
	if len(listing.Topics) != 1 || listing.Topics[0].Topic != "lines" || len(listing.Topics[0].Partitions) != 4 {
		t.Fatalf("-L names topics %v, want lines with 4 partitions", listing.Topics)
	}

	read := kcatRecords(t, kcat(t, "", "-b", agent.Addr, "-C", "-t", "lines", "-e", "-q", "-J"))
	var got []string
	for _, r := range read {
		text := fmt.Sprintf("%s:%s", r.Key, r.Value)
		got = append(got, text)
		if len(r.Headers) != 1 || r.Headers[0].Name != "codec" || !strings.HasPrefix(string(r.Value), string(r.Headers[0].Value)+" ") {
			t.Fatalf("%s has headers %v", text, r.Headers)
		}
	}
	// kcat does not tell the offsets of acks, but all records of a key are in one partition in the order of sending.
	for key := range 5 {
		prefix := fmt.Sprintf("key-%d:", key)
		other := func(text string) bool { return !strings.HasPrefix(text, prefix) }
		if diff := gocmp.Diff(slices.DeleteFunc(slices.Clone(want), other), slices.DeleteFunc(slices.Clone(got), other)); diff != "" {
			t.Fatalf("read (+) is not what was sent (-):\n%s", diff)
		}
	}
	all, _ := readAll(t, agent.Addr, "lines")
	compare(t, all, read)
}

func TestKcat_ReadsFromAnOffsetATimeAndTheEnd(t *testing.T) {
	t.Parallel()
	need(t, kcatPart)
	agent := startAgent(t)
	acked := produceFranz(t, agent.Addr, "times", messages(60, 1))
	consume := func(from string) []Record {
		return kcatRecords(t, kcat(t, "", "-b", agent.Addr, "-C", "-t", "times", "-p", "0", "-o", from, "-e", "-q", "-J"))
	}
	compare(t, acked[20:], consume("20"))
	compare(t, acked[50:], consume("-10"))
	compare(t, acked[30:], consume(fmt.Sprintf("s@%d", acked[30].Timestamp)))
	compare(t, acked[31:], consume(fmt.Sprintf("s@%d", acked[30].Timestamp+1)))
	if answer := kcat(t, "", "-b", agent.Addr, "-Q", "-t", fmt.Sprintf("times:0:%d", acked[30].Timestamp)); !strings.Contains(answer, "offset 30") {
		t.Fatalf("-Q says %q, want offset 30", answer)
	}
}

func TestKcat_GroupResumesWhereItCommitted(t *testing.T) {
	t.Parallel()
	need(t, kcatPart)
	agent := startAgent(t)
	first := produceFranz(t, agent.Addr, "shared", messages(60, 4))
	member := func() []Record {
		return kcatRecords(t, kcat(t, "", "-b", agent.Addr, "-G", "readers", "-e", "-q", "-J", "-X", "auto.offset.reset=earliest", "shared"))
	}
	compare(t, first, member())
	second := produceFranz(t, agent.Addr, "shared", messages(40, 4))
	compare(t, second, member())
	if got := committed(t, agent.Addr, "readers", "shared"); got != 100 {
		t.Fatalf("the group has committed %d of 100 records", got)
	}
}

// A kcat that reads on prints what comes until it is ended.
func TestKcat_TailPrintsWhatComes(t *testing.T) {
	t.Parallel()
	need(t, kcatPart)
	agent := startAgent(t)
	produceFranz(t, agent.Addr, "tail", messages(10, 1))
	cmd := exec.Command("kcat", "-b", agent.Addr, "-C", "-t", "tail", "-o", "beginning", "-u", "-q", "-J")
	var output tail
	cmd.Stdout = &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	lines := func(n int) func() bool {
		return func() bool { return strings.Count(output.String(), "\n") == n }
	}
	agent.Wait(patience, "10 records from kcat", lines(10))
	produceFranz(t, agent.Addr, "tail", messages(5, 1))
	agent.Wait(patience, "15 records from kcat", lines(15))
}
