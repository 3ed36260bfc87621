package control

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/odradek/odradek/topic"
)

var update = flag.Bool("update", false, "write golden files and the scripts' answers anew")

// TestScripts plays testdata/*.txt. A script is a list of blocks: some lines of commands, a line "----", and what
// the machine answers, up to an empty line. The records of a block are one batch at the next control number, and
// each answers ok or void and why; a block of questions leaves the state alone. Journals and topics go by names.
//
//	genesis CLUSTER [format=N]
//	feature NAME FROM LEVEL
//	cluster VERSION [name=value ...] [-name ...]
//	topic NAME owners=J,J... [id=T] [internal] [config.name=value ...]
//	partitions TOPIC FROM owners=J,J...
//	delete TOPIC
//	config TOPIC VERSION [name=value ...] [-name ...]
//	open J [node=N] [k=N] [format=N] [/ seal ... ] [/ seal ...]
//	seal J slot=N [trim=N] [TOPIC/INDEX@OLDEPOCH:BASE>J ...]
//	assign TOPIC/INDEX@OLDEPOCH:BASE>J
//	ids FROM COUNT J
//	era NUMBER RUN REPLICATION
//
// Questions: topics, journals, history TOPIC/INDEX, end TOPIC/INDEX EPOCH, owned J.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("scripts: %v, %v", files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { playFile(t, file) })
	}
}

func playFile(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p := &player{state: New(), names: map[string]string{}}
	var out strings.Builder
	for _, block := range strings.Split(strings.TrimSpace(string(text)), "\n\n") {
		commands, _, asked := strings.Cut(block, "\n----")
		out.WriteString(commands)
		if asked {
			out.WriteString("\n----\n" + p.play(t, commands))
		} else {
			out.WriteString("\n")
		}
		out.WriteString("\n")
	}
	got := strings.TrimSpace(out.String()) + "\n"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(string(text), got); diff != "" && !*update {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// player is the state that a script has brought about, and the names it gave.
type player struct {
	state *State
	names map[string]string // printed id -> name
}

func (p *player) play(t *testing.T, commands string) string {
	t.Helper()
	var batch []Record
	var answers strings.Builder
	for line := range strings.Lines(commands) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] == "#" {
			continue
		}
		if answer, ok := p.ask(fields); ok {
			answers.WriteString(answer)
			continue
		}
		batch = append(batch, p.record(t, fields))
	}
	if len(batch) > 0 {
		next, outcomes, err := p.state.Apply(p.state.Next(), overTheWire(t, batch))
		if err != nil {
			return fmt.Sprintf("error: %v\n", err)
		}
		p.state = next
		for _, o := range outcomes {
			if o.Void {
				answers.WriteString("void: " + o.Why + "\n")
			} else {
				answers.WriteString("ok\n")
			}
		}
	}
	text := answers.String()
	for printed, name := range p.names {
		text = strings.ReplaceAll(text, printed, name)
	}
	return text
}

// overTheWire encodes and decodes a batch, so that scripts also hold the encoding.
func overTheWire(t *testing.T, batch []Record) []Record {
	t.Helper()
	payload, err := Encode(batch)
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := Decode(payload)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(batch, decoded); diff != "" {
		t.Fatalf("batch over the wire (-sent +read):\n%s", diff)
	}
	return decoded
}

func (p *player) ask(f []string) (string, bool) {
	var b strings.Builder
	switch f[0] {
	case "topics":
		for topic := range p.state.Topics() {
			fmt.Fprintf(&b, "%s id %s partitions %d%s%s\n", topic.Name, topic.ID, topic.Partitions(),
				word(topic.Internal, " internal"), describeConfig(topic.Config))
		}
	case "journals":
		for j := range p.state.Journals() {
			fmt.Fprintf(&b, "%s node %d opened at %d owns %d", j.ID, j.NodeID, j.Opened, j.Partitions())
			if j.Sealed {
				fmt.Fprintf(&b, ", sealed at %d in slot %d", j.SealedAt, j.SealSlot)
			}
			b.WriteString("\n")
		}
	case "history":
		for _, a := range p.state.Assignments(p.partition(f[1])) {
			fmt.Fprintf(&b, "epoch %d in %s [%d,%s)\n", a.Epoch, a.Journal, a.Base, endName(a.End))
		}
	case "end":
		epoch, end, ok := p.state.EpochEnd(p.partition(f[1]), topic.Epoch(number(f[2])))
		fmt.Fprintf(&b, "epoch %d ends at %s, known %v\n", epoch, endName(end), ok)
	case "owned":
		for _, a := range p.state.PartitionsOf(p.journal(f[1])) {
			fmt.Fprintf(&b, "%s epoch %d base %d\n", a.Partition, a.Epoch, a.Base)
		}
	default:
		return "", false
	}
	return b.String(), true
}

func endName(end topic.Offset) string {
	if end == EndOpen {
		return "open"
	}
	return fmt.Sprint(int64(end))
}

func (p *player) record(t *testing.T, f []string) Record {
	t.Helper()
	a := arguments(f[1:])
	switch f[0] {
	case "genesis":
		return Genesis{ClusterID: f[1], Format: uint32(number(a.or("format", "1")))}
	case "feature":
		return Feature{f[1], uint32(number(f[2])), uint32(number(f[3]))}
	case "cluster":
		set, gone := changes(f[2:])
		return ClusterConfig{uint64(number(f[1])), set, gone}
	case "topic":
		return TopicCreate{p.topic(a.or("id", f[1])), f[1], slices.Contains(f, "internal"), a.config(), p.owners(a)}
	case "partitions":
		return PartitionsAdd{p.topic(f[1]), int32(number(f[2])), p.owners(a)}
	case "delete":
		return TopicDelete{p.topic(f[1])}
	case "config":
		set, gone := changes(f[3:])
		return TopicConfig{p.topic(f[1]), uint64(number(f[2])), set, gone}
	case "open":
		return p.open(f[1:])
	case "seal":
		return p.seal(f[1:])
	case "assign":
		r := p.reassigned(f[1])
		return Assign(r)
	case "ids":
		return ProducerIDs{number(f[1]), int32(number(f[2])), p.journal(f[3])}
	case "era":
		return Era{Number: int32(number(f[1])), RunID: f[2], ReplicationID: f[3]}
	}
	t.Fatalf("script: no command %q", f[0])
	return nil
}

func (p *player) open(f []string) JournalOpen {
	var seals [][]string
	for i := len(f) - 1; i >= 0; i-- {
		if f[i] == "/" {
			seals, f = append(seals, f[i+2:]), f[:i]
		}
	}
	a := arguments(f[1:])
	r := JournalOpen{ID: p.journal(f[0]), NodeID: int32(number(a.or("node", "0"))), K: int(number(a.or("k", "4"))),
		Endpoints: []Endpoint{{"kafka", "localhost", 9092}}, Build: "test", Format: uint32(number(a.or("format", "1")))}
	for _, s := range slices.Backward(seals) {
		r.Predecessors = append(r.Predecessors, p.seal(s))
	}
	return r
}

func (p *player) seal(f []string) JournalSealed {
	a := arguments(f[1:])
	r := JournalSealed{Journal: p.journal(f[0]), SealSlot: topic.Slot(number(a.or("slot", "0"))),
		Trim: topic.Slot(number(a.or("trim", "0")))}
	for _, word := range f[1:] {
		if strings.Contains(word, ">") {
			r.Parts = append(r.Parts, p.reassigned(word))
		}
	}
	return r
}

// reassigned reads TOPIC/INDEX@OLDEPOCH:BASE>J.
func (p *player) reassigned(word string) Reassigned {
	partition, rest, _ := strings.Cut(word, "@")
	epoch, rest, _ := strings.Cut(rest, ":")
	base, journal, _ := strings.Cut(rest, ">")
	return Reassigned{p.partition(partition), topic.Epoch(number(epoch)), p.journal(journal), topic.Offset(number(base))}
}

func (p *player) partition(word string) topic.Partition {
	name, index, _ := strings.Cut(word, "/")
	return topic.Partition{Topic: p.topic(name), Index: int32(number(index))}
}

// topic and journal make an id of a name; the name none stands for the id of zeroes.
func (p *player) topic(name string) (id topic.ID) {
	if name != "none" {
		copy(id[:], name)
		p.names[id.String()] = name
	}
	return id
}

func (p *player) journal(name string) (id topic.JournalID) {
	if name != "none" {
		copy(id[:], name)
		p.names[id.String()] = name
	}
	return id
}

func (p *player) owners(a args) []topic.JournalID {
	var ids []topic.JournalID
	for name := range strings.SplitSeq(a["owners"], ",") {
		if name != "" {
			ids = append(ids, p.journal(name))
		}
	}
	return ids
}

// args are a command's words of the form name=value.
type args map[string]string

func arguments(words []string) args {
	a := args{}
	for _, word := range words {
		if name, value, ok := strings.Cut(word, "="); ok {
			a[name] = value
		}
	}
	return a
}

func (a args) or(name, value string) string {
	if v, ok := a[name]; ok {
		return v
	}
	return value
}

func (a args) config() topic.Config {
	var c topic.Config
	for name, value := range a {
		if key, ok := strings.CutPrefix(name, "config."); ok {
			if c == nil {
				c = topic.Config{}
			}
			c[key] = value
		}
	}
	return c
}

func changes(words []string) (set topic.Config, deleted []string) {
	for _, word := range words {
		if name, ok := strings.CutPrefix(word, "-"); ok {
			deleted = append(deleted, name)
		}
	}
	if a := arguments(words); len(a) > 0 {
		set = topic.Config(a)
	}
	return set, deleted
}

func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		panic(fmt.Sprintf("script: %v", err))
	}
	return n
}
