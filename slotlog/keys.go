package slotlog

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/odradek/odradek/topic"
)

// ControlPrefix starts the key of every number of the control log.
const ControlPrefix = "control/"

// JournalsPrefix starts the key of every slot of every journal.
const JournalsPrefix = "journal/"

// ControlKey names control number n: control/<n in 16 hexadecimal digits>.
func ControlKey(n topic.Slot) string { return ControlPrefix + digits(n) }

// JournalKey names a slot: journal/<hash>/<journal id>/<slot in 16 hexadecimal digits>. The hash is the id's first
// byte, which spreads journals over the bucket's key space.
func JournalKey(j topic.JournalID, s topic.Slot) string {
	return JournalPrefix(j) + digits(s)
}

// digits writes a number as every key of a chain ends.
func digits(s topic.Slot) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(s))
	return hex.EncodeToString(b[:])
}

// JournalPrefix starts the keys of one journal's slots.
func JournalPrefix(j topic.JournalID) string {
	id := j.String()
	return JournalsPrefix + id[:2] + "/" + id + "/"
}

// ParseControlKey reads what ControlKey wrote.
func ParseControlKey(key string) (topic.Slot, error) {
	n, err := parseSlot(key, strings.TrimPrefix(key, ControlPrefix))
	if err == nil && key != ControlKey(n) {
		err = fmt.Errorf("key %q is not one of the control log", key)
	}
	return n, err
}

// ParseJournalKey reads what JournalKey wrote.
func ParseJournalKey(key string) (topic.JournalID, topic.Slot, error) {
	parts := strings.Split(key, "/")
	if len(parts) != 4 || parts[0]+"/" != JournalsPrefix || !strings.HasPrefix(parts[2], parts[1]) {
		return topic.JournalID{}, 0, fmt.Errorf("key %q is not a journal's slot", key)
	}
	id, err := topic.ParseJournalID(parts[2])
	if err != nil {
		return topic.JournalID{}, 0, fmt.Errorf("key %q: %w", key, err)
	}
	s, err := parseSlot(key, parts[3])
	if err == nil && key != JournalKey(id, s) {
		err = fmt.Errorf("key %q is not a journal's slot", key)
	}
	return id, s, err
}

func parseSlot(key, digits string) (topic.Slot, error) {
	n, err := strconv.ParseUint(digits, 16, 64)
	if err != nil || len(digits) != 16 {
		return 0, fmt.Errorf("key %q does not end in 16 hexadecimal digits", key)
	}
	return topic.Slot(n), nil
}
