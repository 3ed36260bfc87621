package redis

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/odradek/odradek/metadata"
	"github.com/odradek/odradek/topic"
)

// Current implements metadata.Eras.
func (s *Store) Current(ctx context.Context, era uint64) (metadata.EraStatus, error) {
	keys := []string{s.keys.open(), s.keys.era(era), s.keys.journals(era)}
	replies, err := s.eval(ctx, currentScript, []call{{keys, nil}})
	if err != nil {
		return metadata.EraStatus{}, err
	}
	reply := replies[0]
	if len(reply) != 5 || len(list(reply[3])) != 5 {
		return metadata.EraStatus{}, fmt.Errorf("redis current: reply of %d parts", len(reply))
	}
	info := parseInfo(text(reply[0]) + text(reply[1]))
	status := metadata.EraStatus{RunID: info["run_id"], ReplicationID: info["master_replid"], Number: era}
	if open := text(reply[2]); open != "" {
		number, identity, _ := strings.Cut(open, " ")
		status.OpenEra, _ = strconv.ParseUint(number, 10, 64)
		status.OpenPinned = identity == status.RunID+" "+status.ReplicationID
	}
	hash := list(reply[3])
	status.Begun = text(hash[0]) == status.RunID && text(hash[1]) == status.ReplicationID && status.RunID != ""
	status.Loaded = hash[2] != nil
	status.Applied, status.Progress = topic.Slot(number(hash[3])), number(hash[4])
	status.Journals = readJournals(list(reply[4]))
	return status, nil
}

// readJournals reads the hash "journals": next under the journal's id, the rest under "<id>:<what>". Fields of other names are
// nobody's.
func readJournals(pairs []any) map[topic.JournalID]metadata.JournalStatus {
	journals := make(map[topic.JournalID]metadata.JournalStatus)
	for i := 0; i+1 < len(pairs); i += 2 {
		name, what, _ := strings.Cut(text(pairs[i]), ":")
		id, err := topic.ParseJournalID(name)
		if err != nil {
			continue
		}
		j, slot := journals[id], topic.Slot(number(pairs[i+1]))
		switch what {
		case "":
			j.Opened, j.Next = true, slot
		case "seal":
			j.Sealed, j.Seal = true, slot
		case "counted":
			j.Attached, j.Counted = true, slot
		}
		journals[id] = j
	}
	return journals
}

// Reattach implements metadata.Eras.
func (s *Store) Reattach(ctx context.Context, pin metadata.Pin, journal topic.JournalID, counted topic.Slot) error {
	keys := []string{s.keys.eras(), s.keys.journals(pin.Era)}
	_, err := s.run(ctx, reattachScript, pin, call{keys, []any{journal.String(), slotText(counted)}})
	return err
}

// Begin implements metadata.Builder.
func (s *Store) Begin(ctx context.Context, pin metadata.Pin) error {
	_, err := s.run(ctx, beginScript, pin, call{keys: []string{s.keys.eras()}})
	return err
}

// Load implements metadata.Builder.
func (s *Store) Load(ctx context.Context, pin metadata.Pin, effects []metadata.Effect) error {
	e := pin.Era
	keys := []string{s.keys.journals(e), s.keys.ends(e), s.keys.starts(e), s.keys.all(e)}
	_, err := s.run(ctx, loadScript, pin, call{keys, s.appendEffects(nil, e, effects)})
	return err
}

// Loaded implements metadata.Builder.
func (s *Store) Loaded(ctx context.Context, pin metadata.Pin, applied topic.Slot) error {
	_, err := s.run(ctx, loadedScript, pin, call{args: []any{slotText(applied)}})
	return err
}

// Progress implements metadata.Builder.
func (s *Store) Progress(ctx context.Context, pin metadata.Pin) error {
	_, err := s.run(ctx, progressScript, pin, call{})
	return err
}

// Open implements metadata.Builder.
func (s *Store) Open(ctx context.Context, pin metadata.Pin, control topic.Slot, expected []metadata.Expected) error {
	c := call{
		keys: []string{s.keys.journals(pin.Era)},
		args: []any{slotText(control), s.keys.bell(), kindsText(metadata.AllKinds)},
	}
	for _, x := range expected {
		seal := "-"
		if x.Sealed {
			seal = slotText(x.Seal)
		}
		c.args = append(c.args, x.Journal.String(), seal)
	}
	reply, err := s.run(ctx, openScript, pin, c)
	if len(reply) == 2 {
		return fmt.Errorf("%w: journal %s: %s", err, text(reply[0]), text(reply[1]))
	}
	return err
}

// Sweep implements metadata.Builder.
func (s *Store) Sweep(ctx context.Context, pin metadata.Pin, limit int) (more bool, err error) {
	c := call{keys: []string{s.keys.eras()}, args: []any{max(limit, 1), s.keys.prefix()}}
	reply, err := s.run(ctx, sweepScript, pin, c)
	if err != nil {
		return false, err
	}
	return text(reply[0]) == "1", nil
}
