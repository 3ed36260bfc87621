package settings

import (
	"slices"
	"strings"
)

// prefix starts the name of every environment variable that is ours.
const prefix = "ODRADEK_"

// passwordVariable holds the Redis password; it is no setting, so that it can be neither a flag nor a key.
const passwordVariable = prefix + "REDIS_PASSWORD"

// foreign are variables with our prefix that are not the agent's: of the client commands, of the test suites, and
// those that Kubernetes gives every container for a service named odradek.
var foreign = []string{
	passwordVariable, prefix + "BOOTSTRAP", prefix + "TEST_*",
	prefix + "SERVICE_*", prefix + "PORT", prefix + "PORT_*",
}

// environ lists what the environment sets. An empty variable is none.
func (l *loader) environ(environ []string) []given {
	var all []given
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, prefix) || value == "" || isForeign(name) {
			continue
		}
		if name == variableOf(setName) {
			all = append(all, l.pairs(split(value), name)...)
			continue
		}
		i := slices.IndexFunc(table, func(t setting) bool { return variableOf(t.name) == name })
		if i < 0 {
			l.problem("", name, unknown("variable", name, variables(), same))
			continue
		}
		all = append(all, given{name: table[i].name, value: value, where: name})
	}
	return all
}

func isForeign(name string) bool {
	return slices.ContainsFunc(foreign, func(f string) bool {
		start, many := strings.CutSuffix(f, "*")
		return name == f || many && strings.HasPrefix(name, start)
	})
}

// variableOf gives the environment variable of a setting.
func variableOf(name string) string {
	return prefix + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// variables lists the variables that a person may have meant.
func variables() []string {
	all := []string{passwordVariable}
	for _, name := range names() {
		all = append(all, variableOf(name))
	}
	return all
}

// variable gives the value of a variable, "" if it is not set.
func variable(environ []string, name string) string {
	for _, entry := range slices.Backward(environ) {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}
