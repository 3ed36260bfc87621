package control

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
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
//	assign TOPIC/INDEX@OLDEPOCH:BASE>J [released=N]
//	drain J on|off
//	move TOPIC/INDEX@EPOCH>J
//	ids FROM COUNT J
//	era NUMBER RUN REPLICATION [checkpoint=N]
//	checkpoint CONTROL ID previous=N [J<NEXT ...]
//	verified CONTROL ID by=J
//	trim J SLOT
//	manifest OBJECT@PLANNED|none [size=N] / TOPIC/INDEX FROM TO [for=OBJECT@PLANNED,...] [base=N] [level=N] [at=N] [gone] / ...
//	sweep BEFORE
//	snapshot NAME after=N [at=N checkpoint=ID] [J<NEXT ...]
//	fork PLACE NAME
//	unpin NAME|PLACE [J<NEXT ...] [OBJECT@PLANNED ...]
//	forked CLUSTER after=N [at=N checkpoint=ID] [J<NEXT ...]
//	end-cluster
//
// Questions: pins, cluster-id, topics, journals, history TOPIC/INDEX, end TOPIC/INDEX EPOCH, owned J, checkpoints, runs TOPIC/INDEX, objects.
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
	case "cluster-id":
		born, _ := p.state.Born()
		fmt.Fprintf(&b, "%s, eras %d, born at %d, ended %v\n", p.state.ClusterID(), len(p.state.Eras()), born, p.state.Ended())
	case "pins":
		for pin := range p.state.Pins() {
			fmt.Fprintf(&b, "%s%s %s\n", pin.ID, word(pin.IsFork(), " fork of "+pin.Snapshot.String()), pin.Moment)
			for j := range p.state.Journals() {
				if below := pin.Unpinned(j.ID); below > 0 {
					fmt.Fprintf(&b, "  not %s<%d\n", j.ID, below)
				}
			}
		}
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
			if j.Trim > 0 {
				fmt.Fprintf(&b, ", trim %d", j.Trim)
			}
			b.WriteString(word(j.Draining, ", draining") + "\n")
		}
	case "checkpoints":
		newest, _ := p.state.NewestCheckpoint()
		for _, c := range p.state.Checkpoints() {
			fmt.Fprintf(&b, "at %d id %s previous %d, record %d", c.Control, c.ID, c.Previous, c.At)
			if c.Verified {
				fmt.Fprintf(&b, ", verified by %s", c.By)
			}
			b.WriteString(word(newest.Control == c.Control, ", newest"))
			for id, next := range c.Journals() {
				fmt.Fprintf(&b, " %s<%d", id, next)
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
			fmt.Fprintf(&b, "%s epoch %d base %d", a.Partition, a.Epoch, a.Base)
			switch {
			case a.Moved:
				fmt.Fprintf(&b, ", released by %s in slot %d", a.From, a.Released)
			case !a.From.IsZero():
				fmt.Fprintf(&b, ", from %s", a.From)
			}
			b.WriteString("\n")
		}
	case "runs":
		c := p.state.Compaction(p.partition(f[1]))
		fmt.Fprintf(&b, "start %d end %d\n", c.Start, c.End)
		for _, r := range c.Runs {
			fmt.Fprintf(&b, "%s\n", r)
		}
	case "objects":
		fmt.Fprintf(&b, "swept %d\n", p.state.Swept())
		for o, info := range p.state.Objects() {
			fmt.Fprintf(&b, "%s %d bytes, %d runs of %d bytes\n", o, info.Size, info.Runs, info.Live)
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
