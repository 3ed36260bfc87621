package topic

import (
	"fmt"
	"strings"
)

// The internal topics (Kafka's names), where coordinators keep their records.
const (
	ConsumerOffsets  = "__consumer_offsets"
	TransactionState = "__transaction_state"
)

// maxNameLength is Kafka's: a name must fit into a file name with a partition's number behind it.
const maxNameLength = 249

// ValidateName tells why a topic cannot have that name, by Kafka's rules (its Topic.validate).
func ValidateName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("topic name is empty")
	case name == "." || name == "..":
		return fmt.Errorf("topic name cannot be %q", name)
	case len(name) > maxNameLength:
		return fmt.Errorf("topic name has %d characters, the most is %d", len(name), maxNameLength)
	}
	for _, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return fmt.Errorf("topic name %q has characters other than ASCII letters, digits, '.', '_' and '-'", name)
		}
	}
	return nil
}

// FoldName gives what no two topics may share: names that differ in nothing but '.' and '_' collide, because
// Kafka's metrics cannot tell them apart. Apply of control records rests on it, so it can never change.
func FoldName(name string) string { return strings.ReplaceAll(name, ".", "_") }
