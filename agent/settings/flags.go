package settings

import (
	"strings"

	"github.com/spf13/pflag"

	"github.com/odradek/odradek/topic"
)

// AddFlags adds a flag for every setting to fs. Values stay text until Load reads them, so that a wrong value is
// one problem among others and not the end of parsing.
func AddFlags(fs *pflag.FlagSet) {
	defaults := Defaults()
	for _, t := range table {
		standard := t.standard
		if standard == "" {
			standard = t.show(defaults)
		}
		flag := fs.VarPF(&flagText{argument: t.argument}, t.name, "", t.help)
		flag.DefValue = standard
		if t.argument == "BOOL" {
			flag.NoOptDefVal = "true"
		}
	}
	fs.Var(&flagList{}, setName, setHelp)
}

// setHelp is the help of the one setting that is not in the table.
const setHelp = "cluster setting with Kafka's name, as num.partitions=8 (repeatable)"

// flagText is the value of a flag as it was typed.
type flagText struct{ text, argument string }

func (f *flagText) String() string     { return f.text }
func (f *flagText) Set(v string) error { f.text = v; return nil }
func (f *flagText) Type() string       { return f.argument }

// flagList is the value of the flag that repeats.
type flagList struct{ pairs []string }

func (f *flagList) String() string     { return strings.Join(f.pairs, ";") }
func (f *flagList) Set(v string) error { f.pairs = append(f.pairs, v); return nil }
func (f *flagList) Type() string       { return "NAME=VALUE" }

// flags lists what the command line set.
func (l *loader) flags(fs *pflag.FlagSet) []given {
	if fs == nil {
		return nil
	}
	var all []given
	fs.Visit(func(f *pflag.Flag) {
		where := "--" + f.Name
		switch value := f.Value.(type) {
		case *flagText:
			all = append(all, given{name: f.Name, value: value.text, where: where})
		case *flagList:
			all = append(all, l.pairs(value.pairs, where)...)
		}
	})
	return all
}

// pairs reads name=value pairs and reports those that are none.
func (l *loader) pairs(list []string, where string) []given {
	var all []given
	for _, s := range list {
		if g, ok := pair(s, where); ok {
			g.where += " " + g.name
			all = append(all, g)
		} else {
			l.problem(setName, where, s+" is no name=value")
		}
	}
	return all
}

// unknownFlags reports flags that do not exist. What follows the name is not repeated: it may be a secret.
func (l *loader) unknownFlags(args []string) {
	for _, arg := range args {
		name, _, _ := strings.Cut(arg, "=")
		bare := strings.TrimLeft(name, "-")
		if near, _ := topic.Nearest(bare, append(names(), "redis-password")); near == "redis-password" {
			l.problem("", name, "unknown flag; secrets are not taken from the command line, use "+passwordVariable+
				" or --redis-password-file")
			continue
		}
		if _, kafkas := topic.ClusterSettings.Find(bare); kafkas {
			l.problem("", name, "unknown flag; did you mean --set "+bare+"=…?")
			continue
		}
		l.problem("", name, unknown("flag", bare, names(), func(s string) string { return "--" + s }))
	}
}
