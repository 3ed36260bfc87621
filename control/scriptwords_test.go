package control

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/odradek/odradek/topic"
)

// record reads the command of a record; TestScripts lists them.
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
		return Assign{r.Partition, r.OldEpoch, r.ToJournal, r.Base, topic.Slot(number(a.or("released", "0")))}
	case "drain":
		return Drain{p.journal(f[1]), f[2] == "on"}
	case "move":
		r := p.reassigned(strings.Replace(f[1], ">", ":0>", 1))
		return Move{r.Partition, r.OldEpoch, r.ToJournal}
	case "ids":
		return ProducerIDs{number(f[1]), int32(number(f[2])), p.journal(f[3])}
	case "era":
		return Era{int32(number(f[1])), f[2], f[3], topic.Slot(number(a.or("checkpoint", "0")))}
	case "checkpoint":
		return p.checkpoint(f, a)
	case "verified":
		return Verified{topic.Slot(number(f[1])), p.checkpointID(f[2]), p.journal(a.or("by", "none"))}
	case "trim":
		return Trim{p.journal(f[1]), topic.Slot(number(f[2]))}
	case "manifest":
		return p.manifest(f[1:], a)
	case "sweep":
		return Sweep{topic.Slot(number(f[1]))}
	case "snapshot":
		return Snapshot{p.pin(f[1]), f[1], p.moment(f[2:], a)}
	case "fork":
		return Fork{p.pin(f[1]), f[1], p.pin(f[2])}
	case "unpin":
		r := Unpin{Pin: p.pin(f[1]), Whole: len(f) == 2}
		for _, word := range f[2:] {
			if name, next, ok := strings.Cut(word, "<"); ok {
				r.Trims = append(r.Trims, JournalNext{p.journal(name), topic.Slot(number(next))})
			} else {
				r.Objects = append(r.Objects, p.object(word))
			}
		}
		return r
	case "forked":
		return p.forked(f, a)
	case "end-cluster":
		return End{}
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

func (p *player) checkpoint(f []string, a args) Checkpoint {
	r := Checkpoint{Control: topic.Slot(number(f[1])), ID: p.checkpointID(f[2]), Previous: topic.Slot(number(a.or("previous", "0")))}
	for _, word := range f[3:] {
		if name, next, ok := strings.Cut(word, "<"); ok {
			r.Journals = append(r.Journals, JournalNext{p.journal(name), topic.Slot(number(next))})
		}
	}
	return r
}

// manifest gives each run 90 bytes and a table of 10.
func (p *player) manifest(f []string, a args) Manifest {
	r := Manifest{Output: p.object(f[0]), Size: number(a.or("size", "0"))}
	for i, word := range f {
		if word != "/" {
			continue
		}
		words := f[i+1:]
		if next := slices.Index(words, "/"); next >= 0 {
			words = words[:next]
		}
		a := arguments(words)
		part := ManifestPart{Partition: p.partition(words[0]), From: topic.Offset(number(words[1])), To: topic.Offset(number(words[2]))}
		for name := range strings.SplitSeq(a["for"], ",") {
			if name != "" {
				part.Replaces = append(part.Replaces, p.object(name))
			}
		}
		if !slices.Contains(words, "gone") {
			part.Run = &topic.Run{Object: r.Output, Base: topic.Offset(number(a.or("base", words[1]))), Next: part.To,
				Level: uint8(number(a.or("level", "1"))), Position: uint32(number(a.or("at", "24"))), Length: 90, Table: 10, RawLength: 200}
		}
		r.Parts = append(r.Parts, part)
	}
	return r
}

// object reads NAME@PLANNED.
func (p *player) object(word string) (o topic.Object) {
	if name, planned, ok := strings.Cut(word, "@"); ok {
		copy(o.ID[:], name)
		o.Planned = topic.Slot(number(planned))
		p.names[o.String()] = word
	}
	return o
}

func (p *player) checkpointID(name string) (id CheckpointID) {
	if name != "none" {
		copy(id[:], name)
		p.names[id.String()] = name
	}
	return id
}

func (p *player) pin(name string) (id PinID) {
	if name != "none" {
		copy(id[:], name)
		p.names[id.String()] = name
	}
	return id
}

func (p *player) moment(words []string, a args) Moment {
	m := Moment{Number: topic.Slot(number(a.or("after", "0"))), Base: BaseCheckpoint{topic.Slot(number(a.or("at", "0"))), p.checkpointID(a.or("checkpoint", "none"))}}
	for _, word := range words {
		if name, next, ok := strings.Cut(word, "<"); ok {
			m.Journals = append(m.Journals, JournalNext{p.journal(name), topic.Slot(number(next))})
		}
	}
	return m
}

// forked inherits every journal there is.
func (p *player) forked(f []string, a args) Forked {
	r := Forked{ClusterID: f[1], Fork: p.pin(f[1]), Moment: p.moment(f[2:], a)}
	r.Ancestors = []Ancestor{{"parent", r.Moment.Number}}
	for j := range p.state.Journals() {
		end, open := r.Moment.Next(j.ID)
		if !open {
			end = j.SealSlot + 1
		}
		r.Journals = append(r.Journals, Inherited{j.ID, 0, end})
	}
	return r
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
