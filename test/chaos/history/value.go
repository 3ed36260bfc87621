package history

import (
	"fmt"
	"strconv"
	"strings"
)

// Value is what a record says of itself.
type Value struct {
	Client    string
	Partition Partition
	Number    int64 // grows by one with each record of the client for the partition
}

// String is the value as it is kept: client|topic|partition|number.
func (v Value) String() string {
	return fmt.Sprintf("%s|%s|%d|%d", v.Client, v.Partition.Topic, v.Partition.Index, v.Number)
}

// ParseValue reads what String wrote.
func ParseValue(s string) (Value, error) {
	parts := strings.Split(s, "|")
	if len(parts) != 4 {
		return Value{}, fmt.Errorf("value %q has %d parts, want 4", s, len(parts))
	}
	index, err := strconv.ParseInt(parts[2], 10, 32)
	if err != nil {
		return Value{}, fmt.Errorf("value %q: %w", s, err)
	}
	n, err := strconv.ParseInt(parts[3], 10, 64)
	if err != nil {
		return Value{}, fmt.Errorf("value %q: %w", s, err)
	}
	return Value{parts[0], Partition{parts[1], int32(index)}, n}, nil
}

// Body is what is sent: the value, and bytes that follow from it, so that damage anywhere is seen.
func Body(value string) []byte {
	b := append([]byte(value), '\n')
	x := uint32(2166136261)
	for i := range 40 + len(value)%120 {
		x = (x ^ uint32(value[i%len(value)])) * 16777619
		b = append(b, 'a'+byte(x>>24)%26)
	}
	return b
}

// keys is how many keys each partition has.
const keys = 16

// Key is what a value is sent under: one of a few, so that in a topic that is compacted by key most records are superseded.
func Key(value string) string {
	x := uint32(2166136261)
	for i := range len(value) {
		x = (x ^ uint32(value[i])) * 16777619
	}
	return fmt.Sprintf("k%d", x>>8%keys)
}

// FromRecord gives the value of a record as somebody read it; damaged is one under another key than it was sent under.
func FromRecord(key, body []byte) string {
	value := FromBody(body)
	if string(key) != Key(value) && !strings.HasPrefix(value, "damaged ") {
		return fmt.Sprintf("damaged key %q of %q", key, value)
	}
	return value
}

// FromBody gives the value of a body; damaged is a text in its place that no client ever sent.
func FromBody(body []byte) string {
	value, _, _ := strings.Cut(string(body), "\n")
	if value == "" || string(Body(value)) != string(body) {
		return fmt.Sprintf("damaged %q", body)
	}
	return value
}
