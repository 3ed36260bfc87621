package settings

import "strings"

// given is one value as a person gave it.
type given struct {
	name  string // of the setting, or Kafka's name of a cluster setting
	value string
	where string // for problems
	kafka bool   // name is one of Kafka's
}

// Names is the table of cluster settings with Kafka's names.
type Names interface {
	// Names lists all that can be set.
	Names() []string
	// Check says what is wrong with a value; the error reads after the value: `is no number`.
	Check(name, value string) error
}

// split reads a list of name=value pairs, each of its own line or set off by semicolons.
func split(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ';' || r == '\n' })
}

// pair makes a given of one name=value.
func pair(s, where string) (given, bool) {
	name, value, ok := strings.Cut(s, "=")
	return given{name: strings.TrimSpace(name), value: strings.TrimSpace(value), where: where, kafka: true}, ok
}
