package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/odradek/odradek/control"
	"github.com/odradek/odradek/recordbatch"
	"github.com/odradek/odradek/segment"
	"github.com/odradek/odradek/slotlog"
	"github.com/odradek/odradek/topic"
)

// segmentView is one object, drawn.
type segmentView struct {
	Key     string      `json:"key"`
	Bytes   int64       `json:"bytes"`
	Kind    string      `json:"kind"`
	Created string      `json:"created,omitempty"`
	Parts   []partLine  `json:"parts"`
	Batches []batchLine `json:"batches,omitempty"`
	Seal    string      `json:"seal,omitempty"`
	Problem string      `json:"problem,omitempty"`
}

// partLine is a part of the object.
type partLine struct {
	Offset    int64        `json:"offset"`
	Size      int64        `json:"size"`
	What      string       `json:"what"`
	Partition string       `json:"partition,omitempty"`
	Base      topic.Offset `json:"base"`
	Next      topic.Offset `json:"next"`
	Codec     string       `json:"codec,omitempty"`
	Ratio     float64      `json:"ratio,omitempty"`
}

// batchLine is a record batch in the object.
type batchLine struct {
	Partition     string       `json:"partition"`
	Base          topic.Offset `json:"base"`
	Next          topic.Offset `json:"next"`
	Epoch         topic.Epoch  `json:"epoch"`
	Bytes         int          `json:"bytes"`
	Codec         string       `json:"codec"`
	Producer      int64        `json:"producer"` // -1: none
	ProducerEpoch int16        `json:"producer_epoch"`
	Sequence      int32        `json:"sequence"`
	MaxTimestamp  int64        `json:"max_timestamp"`
}

func inspectSegment(i inspection) *cobra.Command {
	var records bool
	cmd := &cobra.Command{
		Use:   "segment KEY | JOURNAL SLOT",
		Short: "Draw the object in a journal's slot, or a compacted one",
		Long: "Draw the object in a journal's slot, named by its key or by journal and slot, or a compacted object, named by its " +
			"key: what is where in it.",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("%s: KEY is missing", path(cmd))
			}
			if len(args) > 2 {
				return usagef("%s: unexpected argument %q", path(cmd), args[2])
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&records, "records", false, "list the record batches too")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		store, _, err := i.open(cmd.Context())
		if err != nil {
			return err
		}
		s, _ := state(cmd.Context(), store) // names are all that it is read for
		key, err := slotKey(s, args)
		if err != nil {
			return err
		}
		object, err := store.Get(cmd.Context(), key)
		if err != nil {
			return err
		}
		v, err := viewSegment(s, key, object, records)
		if err != nil {
			v.Problem = err.Error()
		}
		if *i.json {
			if err := printJSON(cmd.OutOrStdout(), v); err != nil {
				return err
			}
		} else if err := printSegment(cmd.OutOrStdout(), v); err != nil {
			return err
		}
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		return nil
	}
	return cmd
}

// slotKey reads a key, or a journal and a slot.
func slotKey(s *control.State, args []string) (string, error) {
	if len(args) == 1 {
		if strings.HasPrefix(args[0], topic.CompactedPrefix) {
			if _, err := topic.ParseObjectKey(args[0]); err != nil {
				return "", &usageError{err}
			}
			return args[0], nil
		}
		if _, _, err := slotlog.ParseJournalKey(args[0]); err != nil {
			return "", &usageError{err}
		}
		return args[0], nil
	}
	slot, err := strconv.ParseUint(args[1], 10, 64)
	if err != nil {
		return "", usagef("%s is no slot", args[1])
	}
	id, err := journalNamed(s, args[0])
	if err != nil {
		return "", err
	}
	return slotlog.JournalKey(id, topic.Slot(slot)), nil
}

// viewSegment takes an object apart. With an error the view has what could be read.
func viewSegment(s *control.State, key string, object []byte, records bool) (segmentView, error) {
	v := segmentView{Key: key, Bytes: int64(len(object)), Kind: "unknown", Parts: []partLine{}}
	if o, err := topic.ParseObjectKey(key); err == nil {
		return v, v.readCompacted(s, o, object, records)
	}
	kind, _, err := slotlog.ReadTrailer(object)
	if err != nil {
		return v, err
	}
	v.Kind = kind.String()
	payload := object[:len(object)-slotlog.TrailerSize]
	trailer := partLine{Offset: int64(len(payload)), Size: slotlog.TrailerSize, What: "slot trailer"}
	if kind == slotlog.Seal {
		v.Seal = string(payload)
		v.Parts = append(v.Parts, partLine{Size: int64(len(payload)), What: "who sealed"}, trailer)
	} else {
		rows, problem := segment.Describe(payload)
		for _, r := range rows {
			v.Parts = append(v.Parts, partOf(s, r))
		}
		v.Parts = append(v.Parts, trailer)
		if problem != nil {
			return v, problem
		}
		if problem = v.readBatches(s, payload, records); problem != nil {
			return v, problem
		}
	}
	_, err = slotlog.Open(object)
	return v, err
}

func partOf(s *control.State, r segment.Row) partLine {
	l := partLine{Offset: r.Position, Size: r.Length, What: r.What, Base: r.Base, Next: r.Next}
	if r.Extent >= 0 {
		l.Partition = partitionName(s, r.Partition)
	}
	if r.What == "block" {
		l.Codec, l.Ratio = r.Codec.String(), r.Ratio()
		if r.Continued {
			l.What = "block, continued"
		}
	}
	return l
}

// readCompacted takes a compacted object apart.
func (v *segmentView) readCompacted(s *control.State, o topic.Object, object []byte, list bool) error {
	v.Kind = "compacted"
	rows, err := segment.DescribeObject(object)
	for _, r := range rows {
		v.Parts = append(v.Parts, partOf(s, r))
	}
	if err != nil {
		return err
	}
	f, err := segment.VerifyObject(object, v.batch(s, list))
	return errors.Join(f.At(o), err)
}

// readBatches checks the extents and lists their batches if that is asked for.
func (v *segmentView) readBatches(s *control.State, payload []byte, list bool) error {
	f, err := segment.VerifyEach(payload, v.batch(s, list))
	v.Created = moment(f.CreatedMs)
	return err
}

// batch takes the batches of extents in if that is asked for.
func (v *segmentView) batch(s *control.State, list bool) func(segment.Extent, recordbatch.Info) {
	if !list {
		return nil
	}
	return func(x segment.Extent, i recordbatch.Info) {
		v.Batches = append(v.Batches, batchLine{
			Partition: partitionName(s, x.Partition), Base: i.BaseOffset, Next: i.Next(), Epoch: i.LeaderEpoch, Bytes: i.Size,
			Codec: i.Codec().String(), Producer: i.ProducerID, ProducerEpoch: i.ProducerEpoch, Sequence: i.BaseSequence,
			MaxTimestamp: i.MaxTimestamp,
		})
	}
}

func printSegment(out io.Writer, v segmentView) error {
	head := fmt.Sprintf("%s: %s, %s", v.Key, v.Kind, size(v.Bytes))
	if v.Created != "" {
		head += ", frozen " + v.Created
	}
	if v.Seal != "" {
		head += ", " + v.Seal
	}
	if _, err := fmt.Fprintf(out, "%s\n\n", head); err != nil {
		return err
	}
	err := table(out, "OFFSET\tSIZE\tWHAT\tPARTITION\t[BASE, NEXT)\tCODEC\tRATIO", func(row func(...any)) {
		for _, p := range v.Parts {
			if p.Partition == "" {
				row(p.Offset, p.Size, p.What, "", "", "", "")
				continue
			}
			ratio := ""
			if p.Codec != "" {
				ratio = strconv.FormatFloat(p.Ratio, 'f', 3, 64)
			}
			row(p.Offset, p.Size, p.What, p.Partition, offsets(p.Base, p.Next), p.Codec, ratio)
		}
	})
	if err != nil || len(v.Batches) == 0 {
		return err
	}
	return table(out, "\nPARTITION\t[BASE, NEXT)\tEPOCH\tBYTES\tCODEC\tPRODUCER\tTIMESTAMP", func(row func(...any)) {
		for _, b := range v.Batches {
			row(b.Partition, offsets(b.Base, b.Next), b.Epoch, b.Bytes, b.Codec, b.producer(), moment(b.MaxTimestamp))
		}
	})
}

func (b batchLine) producer() string {
	if b.Producer < 0 {
		return "-"
	}
	return strings.Join([]string{strconv.FormatInt(b.Producer, 10), "epoch", strconv.Itoa(int(b.ProducerEpoch)),
		"sequence", strconv.Itoa(int(b.Sequence))}, " ")
}

func offsets(base, next topic.Offset) string { return fmt.Sprintf("[%d, %d)", base, next) }
