package topic

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
)

// ID is a topic's id (KIP-516): 128 random bits, stable for the topic's life and never used again.
type ID [16]byte

// String gives the id as Kafka prints it: URL-safe base64 without padding, 22 characters.
func (id ID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// IsZero reports whether the id is all zero, which Kafka reserves for "no id".
func (id ID) IsZero() bool { return id == ID{} }

// ParseID reads what String wrote.
func ParseID(s string) (ID, error) {
	var id ID
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) != len(id) {
		return ID{}, fmt.Errorf("topic id %q: want 22 characters of URL-safe base64", s)
	}
	copy(id[:], b)
	return id, nil
}

// Partition names one partition of one topic.
type Partition struct {
	Topic ID
	Index int32
}

func (p Partition) String() string { return fmt.Sprintf("%s/%d", p.Topic, p.Index) }

// Offset is a record's place in its partition. Ranges of offsets are half open: [base, next).
type Offset int64

// Epoch is a partition epoch: it grows by one with each assignment of the partition. Kafka calls it leader epoch.
type Epoch int32

// JournalID is 128 random bits drawn when an agent opens a journal.
type JournalID [16]byte

// String gives 32 hexadecimal digits.
func (j JournalID) String() string { return hex.EncodeToString(j[:]) }

// IsZero reports whether the id is all zero, which stands for "no journal".
func (j JournalID) IsZero() bool { return j == JournalID{} }

// ParseJournalID reads what String wrote.
func ParseJournalID(s string) (JournalID, error) {
	var j JournalID
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(j) {
		return JournalID{}, fmt.Errorf("journal id %q: want 32 hexadecimal digits", s)
	}
	copy(j[:], b)
	return j, nil
}

// Slot is a number of a slotted log: a slot of a journal, or a control number.
type Slot uint64
