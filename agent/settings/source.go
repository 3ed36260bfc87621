package settings

import (
	"strings"

	"github.com/odradek/odradek/topic"
)

// given is one value as a person gave it.
type given struct {
	name  string // of the setting, or Kafka's name of a cluster setting
	value string
	where string // for problems
	kafka bool   // name is one of Kafka's
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

// unknown words the problem of a name that does not exist: it names the nearest that does, if one is near.
func unknown(what, name string, known []string, show func(string) string) string {
	if near, ok := topic.Nearest(name, known); ok {
		return "unknown " + what + "; did you mean " + show(near) + "?"
	}
	return "unknown " + what
}

// same shows a name as it is.
func same(name string) string { return name }
